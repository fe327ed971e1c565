"""Runs the endpoint in a thread of the dispatcher, for agents on other machines, where no manager serves it."""

from __future__ import annotations

import logging
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from outrider.dispatcher.addresses import in_url, listen_on
from outrider.dispatcher.files.app import files_app
from outrider.dispatcher.files.content import ContentStore
from outrider.dispatcher.files.enrolment import Enrol
from outrider.dispatcher.files.errors import ServerFailed
from outrider.dispatcher.files.tokens import FileTokens, Subject
from outrider.dispatcher.patience import REQUEST_SECONDS, impatient_protocol
from outrider.messaging.messages import FilesRef

_log = logging.getLogger(__name__)

PREFIX = "/files"
_POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where the endpoint listens and how agents reach it."""

    host: str = "127.0.0.1"
    #: 0: any free port; `FilesServer.port` says which.
    port: int = 0
    #: Name or address that agents use; None: `host`.
    advertise: str | None = None
    certificate: Path | None = None
    certificate_key: Path | None = None
    #: PEM of the authority that signed the certificate, given to agents.
    authority: Path | None = None
    #: With more connections at once than this, requests are answered 503; agents try again.
    concurrent_requests: int = 200
    #: For how long a connection may ask nothing.
    request_seconds: float = REQUEST_SECONDS
    start_seconds: float = 10.0
    #: How long running transfers may go on after `stop`.
    stop_seconds: float = 5.0


class FilesServer:
    """The endpoint on a port. Use as a context manager, or call `start` and `stop`."""

    def __init__(
        self,
        store: ContentStore,
        tokens: FileTokens,
        settings: ServerSettings | None = None,
        *,
        enrol: Enrol | None = None,
    ) -> None:
        self._settings = settings or ServerSettings()
        self._tokens = tokens
        self._app = Starlette(routes=[Mount(PREFIX, files_app(store, tokens, enrol=enrol))])
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self.port = self._settings.port

    def start(self) -> None:
        """Listen; returns when requests are answered. Raises ServerFailed."""
        listener = self._listen()
        self.port = listener.getsockname()[1]
        self._server = uvicorn.Server(self._config())
        self._thread = threading.Thread(
            target=self._serve, args=(self._server, listener), name="outrider-files", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + self._settings.start_seconds
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self.stop()
                raise ServerFailed(f"the file endpoint on {self._address()} did not start: see the log for the reason")
            time.sleep(_POLL_SECONDS)
        _log.info("serving files on %s", self.url, extra={"action": "files_serving"})

    def stop(self) -> None:
        """Stop listening, give running transfers a moment, and wait for the thread. Raises ServerFailed."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(self._settings.stop_seconds + 1)
        if self._thread.is_alive():
            self._server.force_exit = True
            self._thread.join(self._settings.stop_seconds)
        if self._thread.is_alive():
            raise ServerFailed(f"the file endpoint on {self._address()} did not stop in time")
        self._server = self._thread = None

    @property
    def url(self) -> str:
        """What agents put a slash and a hash behind."""
        scheme = "https" if self._settings.certificate else "http"
        return f"{scheme}://{in_url(self._settings.advertise or self._settings.host)}:{self.port}{PREFIX}"

    def ref(self, subject: Subject, *, lifetime_seconds: float) -> FilesRef:
        """Return the reference for a remote agent, with a token of its own."""
        authority = self._settings.authority
        return FilesRef(
            url=self.url,
            token=self._tokens.issue(subject, lifetime_seconds=lifetime_seconds),
            ca_pem=authority.read_text(encoding="utf-8") if authority else None,
        )

    def __enter__(self) -> FilesServer:
        self.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    def _listen(self) -> socket.socket:
        try:
            return listen_on(self._settings.host, self._settings.port, backlog=128)
        except OSError as error:
            raise ServerFailed(
                f"cannot listen on {self._address()} to serve files: {error.strerror}; choose another address or port"
            ) from error

    def _serve(self, server: uvicorn.Server, listener: socket.socket) -> None:
        with listener:
            server.run(sockets=[listener])

    def _config(self) -> uvicorn.Config:
        certificate, key = self._settings.certificate, self._settings.certificate_key
        return uvicorn.Config(
            self._app,
            http=impatient_protocol(self._settings.request_seconds),
            log_config=None,
            access_log=False,
            lifespan="off",
            limit_concurrency=self._settings.concurrent_requests,
            timeout_graceful_shutdown=int(self._settings.stop_seconds),
            ssl_certfile=str(certificate) if certificate else None,
            ssl_keyfile=str(key) if key else None,
        )

    def _address(self) -> str:
        return f"{in_url(self._settings.host)}:{self.port}"
