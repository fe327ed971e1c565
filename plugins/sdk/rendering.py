"""Rendering of templates among a blueprint's resources.

Jinja2 renders them if the plugin's environment has it. Where it does not, `{{ name.path }}` and `{# comments #}` are
rendered here, with the same result; anything more (filters, `{% … %}`) is refused with an error that names jinja2:
half a template language that guesses would be worse than none.
"""

from __future__ import annotations

import re

from outrider.plugins.sdk.errors import RenderError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_TAG = re.compile(r"\{\{(?P<expression>.*?)\}\}|\{#.*?#\}|(?P<unknown>\{%|\{\{|\{#)", re.DOTALL)
_PATH = re.compile(r"\s*[A-Za-z_]\w*(?:\.\w+|\[\d+\]|\['[^']*'\]|\[\"[^\"]*\"\])*\s*\Z")
_STEP = re.compile(r"\.?(\w+)|\[(\d+)\]|\['([^']*)'\]|\[\"([^\"]*)\"\]")
_MISSING = object()


def has_markup(content: bytes) -> bool:
    """Say whether there is anything to render."""
    return b"{{" in content or b"{%" in content or b"{#" in content


def render(text: str, variables: Mapping[str, Any], *, name: str, strict: bool = True) -> str:
    """Render a template; `name` is used in errors.

    `strict`: a variable that does not exist is an error, and a newline at the end is kept. Otherwise both are as
    jinja2 does them by default: the variable becomes nothing, and the last newline is dropped.
    """
    try:
        import jinja2
    except ImportError:
        return _render_paths(text, variables, name=name, strict=strict)
    undefined = jinja2.StrictUndefined if strict else jinja2.Undefined
    # Configuration files are rendered, not web pages: escaping for HTML would corrupt them.
    environment = jinja2.Environment(undefined=undefined, keep_trailing_newline=strict)  # noqa: S701
    try:
        return environment.from_string(text).render(variables)
    except jinja2.TemplateSyntaxError as error:
        raise RenderError(f"the template {name} is not valid in line {error.lineno}: {error.message}") from error
    except jinja2.UndefinedError as error:
        raise RenderError(f"the template {name} uses a variable that it was not given: {error}") from error


def _render_paths(text: str, variables: Mapping[str, Any], *, name: str, strict: bool) -> str:
    def replace(match: re.Match[str]) -> str:
        line = text.count("\n", 0, match.start()) + 1
        expression = match["expression"]
        if match["unknown"] or (expression is not None and not _PATH.match(expression)):
            raise RenderError(
                f"the template {name} needs jinja2 for line {line} ({match[0].strip()[:60]}): "
                "add jinja2 to the plugin's requirements"
            )
        if expression is None:
            return ""
        return _look_up(expression.strip(), variables, place=f"{name}, line {line}", strict=strict)

    rendered = _TAG.sub(replace, text)
    return rendered[:-1] if not strict and rendered.endswith("\n") else rendered


def _look_up(expression: str, variables: Mapping[str, Any], *, place: str, strict: bool) -> str:
    value: Any = variables
    steps = ["".join(groups) for groups in _STEP.findall(expression)]
    for position, step in enumerate(steps):
        value = _member(value, step)
        if value is _MISSING:
            if strict or position < len(steps) - 1:
                raise RenderError(f"the template uses a variable that it was not given: {expression} ({place})")
            return ""
    return str(value)


def _member(value: Any, step: str) -> Any:
    """Return the item or the attribute of that name, as jinja2 looks them up."""
    if isinstance(value, (list, tuple)) and step.isdigit():
        return value[int(step)] if int(step) < len(value) else _MISSING
    try:
        return value[step]
    except (TypeError, LookupError, AttributeError):
        return _MISSING if step.startswith("_") else getattr(value, step, _MISSING)
