"""`reinstall`: take instances down and bring them up again; also the end of `heal` and `update`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from outrider.dispatcher.workflows.graph import Stage, StagePlan, Workflow
from outrider.dispatcher.workflows.install import install_graph
from outrider.dispatcher.workflows.recovery import prepare_resume, recover
from outrider.dispatcher.workflows.selection import select
from outrider.dispatcher.workflows.steps import Options
from outrider.dispatcher.workflows.uninstall import uninstall_graph
from outrider.dispatcher.workflows.view import DeploymentView

Chosen = Callable[[DeploymentView], Iterable[str]]


def plan_reinstall(parameters: Mapping[str, Any], _view: DeploymentView) -> Workflow:
    """Plan the workflow `reinstall`."""

    def chosen(view: DeploymentView) -> Iterable[str]:
        return select(view, parameters)

    return Workflow(
        name="reinstall",
        stages=reinstall_stages(chosen, chosen, Options(ignore_failure=parameters["ignore_failure"])),
        recover=recover,
        prepare_resume=prepare_resume,
    )


def reinstall_stages(down: Chosen, up: Chosen, options: Options) -> tuple[Stage, Stage]:
    """Return the two stages; each chooses when its time has come, by the deployment as it is then."""

    def uninstall(view: DeploymentView) -> StagePlan:
        return StagePlan(graph=uninstall_graph(view, down(view), options))

    def install(view: DeploymentView) -> StagePlan:
        return StagePlan(graph=install_graph(view, up(view)))

    return Stage(name="reinstall-uninstall", plan=uninstall), Stage(name="reinstall-install", plan=install)
