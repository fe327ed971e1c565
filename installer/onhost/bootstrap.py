"""A host that brings its agent itself: enrols at the dispatcher, fetches the bundle, installs, starts.

Run by the script that a cloud hands to the new machine (`outrider.installer.initscript`). The machine is known by the
script's token alone. It makes its broker password itself and sends only a hash of it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import platform
import secrets
import shutil
import ssl
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional

from . import services
from .environment import build_environment, switch, verify_archive
from .errors import HostError
from .files import make_folder, write_atomic
from .layout import Layout
from .probing import libc

#: Stands in the configuration for the password, which only this host knows.
PASSWORD = "OUTRIDER-AGENT-PASSWORD"  # noqa: S105 - a placeholder
#: Kept for the agent's own removal.
PROGRAM = "host.pyz"
REQUEST_SECONDS = 60.0
STALL_SECONDS = 60.0
#: A dispatcher may be restarting, or making its first bundle.
PATIENCE_SECONDS = 1800.0
SERVICE_SECONDS = 120.0
_PAUSE_SECONDS = 5.0
_CHUNK = 1 << 20


def bootstrap(layout: Layout, request: dict[str, Any]) -> dict[str, Any]:
    """Make this host run the agent that the request's token is for.

    `request`: url, token, ca_pem (of the dispatcher's files), and optionally patience_seconds.
    """
    deadline = time.monotonic() + float(request.get("patience_seconds", PATIENCE_SECONDS))
    password = secrets.token_urlsafe(32)
    said = {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "machine": platform.machine(),
        "libc": libc()["name"],
        "state_dir": str(layout.state),
        "ca_file": str(layout.ca),
        "password_hash": hash_password(password),
    }
    answer = _enrol(request, said, deadline)
    with tempfile.TemporaryDirectory(prefix="outrider-bundle-") as folder:
        archive = Path(folder) / answer["filename"]
        _fetch(request, answer["sha256"], archive, deadline)
        verify_archive(archive, answer["sha256"])
        build_environment(layout, archive=archive, sha256=answer["sha256"], name=answer["version"])
    _configure(layout, answer, password)
    switch(layout, answer["version"])
    service = services.ensure(layout, answer.get("service"))
    services.restart(layout)
    services.wait_until_active(layout, SERVICE_SECONDS)
    return {"version": answer["version"], **service}


def hash_password(password: str) -> str:
    """Return the hash as the broker takes it: base64 of a salt and the SHA-256 of salt and password."""
    salt = os.urandom(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _configure(layout: Layout, answer: dict[str, Any], password: str) -> None:
    make_folder(layout.state, mode=0o700)
    layout.state.chmod(0o700)
    write_atomic(layout.config, answer["configuration"].replace(PASSWORD, password), mode=0o600)
    if answer.get("ca_pem"):
        write_atomic(layout.ca, answer["ca_pem"], mode=0o644)
    kept = layout.agent / PROGRAM
    shutil.copy(sys.argv[0], kept)
    kept.chmod(0o600)


def _enrol(request: dict[str, Any], said: dict[str, Any], deadline: float) -> dict[str, Any]:
    body = json.dumps(said).encode()
    with _asked(request, "agents", deadline, body=body) as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found


def _fetch(request: dict[str, Any], sha256: str, archive: Path, deadline: float) -> None:
    while True:
        try:
            with _asked(request, sha256, deadline) as answer, archive.open("wb") as sink:
                shutil.copyfileobj(answer, sink, _CHUNK)
                announced = int(answer.headers.get("Content-Length") or sink.tell())
                broken = "the connection ended early" if sink.tell() < announced else ""
        except OSError as error:
            broken = str(error)
        if not broken:
            return
        _pause(f"fetching the bundle: {broken}", deadline)


@contextmanager
def _asked(request: dict[str, Any], path: str, deadline: float, *, body: Optional[bytes] = None) -> Iterator[Any]:
    """Ask the dispatcher, again and again until the deadline, as long as it is not there or says *not now*."""
    url = f"{str(request['url']).rstrip('/')}/{path}"
    headers = {"Authorization": f"Bearer {request['token']}", "Content-Type": "application/json"}
    context = ssl.create_default_context(cadata=request["ca_pem"]) if request.get("ca_pem") else None
    while True:
        asked = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 - the script's own address
        try:
            answer = urllib.request.urlopen(asked, timeout=REQUEST_SECONDS, context=context)  # noqa: S310 - as above
            break
        except urllib.error.HTTPError as error:
            with error:
                text = error.read(2000).decode(errors="replace").strip()
            if error.code not in (429, 502, 503, 504):
                raise HostError(
                    "enrolment", f"the dispatcher at {url} refused: {error.code}: {text}", "see the dispatcher's log"
                ) from error
            _pause(text, deadline)
        except OSError as error:
            _pause(f"{url} cannot be reached: {error}", deadline)
    with answer:
        yield answer


def _pause(reason: str, deadline: float) -> None:
    print(f"outrider: {reason}; trying again", file=sys.stderr, flush=True)  # noqa: T201 - for the boot's log
    if time.monotonic() + _PAUSE_SECONDS > deadline:
        raise HostError(
            "enrolment",
            f"gave up: {reason}",
            "see whether the host reaches the dispatcher's files_url, then run the script again",
        )
    time.sleep(_PAUSE_SECONDS)
