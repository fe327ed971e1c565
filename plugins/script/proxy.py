"""Lets a script's process use the operation's context: a small HTTP server on loopback that the `ctx` command asks.

The protocol is the ecosystem's: POST with ``{"args": […]}`` as body; the answer is
``{"type": "result" | "error" | "stop_operation", "payload": …}`` with status 200. The address, which the script finds
in ``CTX_SOCKET_URL``, has a secret path, so that other users of the machine cannot use an operation's context. Our own
`ctx` command also sends the header ``Outrider-Output`` (``text`` or ``json``) and gets the text to print, with the type
in the header ``Outrider-Type``: that saves it from importing a JSON decoder, half of its running time.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import socket
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from traceback import format_exc
from typing import Any, Optional

from outrider.plugins.script.errors import ScriptException
from outrider.plugins.script.walk import walk
from outrider.plugins.sdk.values import as_json

LOOPBACK = "127.0.0.1"
#: More than any sensible value; a bound for a script that pipes a file into ``ctx``.
MAX_BODY_BYTES = 64 * 1024 * 1024
#: How long a connection may take to send its request.
REQUEST_TIMEOUT_SECONDS = 30.0


class ContextServer:
    """Serves one context, from `start` until it is closed. Its address is good before: whoever asks waits for that."""

    def __init__(
        self,
        ctx: Any,
        *,
        port: int = 0,
        secret_path: bool = True,
        stop_errors: tuple[type[Exception], ...] = (ScriptException,),
    ) -> None:
        self._ctx = ctx
        self._stop_errors = stop_errors
        self.path = f"/{os.urandom(24).hex()}" if secret_path else ""
        # A context is not made for two callers at once.
        self._lock = threading.Lock()
        self._listener = _listen(port)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://{LOOPBACK}:{self.port}{self.path}"
        self._running: Optional[tuple[_Server, threading.Thread]] = None

    def __enter__(self) -> ContextServer:
        self.start()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Return a descriptor that is readable when somebody asks."""
        return self._listener.fileno()

    def start(self) -> None:
        """Serve from now on, on a thread. Most scripts ask nothing: for them, nobody need call this."""
        if self._running is None:
            server = _Server(self._listener, self)
            thread = threading.Thread(target=server.serve, name="ctx-server", daemon=True)
            self._running = (server, thread)
            thread.start()

    def close(self) -> None:
        """Stop serving; returns when the server's thread has ended."""
        if self._running is None:
            self._listener.close()
            return
        server, thread = self._running
        if thread.is_alive():
            server.stop()
            thread.join(REQUEST_TIMEOUT_SECONDS)

    def is_addressed(self, path: str) -> bool:
        """Say whether a request has the right path."""
        return not self.path or hmac.compare_digest(path.encode(), self.path.encode())

    def answer(self, arguments: Sequence[Any]) -> tuple[str, Any]:
        """Walk, and return (type, payload)."""
        with self._lock:
            try:
                return "result", as_json(walk(self._ctx, arguments), what=f"ctx {' '.join(map(str, arguments))}")
            except self._stop_errors as stop:
                return "stop_operation", {"type": "ScriptException", "message": str(stop), "traceback": ""}
            except Exception as error:  # noqa: BLE001 - whatever the context raises is the script's answer
                return "error", {"type": type(error).__name__, "message": str(error), "traceback": format_exc()}


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen()
    except BaseException:
        listener.close()
        raise
    return listener


class _Server(ThreadingHTTPServer):
    """An HTTP server that stops at once: the standard one takes up to half a second."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, owner: ContextServer) -> None:
        # It would look its own name up, which a host with a slow name server waits for.
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.owner = owner
        self._stopping = False

    def serve(self) -> None:
        while not self._stopping:
            self.handle_request()
        self.server_close()

    def stop(self) -> None:
        self._stopping = True
        # Wakes the accept. The server closes its own socket, so that its number is not reused under it; if another
        # request has woken it already, it is closing, and refuses or resets this one.
        with contextlib.suppress(OSError), socket.socket() as wake:
            wake.connect(self.server_address[:2])


class _Handler(BaseHTTPRequestHandler):
    """One question of a script."""

    server: _Server
    timeout = REQUEST_TIMEOUT_SECONDS

    def do_POST(self) -> None:
        """Answer one walk."""
        if not self.server.owner.is_addressed(self.path):
            self.send_error(404, "not the context's address")
            return
        arguments = self._arguments()
        if arguments is not None:
            self._reply(*self.server.owner.answer(arguments))

    def _arguments(self) -> Optional[list[Any]]:
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            self.send_error(411, "Content-Length is missing")
            return None
        if not 0 <= length <= MAX_BODY_BYTES:
            self.send_error(413, f"the request is larger than {MAX_BODY_BYTES} bytes")
            return None
        try:
            arguments = json.loads(self.rfile.read(length))["args"]
        except (ValueError, KeyError, TypeError):
            arguments = None
        if not isinstance(arguments, list):
            self.send_error(400, 'the body is not {"args": [...]}')
            return None
        return arguments

    def _reply(self, kind: str, payload: Any) -> None:
        output = self.headers.get("Outrider-Output")
        text = json.dumps({"type": kind, "payload": payload}) if output is None else printable(kind, payload, output)
        body = text.encode("utf-8")
        self.send_response(200)
        self.send_header("Content-Type", "application/json" if output is None else "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if output is not None:
            self.send_header("Outrider-Type", kind)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Say nothing: the script's output is no place for it."""


def printable(kind: str, payload: Any, output: str) -> str:
    """Return what the `ctx` command prints: the value as JSON, or as text with nothing for empty values."""
    if kind == "error":
        return f"{payload['type']}: {payload['message']}"
    if kind == "stop_operation":
        return str(payload["message"])
    if output == "json":
        return json.dumps(payload)
    return str(payload) if payload else ""
