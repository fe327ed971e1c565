"""The manager's face: REST API v3.1, live views and metrics beyond it, a file server, and a web page.

`outrider up` composes it with a dispatcher; `ManagerServer` serves it.
"""

from outrider.manager_stub.errors import CannotServe
from outrider.manager_stub.server import ManagerServer, listen
from outrider.manager_stub.service import Manager
from outrider.manager_stub.settings import WILDCARDS, ManagerSettings, usual_page_processes

__all__ = [
    "WILDCARDS",
    "CannotServe",
    "Manager",
    "ManagerServer",
    "ManagerSettings",
    "listen",
    "usual_page_processes",
]
