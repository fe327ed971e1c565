"""`outrider plugin …`, put together: wagons, starting a plugin, trying it, its environments."""

from __future__ import annotations

from outrider.cli import plugin_environments
from outrider.cli.plugin import app
from outrider.cli.plugin_bench import run, run_tests
from outrider.cli.plugin_new import new

app.command()(new)
app.command()(run)
app.command("test")(run_tests)
app.add_typer(plugin_environments.app, name="env")

__all__ = ["app"]
