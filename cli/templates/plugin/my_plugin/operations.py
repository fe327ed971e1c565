"""A file as a node: made with its text, and removed again if nobody changed it."""

import hashlib
from pathlib import Path

from outrider.plugins.sdk import NonRecoverableError, ctx, operation


@operation(resumable=True)
def create(**_):
    """Write the file. May be called again after a crash: what it made itself is no obstacle."""
    path, text = Path(ctx.node.properties["path"]), ctx.node.properties["text"]
    digest = hashlib.sha256(text.encode()).hexdigest()
    if path.exists() and ctx.instance.runtime_properties.get("path") != str(path):
        # Trying again would not help: a person has to decide.
        raise NonRecoverableError(f"{path} exists already, and is not ours; choose another path or remove it")
    ctx.instance.runtime_properties.update({"path": str(path), "sha256": digest})
    # Durable from here on: whatever happens next, `delete` will find the file.
    ctx.instance.update()
    path.write_text(text)
    ctx.logger.info("wrote %d characters to %s", len(text), path)
    return digest


@operation(resumable=True)
def delete(**_):
    """Remove the file, if it is there, and is what we wrote."""
    noted = ctx.instance.runtime_properties
    path = Path(noted.get("path") or ctx.node.properties["path"])
    if "sha256" in noted and path.exists():
        if hashlib.sha256(path.read_bytes()).hexdigest() != noted["sha256"]:
            raise NonRecoverableError(f"{path} was changed by somebody else; look at it, and remove it by hand")
        path.unlink()
        ctx.logger.info("removed %s", path)
    noted.clear()
