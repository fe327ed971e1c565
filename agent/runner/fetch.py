"""Fetching files by their hash: wagons for the agent, blueprint resources for an operation.

A source is ``file:///folder`` (``<folder>/<first two digits>/<sha256>``) or ``http(s)://…/files``
(``GET <url>/<sha256>`` with a bearer token). A broken transfer is taken up where it ended; what arrives is hashed and
only then renamed into place. Standard library only, because children use it.
"""

from __future__ import annotations

import contextlib
import os
import time
from _thread import get_ident
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from outrider.agent.runner.fetch_errors import FetchError, NotThere, WrongContent

__all__ = ["FetchError", "NotThere", "WrongContent", "fetch"]

_CHUNK = 1 << 20


def fetch(source: dict[str, Any], sha256: str, destination: Path, *, limit_seconds: float = 900.0) -> Path:
    """Return `destination`, holding the file with this hash; one that is there already is not fetched again.

    `source` is the JSON form of `messages.FilesRef`. Raises `FetchError`.
    """
    if destination.exists():
        with contextlib.suppress(OSError):
            # What is not used any more is removed by this time.
            os.utime(destination)
        return destination
    destination.parent.mkdir(parents=True, exist_ok=True)
    url = urlsplit(str(source.get("url", "")))
    # Threads of one agent may fetch the same wagon at the same time.
    aside = destination.with_name(f"{destination.name}.{os.getpid()}-{get_ident()}.part")
    try:
        if url.scheme == "file":
            _copy(Path(unquote(url.path)) / sha256[:2] / sha256, aside)
        elif url.scheme in ("http", "https"):
            # TLS and HTTP libraries would make every operation's process half as large again; few download.
            from outrider.agent.runner.download import download

            download(source, sha256, aside, deadline=time.monotonic() + limit_seconds)
        else:
            raise FetchError(
                f"cannot fetch {sha256}: the source {source.get('url')!r} is neither file:// nor http(s)://"
            )
        _verify(aside, sha256, str(source.get("url")))
        aside.replace(destination)
    except OSError as error:
        raise FetchError(f"cannot fetch {sha256} from {source.get('url')}: {error}") from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()
    return destination


def _copy(origin: Path, aside: Path) -> None:
    if not origin.is_file():
        raise NotThere(f"there is no file {origin}: the dispatcher's folder of files is not the one that it named")
    with origin.open("rb") as source, aside.open("wb") as target:
        while chunk := source.read(_CHUNK):
            target.write(chunk)


def _verify(path: Path, sha256: str, url: str) -> None:
    # Brings a cryptographic library along, which every forked process would have to carry.
    import hashlib

    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != sha256:
        raise WrongContent(f"{url} delivered {digest.hexdigest()} instead of {sha256}: the file was changed or damaged")
