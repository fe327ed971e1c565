"""A manager's REST API, as much of it as the command needs; streams up and down, and tells progress.

`session.connected` makes it from the profile in use and turns its errors into messages and exit codes.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode, urlsplit

from outrider.cli.profiles import Profile
from outrider.messaging.version import __version__

API = "/api/v3.1"
TIMEOUT_SECONDS = 300.0
BLOCK_BYTES = 256 * 1024
PAGE = 1000

#: Called with the bytes that were moved, again and again.
Moved = Callable[[int], None]
Query = Mapping[str, object]


def at(*names: str) -> str:
    """Return the path of a resource: whatever a name holds, it is a name there. Raises ManagerRefused for none."""
    if "" in names:
        raise ManagerRefused("the name is empty", status=404, code="not_found_error")
    return "".join(f"/{quote(name.encode('utf-8', 'surrogateescape'), safe='')}" for name in names)


class ManagerRefused(Exception):
    """The manager's answer is an error; the text is its own."""

    def __init__(self, message: str, *, status: int, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class ManagerUnreachable(Exception):
    """There is no answer: wrong address, no network, a certificate that is not trusted."""


class ManagerClient:
    """One connection to one manager; not for several threads."""

    def __init__(self, profile: Profile, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._profile = profile
        address = urlsplit(profile.url)
        self._connection: http.client.HTTPConnection
        if address.scheme == "https":
            context = ssl.create_default_context(cadata=profile.authority)
            self._connection = http.client.HTTPSConnection(address.netloc, timeout=timeout_seconds, context=context)
        else:
            self._connection = http.client.HTTPConnection(address.netloc, timeout=timeout_seconds)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a request and return the JSON of its answer. Raises ManagerRefused, ManagerUnreachable."""
        content = None if body is None else json.dumps(body).encode()
        answer = self._send(method, path, query, content, headers or {})
        text = answer.read()
        return json.loads(text) if text else None

    def listed(self, path: str, query: Query | None = None) -> Iterator[dict[str, Any]]:
        """Yield the items of a list, page by page."""
        offset = 0
        while True:
            page = self.call("GET", path, query={"_size": PAGE, "_offset": offset, **(query or {})})
            yield from page["items"]
            offset += PAGE
            if offset >= page["metadata"]["pagination"]["total"]:
                return

    def upload(self, method: str, path: str, file: Path, *, query: Query | None = None, moved: Moved) -> Any:
        """Send a file as the body."""
        with file.open("rb") as stream:
            headers = {"Content-Length": str(file.stat().st_size), "Content-Type": "application/octet-stream"}
            answer = self._send(method, path, query, _blocks(stream, moved), headers)
        return json.loads(answer.read())

    def download(self, path: str, target: Path, *, begun: Moved, moved: Moved) -> None:
        """Write what a path answers to a file: aside first, so that an interrupted one is not mistaken for it."""
        answer = self._send("GET", path, None, None, {})
        begun(int(answer.headers.get("Content-Length") or 0))
        aside = target.with_name(f".{target.name}.part")
        try:
            with aside.open("wb") as file:
                for block in _blocks(answer, moved):
                    file.write(block)
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)

    def _send(
        self, method: str, path: str, query: Query | None, content: Any, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        target = (path if path.startswith(("/outrider", "/api")) else API + path) + (
            f"?{urlencode(query, doseq=True)}" if query else ""
        )
        sent = {
            "Authentication-Token": self._profile.token,
            "Tenant": self._profile.tenant,
            "User-Agent": f"outrider/{__version__}",
            "Content-Type": "application/json",
            **headers,
        }
        if not self._profile.token:
            del sent["Authentication-Token"]
        try:
            # A manager that refuses an upload answers, and hangs up, before it has read all of it.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._connection.request(method, target, body=content, headers=sent)
            answer = self._connection.getresponse()
        except ssl.SSLCertVerificationError as error:
            remedy = "give its authority with: outrider profile add … --ca ca.pem"
            raise ManagerUnreachable(
                f"the certificate of {self._profile.url} is not trusted ({error.verify_message}): {remedy}"
            ) from error
        except ssl.SSLError as error:
            remedy = "does it serve plain HTTP? then its address begins with http://"
            raise ManagerUnreachable(f"{self._profile.url} does not speak TLS ({error.reason}): {remedy}") from error
        except (OSError, http.client.HTTPException) as error:
            raise ManagerUnreachable(f"{self._profile.url} does not answer: {error or type(error).__name__}") from error
        if answer.status >= 400:
            raise _refused(answer)
        return answer


def _refused(answer: http.client.HTTPResponse) -> ManagerRefused:
    text = answer.read(64 * 1024)
    try:
        told = json.loads(text)
        return ManagerRefused(str(told["message"]), status=answer.status, code=str(told["error_code"]))
    except (ValueError, TypeError, KeyError):
        return ManagerRefused(
            f"{answer.status} {answer.reason}: is this the address of a manager?", status=answer.status
        )


def _blocks(stream: BinaryIO | http.client.HTTPResponse, moved: Moved) -> Iterator[bytes]:
    while block := stream.read(BLOCK_BYTES):
        yield block
        moved(len(block))
