"""Bounds request bodies, whatever their headers say, before anything is written or parsed."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from outrider.manager_stub.envelope import envelope
from outrider.manager_stub.errors import TooLarge
from outrider.manager_stub.settings import ManagerSettings


class BodyLimit:
    """ASGI middleware: each body ends at the limit of its kind of request."""

    def __init__(self, app: ASGIApp, settings: ManagerSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a counted body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit(scope["method"], scope["path"])
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced[:20]) > limit:
            error = _too_large(limit)
            await envelope(error.status, error.code, str(error))(scope, receive, send)
            return
        left = limit

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            if message["type"] == "http.request":
                left -= len(message.get("body", b""))
                if left < 0:
                    raise _too_large(limit)
            return message

        await self._app(scope, counted, send)

    def _limit(self, method: str, path: str) -> int:
        if method == "POST" and path.endswith("/plugins"):
            return self._settings.largest_plugin_bytes
        if method == "PUT" and ("/blueprints/" in path or path.startswith("/resources/deployments/")):
            return self._settings.largest_blueprint_bytes
        return self._settings.largest_body_bytes


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the upload has more than the {limit} bytes that the manager's settings allow")
