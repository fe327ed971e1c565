"""`from cloudify import ctx` in a Python script on a host without an agent: the operation's context, by its server.

Copied to the host beside the `ctx` command's client; standard library only.

    from cloudify import ctx

    ctx.logger.info("port %s" % ctx.node.properties["port"])
    ctx.instance.runtime_properties["started"] = True
    ctx("instance", "runtime-properties", "started")     as the command's arguments
    ctx.returns({"port": 8080})
"""

from __future__ import annotations

import os
from pathlib import Path

import ctx_client  # type: ignore[import-not-found]  # beside this file, on the host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional


def _ask(*arguments: Any) -> Any:
    return ctx_client.client_req(os.environ[ctx_client.CTX_SOCKET_URL], list(arguments))


class _Properties:
    """A mapping that lives in the operation; nested paths may be written ``a.b[0]``."""

    def __init__(self, *way: str) -> None:
        self._way = way

    def __getitem__(self, key: str) -> Any:
        try:
            return _ask(*self._way, key)
        except ctx_client.RequestError as error:
            raise KeyError(key) from error

    def __setitem__(self, key: str, value: Any) -> None:
        _ask(*self._way, key, value)

    def __contains__(self, key: str) -> bool:
        return self.get(key, _ask) is not _ask

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value, or `default`."""
        try:
            return self[key]
        except KeyError:
            return default

    def get_all(self) -> dict[str, Any]:
        """Return a copy of everything."""
        return dict(_ask(*self._way))


class _End:
    """A node and an instance: the operation's own, or an end of a relationship."""

    def __init__(self, *way: str) -> None:
        self.node = _Node(*way, "node")
        self.instance = _Instance(*way, "instance")


class _Named:
    def __init__(self, *way: str) -> None:
        self._way = way

    @property
    def id(self) -> str:
        """The id."""
        return str(_ask(*self._way, "id"))


class _Node(_Named):
    @property
    def name(self) -> str:
        """The node's name."""
        return str(_ask(*self._way, "name"))

    @property
    def type(self) -> str:
        """The node's type."""
        return str(_ask(*self._way, "type"))

    @property
    def properties(self) -> _Properties:
        """The node's properties."""
        return _Properties(*self._way, "properties")


class _Instance(_Named):
    @property
    def runtime_properties(self) -> _Properties:
        """The instance's runtime properties."""
        return _Properties(*self._way, "runtime_properties")

    @property
    def host_ip(self) -> str:
        """The address of the instance's host."""
        return str(_ask(*self._way, "host_ip"))

    def update(self) -> None:
        """Save changed runtime properties now."""
        _ask(*self._way, "update")

    def refresh(self) -> None:
        """Read the runtime properties again."""
        _ask(*self._way, "refresh")


class _Logger:
    def __getattr__(self, level: str) -> Any:
        def log(message: Any, *arguments: Any) -> None:
            text = str(message)
            _ask("logger", level, "%s", text % arguments if arguments else text)

        return log


class _Operation:
    @property
    def name(self) -> str:
        """The operation's full name."""
        return str(_ask("operation", "name"))

    @property
    def retry_number(self) -> int:
        """0 at the first try."""
        return int(_ask("operation", "retry_number"))

    def retry(self, message: Optional[str] = None, retry_after: Optional[float] = None) -> None:
        """Ask for the operation to be called again."""
        _ask("operation", "retry", {"message": message, "retry_after": retry_after})


class _Context(_End):
    def __init__(self) -> None:
        super().__init__()
        self.source = _End("source")
        self.target = _End("target")
        self.deployment = _Named("deployment")
        self.blueprint = _Named("blueprint")
        self.operation = _Operation()
        self.logger = _Logger()

    def __call__(self, *arguments: Any) -> Any:
        return _ask(*arguments)

    def returns(self, value: Any = None) -> None:
        """Set the operation's return value."""
        _ask("returns", value)

    def abort_operation(self, message: Optional[str] = None) -> None:
        """Fail the operation for good, and end this script."""
        _ask("abort_operation", message)

    def retry_operation(self, message: Optional[str] = None, retry_after: Optional[float] = None) -> None:
        """Ask for the operation to be called again, and end this script."""
        _ask("retry_operation", message, retry_after)

    def download_resource(self, path: str, target_path: Optional[str] = None) -> str:
        """Copy a blueprint resource to this host; return its path."""
        return str(_ask("download_resource", path, target_path))

    def download_resource_and_render(
        self, path: str, target_path: Optional[str] = None, template_variables: Optional[dict[str, Any]] = None
    ) -> str:
        """Copy a rendered template to this host; return its path."""
        keywords = {"template_variables": template_variables or {}}
        return str(_ask("download_resource_and_render", path, target_path, keywords))

    def get_resource(self, path: str) -> str:
        """Return a blueprint resource's text."""
        return Path(self.download_resource(path)).read_text(encoding="utf-8")


ctx = _Context()
