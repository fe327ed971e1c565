"""The manager as an ASGI application: REST API v3.1, what goes beyond it, the file servers, and the page.

`outrider up` makes it and serves it; tests do the same on a free port.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from outrider.dispatcher.files.app import files_app
from outrider.manager_stub import envelope, openapi
from outrider.manager_stub.limiting import BodyLimit
from outrider.manager_stub.observing import Observer
from outrider.manager_stub.other_methods import OtherMethods
from outrider.manager_stub.routes import ROUTERS, beyond, file_server, health, system
from outrider.manager_stub.service import Manager
from outrider.manager_stub.straight import StraightRoutes
from outrider.messaging.version import __version__

API = "/api/v3.1"
STATIC = Path(__file__).with_name("static")


def create_app(manager: Manager) -> FastAPI:
    """Return the application; it uses the manager's database and dispatcher, and closes neither."""
    app = FastAPI(
        title="Outrider",
        version=__version__,
        # Clients repeat a redirected POST as GET: no slash is added or taken away for them.
        redirect_slashes=False,
        openapi_url="/openapi.json",
        # The interactive documentation would load its scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
    )
    app.state.manager = manager
    unversioned = (system.unversioned, beyond.routes, health.routes, file_server.routes)
    served = [*((API, each) for each in ROUTERS), *(("", each) for each in unversioned)]
    # The first to be tried.
    app.router.routes.append(StraightRoutes(served))
    for prefix, routes in served:
        app.include_router(routes, prefix=prefix)
    app.router.routes.append(OtherMethods(served))
    app.include_router(system.missing)
    openapi.install(app, served)
    if manager.file_tokens is not None:
        app.mount("/files", files_app(manager.content, manager.file_tokens, enrol=manager.enrol))
    app.mount("/", StaticFiles(directory=STATIC, html=True))
    envelope.install(app)
    app.add_middleware(BodyLimit, settings=manager.settings)
    app.add_middleware(Observer, manager=manager)
    return app
