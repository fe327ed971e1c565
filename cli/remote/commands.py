"""What takes the place of commands of the same names while a manager is in use (`outrider profile use NAME`).

Commands about files need no manager: they are the same as without one.
"""

from __future__ import annotations

from collections.abc import Mapping

from outrider.cli.commands import COMMANDS
from outrider.cli.lazy import Command, Group


def local(group: str, *names: str) -> dict[str, Command | Group]:
    """Return commands of a group as they are without a manager."""
    found = COMMANDS[group]
    assert isinstance(found, Group)  # noqa: S101 - both names stand in these two files
    return {name: found.commands[name] for name in names}


MANAGED: Mapping[str, Command | Group] = {
    "plugin": Group(
        "Plugins: upload wagons to the manager; build and check them here.",
        {
            **local("plugin", "build", "show", "verify", "check", "new", "run", "test"),
            "upload": Command(
                "remote.plugin:upload",
                "Upload a plugin: blueprints may import it as plugin:NAME, agents fetch it when a task needs it.",
            ),
            "list": Command("remote.plugin:list_plugins", "List the plugins that the manager knows."),
            "download": Command("remote.plugin:download", "Download a plugin's wagon."),
            "delete": Command("remote.plugin:delete", "Delete a plugin that no blueprint uses."),
        },
    ),
    "blueprint": Group(
        "Blueprints: upload them to the manager; check them here.",
        {
            **local("blueprint", "validate", "show", "plan", "lint", "graph", "schema"),
            "upload": Command(
                "remote.blueprint:upload",
                "Upload a blueprint with its folder; one with mistakes is refused, with all of them.",
            ),
            "list": Command("remote.blueprint:list_blueprints", "List the manager's blueprints."),
            "download": Command("remote.blueprint:download", "Download a blueprint's archive as it was uploaded."),
            "delete": Command("remote.blueprint:delete", "Delete a blueprint that no deployment uses."),
        },
    ),
    "deployment": Group(
        "Deployments: what was made from blueprints.",
        {
            "create": Command(
                "remote.deployment:create", "Make a deployment of a blueprint; nothing is installed yet."
            ),
            "list": Command(
                "remote.deployment:list_deployments", "List deployments with the states of their instances."
            ),
            "show": Command("remote.deployment:show", "Show a deployment's instances with their runtime properties."),
            "outputs": Command("remote.deployment:outputs", "Print a deployment's outputs, evaluated now."),
            "update": Command(
                "remote.deployment:update", "Move a deployment to another blueprint or to other inputs, and follow it."
            ),
            "delete": Command(
                "remote.deployment:delete",
                "Delete a deployment's record; what it installed has to be uninstalled before.",
            ),
        },
    ),
    "execution": Group(
        "Executions: runs of a workflow.",
        {
            "start": Command(
                "remote.execution:start", "Start a workflow and follow it; the exit code is the execution's."
            ),
            "list": Command("remote.execution:list_executions", "List executions, the newest last."),
            "show": Command("remote.execution:show", "Show one execution."),
            "watch": Command(
                "remote.execution:watch", "Follow an execution until it ends; the exit code is the execution's."
            ),
            "cancel": Command(
                "remote.execution:cancel", "Ask for a cancel: nothing new starts, running operations are ended."
            ),
            "resume": Command(
                "remote.execution:resume", "Let a failed or cancelled execution go on at its operations, and follow it."
            ),
            "why": Command(
                "remote.execution:why", "Say what exactly an execution waits for, or what a person has to decide."
            ),
        },
    ),
    "secret": Group(
        "Secrets: values that operations may use.",
        {
            "set": Command(
                "remote.secret:set_secret",
                "Store a value, asked for or read from a pipe or a file: never an argument, which everybody could see.",
            ),
            "list": Command("remote.secret:list_secrets", "List names; values are never shown."),
            "delete": Command("remote.secret:delete", "Remove a secret."),
        },
    ),
    "events": Command(
        "remote.events:events", "Print an execution's events and log lines; with --follow, until it ends."
    ),
}
