"""Backup and restore with the commands that the operations guide names, on both databases."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from outrider.dispatcher.secrets import DatabaseTable, KeyRing, SecretInfo, SecretStore
from outrider.dispatcher.store import deployments
from outrider.dispatcher.store.database import Database
from outrider.dispatcher.store.deployments import Deployment
from tests.support.postgres import new_database

SECRET = "what only the key can read"


def fill(url: str, key: Path) -> None:
    database = Database(url)
    with database.begin() as connection:
        deployments.insert(connection, Deployment(id="app", blueprint_id="b"), nodes=[], node_instances=[], now=1)
    info = SecretInfo(tenant="default_tenant", name="door")
    SecretStore(DatabaseTable(database), KeyRing(key)).set(info, SECRET)
    database.close()


def check(url: str, key: Path) -> None:
    """Everything is there, for a program that opens the copy and has the key."""
    database = Database(url)
    with database.read() as connection:
        assert [each.id for each in deployments.listed(connection, "default_tenant")] == ["app"]
    assert SecretStore(DatabaseTable(database), KeyRing(key)).values("default_tenant", ["door"]) == {"door": SECRET}
    database.close()


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: {'sqlite3' if name == 'sqlite3' else 'postgresql-client'})")
    return found


def test_a_copy_of_a_running_sqlite_store_is_whole(tmp_path: Path) -> None:
    home, backup = tmp_path / "home", tmp_path / "backup"
    home.mkdir()
    backup.mkdir()
    url, key = f"sqlite:///{home / 'outrider.db'}", home / "secret.key"
    fill(url, key)
    busy = Database(url)  # what was written last is in the log beside the file
    try:
        run(program("sqlite3"), str(home / "outrider.db"), f".backup {backup / 'outrider.db'}")
    finally:
        busy.close()
    shutil.copy2(key, backup / "secret.key")
    check(f"sqlite:///{backup / 'outrider.db'}", backup / "secret.key")


def test_a_dump_of_postgresql_is_whole(tmp_path: Path) -> None:
    pg_dump, pg_restore = program("pg_dump"), program("pg_restore")
    url, empty = new_database(), new_database()
    fill(url, tmp_path / "secret.key")
    dump = str(tmp_path / "outrider.dump")
    run(pg_dump, "--format=custom", f"--file={dump}", url)
    run(pg_restore, "--no-owner", f"--dbname={empty}", dump)
    assert urlsplit(empty).path != urlsplit(url).path
    check(empty, tmp_path / "secret.key")
