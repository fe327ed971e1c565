"""Files that operations keep with their deployment, by path; the content itself is in `dispatcher.files`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outrider.dispatcher.store.database import upsert
from outrider.dispatcher.store.instances import Key
from outrider.dispatcher.store.schema import DEPLOYMENT_FILES


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentFile:
    """A row, without its key."""

    sha256: str
    modified: str


def save(connection: Connection, key: Key, path: str, file: DeploymentFile) -> None:
    """Store a file's content, whether it is new or not."""
    row = {"tenant": key[0], "deployment_id": key[1], "path": path, "sha256": file.sha256, "modified": file.modified}
    upsert(connection, DEPLOYMENT_FILES, row, keys=("tenant", "deployment_id", "path"))


def listed(connection: Connection, key: Key) -> Mapping[str, DeploymentFile]:
    """Return a deployment's files by path."""
    query = sa.select(DEPLOYMENT_FILES).where(*_of(key)).order_by(DEPLOYMENT_FILES.c.path)
    return {row.path: DeploymentFile(sha256=row.sha256, modified=row.modified) for row in connection.execute(query)}


def find(connection: Connection, key: Key, path: str) -> DeploymentFile | None:
    """Return one file, if there is one of this path."""
    query = sa.select(DEPLOYMENT_FILES).where(*_of(key), DEPLOYMENT_FILES.c.path == path)
    row = connection.execute(query).one_or_none()
    return None if row is None else DeploymentFile(sha256=row.sha256, modified=row.modified)


def count(connection: Connection, key: Key) -> int:
    """Return how many files a deployment has."""
    query = sa.select(sa.func.count()).select_from(DEPLOYMENT_FILES).where(*_of(key))
    return int(connection.execute(query).scalar_one())


def delete(connection: Connection, key: Key, path: str) -> bool:
    """Forget a file; returns whether there was one."""
    statement = sa.delete(DEPLOYMENT_FILES).where(*_of(key), DEPLOYMENT_FILES.c.path == path)
    return connection.execute(statement).rowcount > 0


def _of(key: Key) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return DEPLOYMENT_FILES.c.tenant == key[0], DEPLOYMENT_FILES.c.deployment_id == key[1]
