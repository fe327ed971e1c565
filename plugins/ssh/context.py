"""The context as scripts on a host see it: files that they download come to the host."""

from __future__ import annotations

import itertools
import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from outrider.plugins.ssh.remote import RemoteHost


class HostContext:
    """Passes everything on to the operation's context but downloads, which end on the host."""

    def __init__(self, ctx: Any, host: RemoteHost, folder: str) -> None:
        self._ctx = ctx
        self._host = host
        self._folder = folder
        self._numbers = itertools.count(1)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ctx, name)

    def download_resource(self, path: str, target_path: Optional[str] = None) -> str:
        """Copy a blueprint resource to the host; return its path there."""
        return self._send(self._ctx.download_resource(path), path, target_path)

    def download_resource_and_render(
        self, path: str, target_path: Optional[str] = None, template_variables: Optional[Mapping[str, Any]] = None
    ) -> str:
        """Copy a rendered template to the host; return its path there."""
        local = self._ctx.download_resource_and_render(path, template_variables=template_variables)
        return self._send(local, path, target_path)

    def _send(self, local: str, path: str, target_path: Optional[str]) -> str:
        place = target_path or f"{self._folder}/{next(self._numbers)}-{posixpath.basename(path)}"
        self._host.put_file(Path(local), place)
        return place
