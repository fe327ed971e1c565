"""Downloading a file over HTTP(S), taken up where an earlier transfer broke off; imported by `fetch` when it has to."""

from __future__ import annotations

import http.client
import shutil
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Any, Optional, cast

from outrider.agent.runner.fetch_errors import FetchError, NotThere

_CHUNK = 1 << 20
_STALL_SECONDS = 30.0
_ATTEMPTS = 5
_PAUSE_SECONDS = 0.5


def download(source: dict[str, Any], sha256: str, aside: Path, *, deadline: float) -> None:
    """Write the file with this hash to `aside`, trying again until `deadline`. Raises `FetchError`."""
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
