"""An attempt's folder ``run/<attempt>/``: what its process left there is the evidence of what happened."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, Optional

from outrider.agent.runner.capture import read_tail
from outrider.agent.runner.processes import unless_short
from outrider.agent.runner.protocol import RESULT_NAME, STARTED_NAME, UPDATES_NAME

_SAFE_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_SHIPPED_NAME = "shipped"
#: Before the name of a folder that is being removed; no attempt's id begins so.
_GONE = ".gone-"


def is_safe_id(attempt_id: str) -> bool:
    """Return whether an attempt's id can be a folder's name."""
    return _SAFE_ID.fullmatch(attempt_id) is not None


class Shipped(NamedTuple):
    """How much of the updates the broker has: bytes of the file, and the last record's number."""

    offset: int = 0
    sequence: int = 0


NOTHING_SHIPPED = Shipped()


class AttemptFolder:
    """One attempt's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        """Make the folder, readable by this user alone."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def remove(self) -> None:
        """Remove it with all that is in it; what an operation made unreadable stays, and is tried at the next start.

        At once, for whoever looks for a result in there: a folder without one would mean that the operation died.
        """
        gone = f"{self.path.parent}/{_GONE}{self.path.name}"
        try:
            os.rename(self.path, gone)  # noqa: PTH104 - on every operation's way, as what follows
        except OSError:
            # It never was, or one of this name could not be removed before.
            gone = str(self.path)
        # From what is likely to what is possible, each at a fraction of the next one's cost: the folder of an operation
        # that said nothing, one with files alone, anything.
        with contextlib.suppress(OSError):
            _remove(gone, (STARTED_NAME, RESULT_NAME))
            return
        try:
            _remove(gone, os.listdir(gone))  # noqa: PTH208
        except OSError:
            shutil.rmtree(gone, ignore_errors=True)

    @property
    def being_removed(self) -> bool:
        """Whether this is what is left of a folder whose removal was interrupted."""
        return self.path.name.startswith(_GONE)

    @property
    def started(self) -> bool:
        """Whether the operation's process came as far as calling the plugin."""
        try:
            # On a full disk it can be made, and stays empty.
            return (self.path / STARTED_NAME).stat().st_size > 0
        except FileNotFoundError:
            return False

    def identity(self) -> Optional[dict[str, Any]]:
        """Return what the operation's process said of itself; None if none came as far as calling the plugin."""
        return _read_object(self.path / STARTED_NAME)

    @property
    def updates(self) -> Path:
        """The file with the numbered records."""
        return self.path / UPDATES_NAME

    def outcome(self) -> Optional[dict[str, Any]]:
        """Return what the process, or the runner for it, wrote as its result; None if nobody did."""
        return _read_object(self.path / RESULT_NAME)

    def properties(self) -> tuple[list[dict[str, Any]], int]:
        """Return all property changes, and the number of the last record, of an operation that could not tell them."""
        changes: list[dict[str, Any]] = []
        last = 0
        records: list[dict[str, Any]] = []
        with contextlib.suppress(OSError):
            records, _ = read_records(self.updates, 0)
        for record in records:
            last = record["sequence"]
            if record["kind"] == "property":
                changes.append({key: value for key, value in record.items() if key != "kind"})
        return changes, last

    def tail(self, name: str, *, limit_bytes: int) -> str:
        """Return the end of what the operation printed to ``stdout`` or ``stderr``."""
        if not os.path.exists(f"{self.path}/{name}"):  # noqa: PTH110 - on every operation's way, and most print nothing
            return ""
        return read_tail(self.path / name, limit_bytes=limit_bytes)

    def shipped(self) -> Shipped:
        """Return how much of the updates was confirmed before; an old answer only means sending some twice."""
        with contextlib.suppress(OSError, ValueError):
            offset, sequence = (self.path / _SHIPPED_NAME).read_text(encoding="ascii").split()
            return Shipped(int(offset), int(sequence))
        return Shipped()

    def note_shipped(self, shipped: Shipped) -> None:
        """Remember how much was confirmed."""
        with contextlib.suppress(OSError):
            (self.path / _SHIPPED_NAME).write_text(f"{shipped.offset} {shipped.sequence}", encoding="ascii")


def _remove(folder: str, names: Iterable[str]) -> None:
    for name in names:
        os.unlink(f"{folder}/{name}")  # noqa: PTH108
    os.rmdir(folder)  # noqa: PTH106


def _read_object(path: Path) -> Optional[dict[str, Any]]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        unless_short(error)
        return None
    return found if isinstance(found, dict) else None


def read_records(path: Path, offset: int, *, limit_bytes: int = -1) -> tuple[list[dict[str, Any]], int]:
    """Return the whole records from `offset` on, and the offset after them; a half-written last line waits.

    Raises `OSError` if it is not known what is in the file; without one, there are none.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(limit_bytes)
            if limit_bytes >= 0 and len(data) == limit_bytes and b"\n" not in data:
                # One record longer than the limit: it has to travel whole.
                data += file.readline()
    except FileNotFoundError:
        return [], offset
    whole = data[: data.rfind(b"\n") + 1]
    records = []
    for line in whole.splitlines():
        with contextlib.suppress(ValueError):
            records.append(json.loads(line))
    return records, offset + len(whole)
