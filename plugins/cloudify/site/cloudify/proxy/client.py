"""The ``ctx`` command: a script's access to the context of its operation.

    ctx instance runtime-properties port 8080       set a runtime property
    ctx node properties port                        print a node property
    ctx logger info "starting"                      log
    ctx returns @'{"port": 8080}'                   the operation's return value, from JSON
    ctx retry_operation "not up yet" 10             call the operation again in 10 seconds

One file, standard library only: it is also copied to hosts that have nothing else, and it is there as a module
(`cloudify.proxy.client`). A script may call it often, so it starts fast: it imports no argument parser, no HTTP client
and, where the server is ours, no JSON decoder.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

CTX_SOCKET_URL = "CTX_SOCKET_URL"
DEFAULT_TIMEOUT_SECONDS = 30.0

USAGE = """\
usage: ctx [-t SECONDS] [--socket-url URL] [--json-arg-prefix PREFIX] [-j] ARGUMENT...

  -t, --timeout SECONDS      how long to wait for the answer (default: 30)
  --socket-url URL           where the context is (default: $CTX_SOCKET_URL)
  --json-arg-prefix PREFIX   an argument that starts with it is JSON (default: @)
  -j, --json-output          print the answer as JSON
"""


class ScriptException(Exception):
    """The operation is to end: aborted, or with `retry` to be called again."""

    def __init__(self, message: Optional[str] = None, retry: bool = False) -> None:  # noqa: FBT001, FBT002 - the ecosystem's signature
        super().__init__(message)
        self.message = message
        self.retry = retry


class RequestError(RuntimeError):
    """The context answered with an error."""

    def __init__(self, message: str, *, error_type: Optional[str] = None, traceback: Optional[str] = None) -> None:
        super().__init__(message)
        self.type = error_type
        self.traceback = traceback


class StopOperation(SystemExit):
    """The operation was ended by this call: the calling script should end too."""


def client_req(socket_url: str, args: list[Any], timeout: float = DEFAULT_TIMEOUT_SECONDS) -> Any:
    """Walk through the context by `args`; return the value. Raises `RequestError` and `StopOperation`."""
    import json

    _, body = post(socket_url, json.dumps({"args": list(args)}), timeout)
    reply = json.loads(body)
    payload = reply["payload"]
    if reply["type"] == "stop_operation":
        raise StopOperation(payload["message"])
    if reply["type"] == "error":
        raise RequestError(
            "{type}: {message}".format(**payload), error_type=payload["type"], traceback=payload.get("traceback")
        )
    return payload


def post(url: str, body: str, timeout: float, headers: str = "") -> tuple[str, str]:
    """Send one HTTP request; return (headers in lower case, body)."""
    from _socket import socket  # what the `socket` module is made of, without the rest of it

    host, port, path = split_url(url)
    data = body.encode("utf-8")
    head = f"POST {path} HTTP/1.0\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n{headers}"
    connection = socket()
    try:
        connection.settimeout(timeout)
        connection.connect((host, port))
        connection.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        answer = []
        while True:
            part = connection.recv(65536)
            if not part:
                break
            answer.append(part)
    finally:
        connection.close()
    answered, _, content = b"".join(answer).partition(b"\r\n\r\n")
    lines = answered.decode("latin-1").split("\r\n")
    if lines[0].split(" ")[1:2] != ["200"]:
        raise RequestError(f"the context's server at {host}:{port} refused: {lines[0] or 'no answer'}")
    return "\n".join(lines[1:]).lower(), content.decode("utf-8")


def split_url(url: str) -> tuple[str, int, str]:
    """Return host, port and path of ``http://host:port/path``."""
    scheme, _, rest = url.partition("://")
    address, slash, path = rest.partition("/")
    host, _, port = address.rpartition(":")
    if scheme != "http" or not port.isdigit():
        raise RequestError(f"{url!r} is not an address of a context (http://HOST:PORT)")
    # Some hosts resolve localhost to ::1 first, where nobody listens.
    return ("127.0.0.1" if host == "localhost" else host), int(port), slash + path or "/"


class Options:
    """The command line."""

    def __init__(self, argv: list[str]) -> None:
        self.timeout = DEFAULT_TIMEOUT_SECONDS
        self.socket_url = os.environ.get(CTX_SOCKET_URL)
        self.json_prefix = "@"
        self.json_output = False
        rest = list(argv)
        while rest and rest[0].startswith("-") and rest[0] != "-":
            name, equals, value = rest.pop(0).partition("=")
            if name == "--":
                break
            if name in ("-h", "--help"):
                sys.stdout.write(USAGE)
                raise SystemExit(0)
            if name in ("-j", "--json-output"):
                self.json_output = True
                continue
            if name not in ("-t", "--timeout", "--socket-url", "--json-arg-prefix") or not (equals or rest):
                raise RequestError(f"option {name} is not known, or has no value\n{USAGE}")
            self.take(name, value if equals else rest.pop(0))
        self.arguments = rest

    def take(self, name: str, value: str) -> None:
        """Note one option that has a value."""
        if name == "--socket-url":
            self.socket_url = value
        elif name == "--json-arg-prefix":
            self.json_prefix = value
        else:
            try:
                self.timeout = float(value)
            except ValueError:
                raise RequestError(f"{name} needs a number of seconds, not {value!r}") from None

    def body(self) -> str:
        """Return the request's body."""
        return '{"args": [' + ", ".join(self.encoded(argument) for argument in self.arguments) + "]}"

    def encoded(self, argument: str) -> str:
        """Return one argument as JSON."""
        if self.json_prefix and argument.startswith(self.json_prefix):
            import json

            text = argument[len(self.json_prefix) :]
            try:
                return json.dumps(json.loads(text))
            except ValueError as error:
                raise RequestError(f"the argument {argument!r} is not JSON: {error}") from None
        return quoted(argument.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))


def quoted(text: str) -> str:
    """Return a JSON string."""
    try:
        from _json import encode_basestring_ascii
    except ImportError:  # not CPython
        from json.encoder import encode_basestring_ascii
    return str(encode_basestring_ascii(text))


def run(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    options = Options(argv)
    if not options.socket_url:
        raise RequestError(f"{CTX_SOCKET_URL} is not set: ctx works inside a script of an operation only")
    output = "json" if options.json_output else "text"
    headers, text = post(options.socket_url, options.body(), options.timeout, f"Outrider-Output: {output}\r\n")
    kind = "result"
    if "outrider-type: " in headers:
        kind = headers.partition("outrider-type: ")[2].partition("\n")[0]
    else:
        kind, text = decoded(text, json_output=options.json_output)
    if kind == "result":
        sys.stdout.write(text + "\n" if text else "")
        return 0
    sys.stderr.write(text + "\n")
    return 1


def decoded(text: str, *, json_output: bool) -> tuple[str, str]:
    """Return type and printable text of an answer in the common JSON form."""
    import json

    reply = json.loads(text)
    payload = reply["payload"]
    if reply["type"] == "result":
        return "result", json.dumps(payload) if json_output else str(payload or "")
    return reply["type"], payload["message"] if isinstance(payload, dict) else str(payload)


def main(args: Optional[list[str]] = None) -> None:
    """Run the command and end the process."""
    # Whatever the shell passes and the context answers is to come out as it is.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(  # type: ignore[union-attr]  # they are files, not what a test may put there
            encoding="utf-8", errors="replace"
        )
    try:
        code = run(sys.argv[1:] if args is None else args)
    except (RequestError, OSError) as error:
        sys.stderr.write(f"ctx: {error}\n")
        code = 1
    sys.exit(code)


if __name__ == "__main__":
    main()
