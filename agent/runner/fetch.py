"""Fetching files by their hash: wagons for the agent, blueprint resources for an operation.

A source is ``file:///folder`` (``<folder>/<first two digits>/<sha256>``) or ``http(s)://…/files``
(``GET <url>/<sha256>`` with a bearer token). A broken transfer is taken up where it ended; what arrives is hashed and
only then renamed into place. Standard library only, because children use it.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import shutil
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import IO, Any, Optional, cast

_CHUNK = 1 << 20
_STALL_SECONDS = 30.0
_ATTEMPTS = 5
_PAUSE_SECONDS = 0.5


class FetchError(Exception):
    """A file could not be fetched; the text names it, the source and the reason."""


class NotThere(FetchError):
    """The source has no such file: trying again does not help."""


class WrongContent(FetchError):
    """What arrived has another hash than was asked for."""


def fetch(source: dict[str, Any], sha256: str, destination: Path, *, limit_seconds: float = 900.0) -> Path:
    """Return `destination`, holding the file with this hash; one that is there already is not fetched again.

    `source` is the JSON form of `messages.FilesRef`. Raises `FetchError`.
    """
    if destination.exists():
        return destination
    destination.parent.mkdir(parents=True, exist_ok=True)
    url = urllib.parse.urlsplit(str(source.get("url", "")))
    aside = destination.with_name(f"{destination.name}.{os.getpid()}.part")
    try:
        if url.scheme == "file":
            _copy(Path(urllib.request.url2pathname(url.path)) / sha256[:2] / sha256, aside)
        elif url.scheme in ("http", "https"):
            _download(source, sha256, aside, deadline=time.monotonic() + limit_seconds)
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
        shutil.copyfileobj(source, target, _CHUNK)


def _download(source: dict[str, Any], sha256: str, aside: Path, *, deadline: float) -> None:
    url = f"{str(source['url']).rstrip('/')}/{sha256}"
    context = _tls_context(source) if url.startswith("https:") else None
    failure: Optional[Exception] = None
    for attempt in range(_ATTEMPTS):
        try:
            if _download_rest(url, source, aside, context):
                return
            failure = FetchError("the connection ended before the whole file arrived")
        except urllib.error.HTTPError as error:
            with error:
                if error.code in (401, 403, 404, 410):
                    raise NotThere(f"{url} answered {error.code} {error.reason}") from error
            failure = error
        except (OSError, http.client.HTTPException) as error:
            failure = error
        pause = _PAUSE_SECONDS * 2**attempt
        if time.monotonic() + pause > deadline:
            break
        time.sleep(pause)
    raise FetchError(f"cannot fetch {url}: {failure} (tried {_ATTEMPTS} times)")


def _download_rest(url: str, source: dict[str, Any], aside: Path, context: Optional[ssl.SSLContext]) -> bool:
    """Append what is missing; returns whether the file is whole by the length that the server announced."""
    have = aside.stat().st_size if aside.exists() else 0
    headers = {"Authorization": f"Bearer {source.get('token', '')}"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the caller checked the scheme
    with urllib.request.urlopen(request, timeout=_STALL_SECONDS, context=context) as answer:  # noqa: S310 - as above
        append = answer.status == 206
        announced = answer.headers.get("Content-Length")
        expected = int(announced) + (have if append else 0) if announced else None
        with aside.open("ab" if append else "wb") as target:
            shutil.copyfileobj(cast("IO[bytes]", answer), target, _CHUNK)
    return expected is None or aside.stat().st_size == expected


def _tls_context(source: dict[str, Any]) -> ssl.SSLContext:
    pem = source.get("ca_pem")
    return ssl.create_default_context(cadata=pem) if pem else ssl.create_default_context()


def _verify(path: Path, sha256: str, url: str) -> None:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != sha256:
        raise WrongContent(f"{url} delivered {digest.hexdigest()} instead of {sha256}: the file was changed or damaged")
