# /// script
# requires-python = ">=3.9"
# dependencies = []
# ///
"""A plugin in one file. List what it needs from PyPI in `dependencies` above; it gets an environment of its own."""

from outrider.plugins.sdk import ctx, operation


@operation
def create(**_):
    """Compose the greeting and keep it in the node instance's runtime properties."""
    text = f"Hello, {ctx.node.properties['name']}!"
    ctx.instance.runtime_properties["text"] = text
    ctx.logger.info("made %r", text)
    return text


@operation
def delete(**_):
    """Forget the greeting."""
    ctx.instance.runtime_properties.pop("text", None)
