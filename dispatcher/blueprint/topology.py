"""Which node contains which, who is whose host, and whether relationships form a cycle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.model import NodeTemplate
from outrider.dispatcher.blueprint.problems import Problems

COMPUTE = "cloudify.nodes.Compute"


def find_hosts(templates: Mapping[str, NodeTemplate]) -> dict[str, str]:
    """Return node -> the Compute node that it is, or is contained in over any number of levels."""
    hosts: dict[str, str | None] = {}
    for name in templates:
        chain = []
        current: str | None = name
        while current is not None and current in templates and current not in hosts and current not in chain:
            chain.append(current)
            if COMPUTE in templates[current].type.hierarchy:
                hosts[current] = current
                break
            current = templates[current].container
        found = hosts.get(current) if current is not None else None
        for item in chain:
            hosts.setdefault(item, found)
    return {name: host for name, host in hosts.items() if host is not None}


def refuse_cycles(templates: Mapping[str, NodeTemplate], problems: Problems) -> bool:
    """Record each cycle of relationships; return whether there is none."""
    cycle = find_cycle(templates, {name: [r.target for r in item.relationships] for name, item in templates.items()})
    if cycle is None:
        return True
    at = next((r.at for r in templates[cycle[0]].relationships if r.target == cycle[1]), None)
    problems.add(Kind.RELATIONSHIP_CYCLE, f"relationships form a cycle: {' → '.join(cycle)}", at=at)
    return False


def find_cycle(names: Iterable[str], edges: Mapping[str, list[str]]) -> list[str] | None:
    """Return one cycle as a list whose ends are equal, or None; without recursion, whatever the depth."""
    done: set[str] = set()
    for start in names:
        if start in done:
            continue
        path: list[str] = [start]
        on_path = {start}
        pending = [iter(edges.get(start, ()))]
        while pending:
            following = next((item for item in pending[-1] if item not in done), None)
            if following is None:
                pending.pop()
                finished = path.pop()
                on_path.discard(finished)
                done.add(finished)
            elif following in on_path:
                return [*path[path.index(following) :], following]
            else:
                path.append(following)
                on_path.add(following)
                pending.append(iter(edges.get(following, ())))
    return None
