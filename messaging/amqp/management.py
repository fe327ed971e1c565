"""RabbitMQ's management HTTP API: what AMQP itself cannot do.

Virtual hosts, accounts with their permissions, policies, lists of queues and connections. Used by ``outrider broker
setup``, by the installer (an account per agent), and by `AmqpTransport.declare` for policies, where a management URL
is configured. Standard library only; each request has a time limit and an error that names it.
"""

from __future__ import annotations

import base64
import json
import logging
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Optional
from urllib.parse import quote

from outrider.messaging.amqp.addresses import parse_management_url
from outrider.messaging.amqp.policies import Policy
from outrider.messaging.errors import ManagementFailed

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Permissions:
    """Regular expressions for names of exchanges and queues; an empty one permits nothing."""

    configure: str = "^$"
    write: str = "^$"
    read: str = "^$"


@dataclass(frozen=True)
class TopicPermissions:
    """Regular expressions for routing keys at one topic exchange; ``{username}`` stands for the account's name."""

    exchange: str
    write: str = "^$"
    read: str = "^$"


SHA256 = "rabbit_password_hashing_sha256"


@dataclass(frozen=True)
class PasswordHash:
    """What the broker keeps of a password: base64 of four random bytes (the salt) and the hash of salt and password."""

    value: str = field(repr=False)
    #: The broker's name of how it is made.
    algorithm: str = SHA256


class ManagementClient:
    """Requests to one broker's management API."""

    def __init__(
        self, url: str, *, timeout_seconds: float = 10.0, tls_context: Optional[ssl.SSLContext] = None
    ) -> None:
        """Use `url` (``http[s]://user:password@host:port``); raises `InvalidSettings`."""
        self._address = parse_management_url(url)
        self._timeout_seconds = timeout_seconds
        credentials = f"{self._address.username}:{self._address.password}".encode()
        self._authorization = "Basic " + base64.b64encode(credentials).decode("ascii")
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if tls_context is not None:
            handlers.append(urllib.request.HTTPSHandler(context=tls_context))
        self._opener = urllib.request.build_opener(*handlers)

    def __repr__(self) -> str:
        return f"<ManagementClient {self._address}>"

    def version(self) -> str:
        """Return the broker's version, such as ``3.10.8``."""
        return str(self._get("/api/overview")["rabbitmq_version"])

    def vhosts(self) -> Sequence[str]:
        """Return the names of all virtual hosts."""
        return [vhost["name"] for vhost in self._get("/api/vhosts")]

    def declare_vhost(self, name: str) -> None:
        """Make sure that a virtual host exists."""
        self._put(f"/api/vhosts/{_quote(name)}", {})

    def delete_vhost(self, name: str) -> None:
        """Delete a virtual host with everything in it."""
        self._delete(f"/api/vhosts/{_quote(name)}")

    def users(self) -> Sequence[str]:
        """Return the names of all accounts."""
        return [user["name"] for user in self._get("/api/users")]

    def declare_user(self, name: str, password: str, *, tags: Sequence[str] = ()) -> None:
        """Create an account, or give an existing one this password and these tags (``administrator`` …)."""
        self._put(f"/api/users/{_quote(name)}", {"password": password, "tags": ",".join(tags)})

    def password_hash(self, name: str) -> Optional[PasswordHash]:
        """Return what the broker keeps of an account's password; None if there is no such account."""
        found = self._request("GET", f"/api/users/{_quote(name)}", missing_is_fine=True)
        return None if found is None else PasswordHash(found["password_hash"], found["hashing_algorithm"])

    def declare_user_by_hash(self, name: str, password: PasswordHash) -> None:
        """Create an account, or change it, without learning its password."""
        body = {"password_hash": password.value, "hashing_algorithm": password.algorithm, "tags": ""}
        self._put(f"/api/users/{_quote(name)}", body)

    def delete_user(self, name: str) -> None:
        """Delete an account; its connections are closed."""
        self._delete(f"/api/users/{_quote(name)}")

    def set_permissions(self, vhost: str, user: str, permissions: Permissions) -> None:
        """Set what an account may do in a virtual host; what it could do before is replaced."""
        body = {"configure": permissions.configure, "write": permissions.write, "read": permissions.read}
        self._put(f"/api/permissions/{_quote(vhost)}/{_quote(user)}", body)

    def permissions(self, vhost: str, user: str) -> Optional[Permissions]:
        """Return what an account may do in a virtual host; None if it may not enter it."""
        found = self._request("GET", f"/api/permissions/{_quote(vhost)}/{_quote(user)}", missing_is_fine=True)
        return None if found is None else Permissions(found["configure"], found["write"], found["read"])

    def set_topic_permissions(self, vhost: str, user: str, permissions: TopicPermissions) -> None:
        """Set which routing keys an account may use at one topic exchange."""
        body = {"exchange": permissions.exchange, "write": permissions.write, "read": permissions.read}
        self._put(f"/api/topic-permissions/{_quote(vhost)}/{_quote(user)}", body)

    def topic_permissions(self, vhost: str, user: str) -> Sequence[TopicPermissions]:
        """Return an account's topic permissions in a virtual host."""
        found = self._request("GET", f"/api/topic-permissions/{_quote(vhost)}/{_quote(user)}", missing_is_fine=True)
        return [TopicPermissions(item["exchange"], item["write"], item["read"]) for item in found or ()]

    def policies(self, vhost: str) -> Sequence[Policy]:
        """Return the policies of a virtual host."""
        return [
            Policy(item["name"], item["pattern"], item["definition"], item["priority"])
            for item in self._get(f"/api/policies/{_quote(vhost)}")
        ]

    def declare_policy(self, vhost: str, policy: Policy) -> None:
        """Create or replace a policy for queues."""
        body = {
            "pattern": policy.pattern,
            "definition": dict(policy.definition),
            "priority": policy.priority,
            "apply-to": "queues",
        }
        self._put(f"/api/policies/{_quote(vhost)}/{_quote(policy.name)}", body)

    def delete_policy(self, vhost: str, name: str) -> None:
        """Delete a policy."""
        self._delete(f"/api/policies/{_quote(vhost)}/{_quote(name)}")

    def queues(self, vhost: str) -> Sequence[Mapping[str, Any]]:
        """Return the queues of a virtual host as the broker describes them (counts are some seconds old)."""
        found: Sequence[Mapping[str, Any]] = self._get(f"/api/queues/{_quote(vhost)}")
        return found

    def connections(self) -> Sequence[Mapping[str, Any]]:
        """Return the open connections as the broker describes them (some seconds late)."""
        found: Sequence[Mapping[str, Any]] = self._get("/api/connections")
        return found

    def close_connection(self, name: str) -> None:
        """Close a client's connection from the broker's side."""
        self._delete(f"/api/connections/{_quote(name)}")

    def _get(self, path: str) -> Any:
        return self._request("GET", path)

    def _put(self, path: str, body: Mapping[str, Any]) -> None:
        self._request("PUT", path, body)

    def _delete(self, path: str) -> None:
        self._request("DELETE", path, missing_is_fine=True)

    def _request(
        self, method: str, path: str, body: Optional[Mapping[str, Any]] = None, *, missing_is_fine: bool = False
    ) -> Any:
        """Return the decoded answer, or None; raises `ManagementFailed`. No request's body is ever shown."""
        what = f"{method} {path} at {self._address}"
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked to be http or https
            f"{self._address.scheme}://{_host(self._address.host)}:{self._address.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": self._authorization, "Content-Type": "application/json"},
        )
        try:
            with self._opener.open(request, timeout=self._timeout_seconds) as response:
                text = response.read()
            return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            with error:
                if error.code == HTTPStatus.NOT_FOUND and missing_is_fine:
                    return None
                raise ManagementFailed(f"{what} answered {error.code} {error.reason}{_hint(error.code)}") from None
        except urllib.error.URLError as error:
            raise ManagementFailed(f"{what} failed: {error.reason}; is the management plugin enabled there?") from None
        except (OSError, ValueError) as error:
            raise ManagementFailed(f"{what} failed: {error}") from error


def _quote(name: str) -> str:
    return quote(name, safe="")


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _hint(status: int) -> str:
    hints = {
        HTTPStatus.UNAUTHORIZED: ": the account or its password is wrong, or it lacks the tag administrator",
        HTTPStatus.NOT_FOUND: ": it does not exist",
    }
    return next((hint for code, hint in hints.items() if code == status), "")
