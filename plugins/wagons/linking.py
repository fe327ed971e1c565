"""Lays the images of wheels into a virtualenv, as an installer would: files, data, scripts, RECORD.

Called by `store` for an environment that is being built aside, under the name that it will have in the end:
scripts are written for ``final``, files go to ``aside``.
"""

from __future__ import annotations

import csv
import io
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path

from .digest import record_row
from .disk import FileSharing
from .images import Image, require_unchanged
from .scripts import script_text, with_interpreter
from .wheel import WheelFile

_logger = logging.getLogger(__name__)
INSTALLER = "outrider"


@dataclass
class EnvironmentBuilder:
    """An environment under construction."""

    aside: Path
    final: Path
    #: Relative to the environment: ``lib/python3.11/site-packages``.
    site_packages: str
    python_name: str = "python"
    _sharing: FileSharing = field(default_factory=FileSharing)
    _made: set[str] = field(default_factory=set)
    #: Path in the environment -> who brought it, to tell when two wheels bring the same file.
    _owners: dict[str, str] = field(default_factory=dict)

    def install(self, image: Image, *, requested: bool) -> None:
        """Lay one wheel into the environment. Raises CorruptStore when the image was changed."""
        tree = str(image.tree)
        rows = [self._lay(image, file, seen, tree) for file, seen in zip(image.wheel.files, image.stamps)]
        rows += [self._write_entry_point(name, reference) for _, name, reference in image.wheel.entry_points]
        dist_info = image.wheel.dist_info
        rows.append(self._write(f"{self.site_packages}/{dist_info}/INSTALLER", f"{INSTALLER}\n".encode()))
        if requested:
            rows.append(self._write(f"{self.site_packages}/{dist_info}/REQUESTED", b""))
        record = f"{self.site_packages}/{dist_info}/RECORD"
        self._write(record, self._record([*rows, (record, "", "")]))

    def _lay(self, image: Image, file: WheelFile, seen: tuple[int, int, int], tree: str) -> tuple[str, str, str]:
        source = f"{tree}/{file.stored_path}"
        require_unchanged(image, seen, source)
        place = self._place(image, file)
        if file.scheme == "scripts":
            return self._write_script(place, Path(source).read_bytes())
        target = self._claim(place, image.wheel.name.filename)
        self._sharing.share(source, target)
        return place, file.hash, str(file.size_bytes)

    def _place(self, image: Image, file: WheelFile) -> str:
        if file.scheme == "purelib":
            return f"{self.site_packages}/{file.path}"
        if file.scheme == "scripts":
            return f"bin/{file.path}"
        if file.scheme == "headers":
            python = self.site_packages.split("/")[1]
            return f"include/site/{python}/{image.wheel.name.distribution}/{file.path}"
        return file.path

    def _write_script(self, place: str, content: bytes) -> tuple[str, str, str]:
        return self._write(place, with_interpreter(content, self._python), executable=True)

    def _write_entry_point(self, name: str, reference: str) -> tuple[str, str, str]:
        return self._write(f"bin/{name}", script_text(self._python, reference), executable=True)

    @property
    def _python(self) -> str:
        return f"{self.final}/bin/{self.python_name}"

    def _claim(self, place: str, owner: str) -> str:
        """Return the path for ``place``, its folder made. Of two wheels with one file the later wins, as with pip."""
        earlier = self._owners.setdefault(place, owner)
        if earlier != owner:
            _logger.warning(
                "%s of %s replaces the one of %s", place, owner, earlier, extra={"action": "wagon_file_replaced"}
            )
            self._owners[place] = owner
        target = f"{self.aside}/{place}"
        parent = target.rpartition("/")[0]
        if parent not in self._made:
            os.makedirs(parent, exist_ok=True)  # noqa: PTH103 - per file: strings are cheaper than Paths
            self._made.add(parent)
        return target

    def _write(self, place: str, content: bytes, *, executable: bool = False) -> tuple[str, str, str]:
        target = Path(self._claim(place, place))
        target.unlink(missing_ok=True)  # never through a file that is shared
        target.write_bytes(content)
        if executable:
            target.chmod(0o755)
        return record_row(place, content)

    def _record(self, rows: list[tuple[str, str, str]]) -> bytes:
        """Return RECORD: paths relative to site-packages, as the specification asks."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        inside = f"{self.site_packages}/"
        up = "../" * (self.site_packages.count("/") + 1)
        for place, digest, size in sorted(rows):
            path = place[len(inside) :] if place.startswith(inside) else f"{up}{place}"
            writer.writerow((path, digest, size))
        return text.getvalue().encode("utf-8")
