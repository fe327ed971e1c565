"""What a task says of its plugin: its version, its wagons, and the modules that are imported ahead."""

from __future__ import annotations

from typing import Any

from outrider.dispatcher import plugin_choice
from outrider.dispatcher.plugin_choice import modules_of


def record(plugin: str, operation: str) -> dict[str, Any]:
    return {"plugin": plugin, "operation": operation}


def test_the_modules_of_a_plugin_are_found_in_nodes_and_both_sides_of_relationships() -> None:
    create = record("cloud", "cloud.network.create")
    nodes = [
        {
            "operations": {"create": create, "lifecycle.create": create, "start": record("script", "run.py")},
            "relationships": [
                {
                    "source_operations": {"establish": record("cloud", "cloud.links.attach")},
                    "target_operations": {"establish": record("cloud", "cloud.machine.notice")},
                }
            ],
        },
        {"operations": {"delete": record("cloud", "cloud.network.delete"), "stop": record("", "")}},
    ]
    assert modules_of("cloud", nodes) == ("cloud.network", "cloud.links", "cloud.machine")


def test_only_so_many_modules_travel_with_a_task() -> None:
    nodes = [{"operations": {str(n): record("big", f"big.part{n}.run")}} for n in range(plugin_choice.MOST_MODULES + 9)]
    assert len(modules_of("big", nodes)) == plugin_choice.MOST_MODULES
