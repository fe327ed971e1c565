"""How many instances of each state a deployment has, counted again only when one of them changed.

Every change of an instance raises its deployment's `model_version`, so a count stays right until then. Lists of
deployments ask for it: a page may stand for tens of thousands of instances.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from outrider.dispatcher.store.schema import NODE_INSTANCES

Key = tuple[str, str]
#: Tenant, id, time of creation (an id may be used again), model version.
_Mark = tuple[str, str, float, int]

KEPT = 20_000


class InstanceStates:
    """Counts by deployment. Thread-safe."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_Mark, Mapping[str, int]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, connection: Connection, rows: Sequence[Row[Any]]) -> Mapping[Key, Mapping[str, int]]:
        """Return the counts for rows of the deployments' table."""
        marks = {(row.tenant, row.id): (row.tenant, row.id, row.created_at, row.model_version) for row in rows}
        with self._lock:
            found = {key: self._kept[mark] for key, mark in marks.items() if mark in self._kept}
        missing = [key for key in marks if key not in found]
        if missing:
            counted = _count(connection, missing)
            found |= counted
            with self._lock:
                self._kept |= {marks[key]: counts for key, counts in counted.items()}
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        return found


def _count(connection: Connection, keys: Sequence[Key]) -> dict[Key, Mapping[str, int]]:
    found: dict[Key, Counter[str]] = {key: Counter() for key in keys}
    by_tenant: defaultdict[str, list[str]] = defaultdict(list)
    for tenant, deployment_id in keys:
        by_tenant[tenant].append(deployment_id)
    table = NODE_INSTANCES.c
    for tenant, ids in by_tenant.items():
        query = (
            sa.select(table.deployment_id, table.state, sa.func.count())
            .where(table.tenant == tenant, table.deployment_id.in_(ids))
            .group_by(table.deployment_id, table.state)
        )
        for deployment_id, state, count in connection.execute(query).all():
            found[tenant, deployment_id][state] = count
    return dict(found)
