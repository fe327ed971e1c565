"""Handlers for ``ctx.instance.update(on_conflict=…)``."""

from outrider_facade import further_names

__getattr__ = further_names(__name__)


def simple_merge_handler(previous_props, next_props):
    """Merge both mappings; a key that both have with different values raises ValueError."""
    for key, value in previous_props.items():
        if key in next_props and next_props[key] != value:
            raise ValueError(f"both sides changed the runtime property {key!r}")
    return {**next_props, **previous_props}
