"""The web service: ``POST /NAME`` stores a text, ``GET /`` shows what the worker has counted.

Started by `service.start` as ``python -m wordcount.web CONFIGURATION``; writes the address that it listens on to
``DATA_FOLDER/address``.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Callable

import waitress

NAME = re.compile(r"/([a-z0-9-]{1,64})")
MAX_TEXT_BYTES = 1_000_000


class WordCount:
    """The WSGI application."""

    def __init__(self, title: str, folder: Path) -> None:
        self.title = title
        self.folder = folder

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        if environ["REQUEST_METHOD"] == "POST":
            status, answer = self.store(environ)
        else:
            status, answer = "200 OK", self.state()
        body = json.dumps(answer).encode()
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    def store(self, environ: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Put a text into the worker's inbox."""
        match = NAME.fullmatch(environ["PATH_INFO"])
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if match is None or length > MAX_TEXT_BYTES:
            return "400 Bad Request", {"error": "POST /name, a-z 0-9 and -, at most 1 MB"}
        inbox = self.folder / "inbox"
        unfinished = inbox / f".{match.group(1)}"
        unfinished.write_bytes(environ["wsgi.input"].read(length))
        unfinished.rename(inbox / f"{match.group(1)}.txt")
        return "202 Accepted", {"text": match.group(1)}

    def state(self) -> dict[str, Any]:
        """Return the title and what was counted."""
        counted = [json.loads(path.read_text()) for path in sorted((self.folder / "counted").glob("*.json"))]
        return {"title": self.title, "counted": {entry["text"]: entry["words"] for entry in counted}}


def main() -> None:
    """Serve on loopback until ended."""
    configuration = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(configuration["data_folder"])
    server = waitress.create_server(
        WordCount(configuration["title"], folder),
        host="127.0.0.1",
        port=configuration["port"],
        threads=configuration["threads"],
    )
    address = folder / ".address"
    address.write_text(f"http://127.0.0.1:{server.effective_port}/\n", encoding="utf-8")
    address.rename(folder / "address")
    server.run()


if __name__ == "__main__":
    main()
