"""A private PostgreSQL cluster per test run: started when a test first needs it, stopped at the interpreter's end."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.support.ports import free_port

USER = "postgres"


def programs() -> Path | None:
    """Return the folder of ``initdb`` and ``pg_ctl``; None if PostgreSQL is not installed."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return versions[-1].parent if versions else None


def new_database(*, language: str | None = None) -> str:
    """Return the URL of an empty database; skips the test if PostgreSQL is missing.

    `language`: text is sorted as a person's dictionary does (``en-US``), and not by its bytes.
    """
    if programs() is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    name = f"test_{uuid.uuid4().hex}"
    url = _cluster()
    engine = sa.create_engine(f"{url}/postgres".replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        sorting = f" TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE '{language}'" if language else ""
        connection.execute(sa.text(f"CREATE DATABASE {name}{sorting}"))
    engine.dispose()
    return f"{url}/{name}"


@functools.cache
def _cluster() -> str:
    """Start the cluster; returns its URL without a database."""
    folder = Path(tempfile.mkdtemp(prefix="outrider-postgres-"))
    data, binaries = folder / "data", programs()
    assert binaries is not None
    port = free_port()
    if os.getuid() == 0:
        shutil.chown(folder, USER)
    _run(binaries / "initdb", "-D", data, "-U", USER, "--auth=trust", "--no-sync")
    options = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off"
    _run(binaries / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(_run, binaries / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    return f"postgresql://{USER}@127.0.0.1:{port}"


def _run(*command: object) -> None:
    """Run a command as the cluster's user, which must not be root."""
    words = [str(each) for each in command]
    if os.getuid() == 0:
        words = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", *words]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, cwd="/", timeout=60)
