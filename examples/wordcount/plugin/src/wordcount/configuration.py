"""Operations of the configuration node: render a file from the node's settings, remove it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2

from outrider.plugins.sdk import NonRecoverableError, ctx, operation


@operation(resumable=True)
def render(*, template: str, **_: Any) -> str:
    """Render the blueprint's template into the data folder; returns the file's path."""
    settings = dict(ctx.node.properties["settings"])
    source = Path(ctx.download_resource(template)).read_text(encoding="utf-8")
    text = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False).from_string(source).render(settings)
    try:
        json.loads(text)
    except ValueError as error:
        raise NonRecoverableError(f"{template} does not render to JSON: {error}") from error
    file = Path(settings["data_folder"]) / "service.json"
    file.write_text(text, encoding="utf-8")
    ctx.instance.runtime_properties["file"] = str(file)
    ctx.instance.runtime_properties["data_folder"] = settings["data_folder"]
    ctx.logger.info("rendered %s", file)
    return str(file)


@operation(resumable=True)
def remove(**_: Any) -> None:
    """Remove the file, if it is there."""
    file = ctx.instance.runtime_properties.pop("file", None)
    if file:
        Path(file).unlink(missing_ok=True)
