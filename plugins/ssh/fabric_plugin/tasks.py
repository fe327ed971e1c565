"""``fabric_plugin.tasks``: the operations, as existing blueprints map them."""

from outrider.plugins.ssh.tasks import run_commands, run_module_task, run_script, run_task

__all__ = ["run_commands", "run_module_task", "run_script", "run_task"]
