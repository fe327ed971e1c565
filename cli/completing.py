"""Names for the shell to complete: from the manager in use, or from this machine's store.

A shell calls this at each press of Tab, so it is quick and quiet: without an answer within a moment there are no names,
and nothing is printed into the line that somebody is writing.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable

from outrider.cli.profiles import LOCAL, in_use, names

PATIENCE_SECONDS = 2.0
#: More would not help anybody who looks for one.
MOST = 200

#: What is completed → its list at the manager, and the field that names one.
_LISTS = {
    "deployment": ("/deployments", "id"),
    "blueprint": ("/blueprints", "id"),
    "execution": ("/executions", "id"),
    "plugin": ("/plugins", "package_name"),
    "secret": ("/secrets", "key"),
}


def deployments(incomplete: str) -> list[str]:
    """Return ids of deployments."""
    return _names("deployment", incomplete)


def blueprints(incomplete: str) -> list[str]:
    """Return ids of uploaded blueprints."""
    return _names("blueprint", incomplete)


def executions(incomplete: str) -> list[str]:
    """Return ids of executions, the newest first."""
    return _names("execution", incomplete)


def plugins(incomplete: str) -> list[str]:
    """Return names of plugins."""
    return _names("plugin", incomplete)


def secrets(incomplete: str) -> list[str]:
    """Return names of secrets."""
    return _names("secret", incomplete)


def managers(incomplete: str) -> list[str]:
    """Return names of profiles."""
    return [name for name in names() if name.startswith(incomplete)]


def profiles(incomplete: str) -> list[str]:
    """Return names of profiles, and the one that stands for this machine."""
    return [*managers(incomplete), *([LOCAL] if LOCAL.startswith(incomplete) else [])]


def _names(kind: str, incomplete: str) -> list[str]:
    source: Callable[[str, str], list[str]] = _of_manager if in_use() != LOCAL else _of_store
    # Whatever is wrong, a wrong profile or a network that is down, the command itself will say; a completion must not.
    with contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(Exception, SystemExit):
        found = [name for name in source(kind, incomplete) if name.startswith(incomplete)]
        return list(dict.fromkeys(found))[:MOST]
    return []


def _of_manager(kind: str, incomplete: str) -> list[str]:
    from outrider.cli.profiles import load
    from outrider.cli.remote.client import ManagerClient

    path, field = _LISTS[kind]
    query: dict[str, object] = {"_include": field, "_size": 1000}
    if kind == "execution":
        query["_sort"] = "-created_at"  # an execution is not searched for by its id
    else:
        query |= {"_sort": field, **({"_search": incomplete} if incomplete else {})}
    client = ManagerClient(load(in_use()), timeout_seconds=PATIENCE_SECONDS)
    with contextlib.closing(client):
        return [each[field] for each in client.call("GET", path, query=query)["items"]]


def _of_store(kind: str, incomplete: str) -> list[str]:
    import sqlalchemy as sa

    from outrider.cli.settings import command_settings
    from outrider.dispatcher.store import schema
    from outrider.dispatcher.store.database import Database

    settings = command_settings()
    if not settings.connection.database_url and not (settings.home.path / "outrider.db").exists():
        return []
    columns: dict[str, tuple[sa.ColumnElement[str], sa.ColumnElement[object]]] = {
        "deployment": (schema.DEPLOYMENTS.c.id, schema.DEPLOYMENTS.c.id),
        "blueprint": (schema.BLUEPRINTS.c.id, schema.BLUEPRINTS.c.id),
        "execution": (schema.EXECUTIONS.c.id, schema.EXECUTIONS.c.created_at.desc()),
        "plugin": (schema.PLUGINS.c.package_name, schema.PLUGINS.c.package_name),
        "secret": (schema.SECRETS.c.name, schema.SECRETS.c.name),
    }
    column, order = columns[kind]
    query = sa.select(column).where(column.startswith(incomplete, autoescape=True)).order_by(order).limit(MOST)
    with contextlib.closing(Database(settings.database_url)) as database, database.read() as connection:
        return list(connection.execute(query).scalars())
