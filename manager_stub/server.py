"""Serves the application with uvicorn in a thread of its own, so that the process's main thread keeps its signals."""

from __future__ import annotations

import logging
import os
import socket
import ssl
import threading
import time
from dataclasses import replace

import uvicorn

from outrider.dispatcher.addresses import in_url, listen_on
from outrider.dispatcher.patience import impatient_protocol
from outrider.manager_stub.app import create_app
from outrider.manager_stub.errors import CannotServe
from outrider.manager_stub.peers import TRUSTED_PROXIES
from outrider.manager_stub.service import Manager
from outrider.manager_stub.settings import ManagerSettings

log = logging.getLogger(__name__)

START_SECONDS = 20.0
#: How long running requests may go on after `stop`.
STOP_SECONDS = 5.0
_POLL_SECONDS = 0.01


def listen(settings: ManagerSettings) -> socket.socket:
    """Listen where the settings say, before anything is served there: the port is known from now on.

    Raises CannotServe.
    """
    problems = settings.problems()
    if problems:
        raise CannotServe(" ".join(problems))
    _check_certificate(settings)
    try:
        return listen_on(settings.host, settings.port, backlog=512)
    except OSError as error:
        where = f"{in_url(settings.host)}:{settings.port}"
        # What Python adds repeats the address.
        reason = str(error.strerror).partition(" (while ")[0]
        raise CannotServe(f"cannot listen on {where}: {reason}; choose another with --listen") from error


def _check_certificate(settings: ManagerSettings) -> None:
    """Read the certificate as the server will; raises CannotServe."""
    certificate, key = settings.certificate, settings.certificate_key
    if certificate is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        what = "do not belong together" if error.reason == "KEY_VALUES_MISMATCH" else "cannot be read as PEM"
        raise CannotServe(f"the certificate {certificate} and its key {key} {what}") from error
    except OSError as error:
        raise CannotServe(f"the certificate {certificate} or its key {key} cannot be read: {error.strerror}") from error


class ManagerServer:
    """The manager on a port; use as a context manager."""

    def __init__(self, manager: Manager, listener: socket.socket | None = None) -> None:
        """`listener` comes from `listen`; without it, the server listens when it starts."""
        self._settings = manager.settings
        self._listener = listener
        self._app = create_app(manager)
        self._page_processes = manager.page_processes
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        #: The port that is listened on, also where the settings leave the choice (0).
        self.port = manager.settings.port

    @property
    def url(self) -> str:
        """Where clients find it."""
        return replace(self._settings, port=self.port).url

    def __enter__(self) -> ManagerServer:
        """Listen; returns when requests are answered. Raises CannotServe."""
        listener = self._listener or listen(self._settings)
        self.port = listener.getsockname()[1]
        server = uvicorn.Server(self._config())
        thread = threading.Thread(target=_serve, args=(server, listener), name="outrider-manager", daemon=True)
        self._server, self._thread = server, thread
        thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                self.stop()
                raise CannotServe(f"{self.url} did not start: see the log for the reason")
            time.sleep(_POLL_SECONDS)
        log.info("serving on %s", self.url, extra={"action": "manager_serving"})
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop listening, give running requests a moment."""
        self.stop()

    def stop(self) -> None:
        """Stop, and wait for the thread."""
        if self._server is None or self._thread is None:
            return
        self._page_processes.close()
        self._server.should_exit = True
        self._thread.join(STOP_SECONDS + 1)
        if self._thread.is_alive():
            self._server.force_exit = True
            self._thread.join(STOP_SECONDS)

    def _config(self) -> uvicorn.Config:
        certificate, key = self._settings.certificate, self._settings.certificate_key
        return uvicorn.Config(
            self._app,
            http=impatient_protocol(),
            log_config=None,
            access_log=False,
            server_header=False,
            # None: what the environment says.
            forwarded_allow_ips=None if "FORWARDED_ALLOW_IPS" in os.environ else ",".join(TRUSTED_PROXIES),
            lifespan="off",
            timeout_graceful_shutdown=int(STOP_SECONDS),
            ssl_certfile=str(certificate) if certificate else None,
            ssl_keyfile=str(key) if key else None,
        )


def _serve(server: uvicorn.Server, listener: socket.socket) -> None:
    with listener:
        server.run(sockets=[listener])
