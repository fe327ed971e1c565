"""Blueprint resources as an operation gets them: bytes, or copies that it may change."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path, PurePosixPath

from outrider.plugins.sdk.errors import NonRecoverableError, RenderError, ResourceNotFound
from outrider.plugins.sdk.rendering import has_markup, render

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Optional

    from outrider.plugins.sdk.channel import Channel


class Resources:
    """The files of the blueprint's folder, fetched through the attempt's channel."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def read(self, path: str) -> bytes:
        """Return a resource's content. Raises `ResourceNotFound`."""
        return Path(self._channel.resource(path)).read_bytes()

    def copy(self, path: str, target: Optional[str] = None) -> str:
        """Copy a resource to `target`, or into a new folder under its own name; return the copy's path."""
        source = self._channel.resource(path)
        place = self._place(path, target)
        shutil.copyfile(source, place)
        return str(place)

    def copy_folder(self, path: str, target: Optional[str] = None) -> str:
        """Copy all resources below a folder into `target`, or a new folder; return that folder."""
        prefix = "" if path.strip("/") in ("", ".") else path.strip("/") + "/"
        names = self._channel.resources(prefix)
        if not names:
            raise ResourceNotFound(path)
        folder = Path(target) if target else self._new_folder()
        for name in names:
            place = folder / name[len(prefix) :]
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._channel.resource(name), place)
        return str(folder)

    def render(self, path: str, variables: Mapping[str, Any], *, strict: bool = True) -> bytes:
        """Return a resource's content, rendered if it is a template. Raises `RenderError`."""
        content = self.read(path)
        if not has_markup(content):
            return content
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise RenderError(f"the template {path} is not UTF-8: {error}") from error
        return render(text, variables, name=path, strict=strict).encode("utf-8")

    def write(self, content: bytes, path: str, target: Optional[str] = None) -> str:
        """Write content to `target`, or into a new folder under the resource's name; return the file's path."""
        place = self._place(path, target)
        place.write_bytes(content)
        return str(place)

    def _place(self, path: str, target: Optional[str]) -> Path:
        if target is None:
            return self._new_folder() / PurePosixPath(path).name
        place = Path(target)
        if not place.parent.is_dir():
            raise NonRecoverableError(f"cannot write the resource {path} to {target}: {place.parent} is not a folder")
        return place

    def _new_folder(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="resource-", dir=self._channel.work_dir))
