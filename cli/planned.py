"""Prints the operations that a workflow would run, for `blueprint plan` and `deployment update --preview`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from outrider.cli.output import print_json, print_table
from outrider.dispatcher.workflows.preview import PlannedOperation


def print_planned(planned: Iterable[PlannedOperation], *, json: bool, empty: str) -> None:
    """Print operations in the order in which they could run; `empty` is said when there are none."""
    if json:
        print_json([asdict(each) for each in planned])
        return
    print_table(
        ("stage", "wave", "instance", "operation", "plugin", "runs", "on"),
        (
            (
                each.stage,
                each.wave,
                each.instance if each.target is None else f"{each.instance} -> {each.target}",
                each.operation.rpartition(".")[2],
                each.plugin,
                each.implementation,
                each.host or "central",
            )
            for each in planned
        ),
        empty=empty,
    )
