"""Finds out who sends a request: by password, by token, or by an execution's token.

A password costs 60 ms and 32 MiB to check (see `store.passwords`), and clients send it with every request: that it was
right is remembered for a minute, under a key that only this process has. Accounts and people's tokens are looked up
once a second (see `known_callers`), an execution's token each time.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Mapping

from sqlalchemy.engine import Connection

from outrider.dispatcher.errors import NotFound
from outrider.dispatcher.store import executions, passwords, tenants, tokens, users
from outrider.dispatcher.store.database import Database
from outrider.dispatcher.store.executions import ACTIVE, Execution
from outrider.dispatcher.store.tokens import Token
from outrider.dispatcher.store.users import User
from outrider.manager_stub.access import SYSTEM_ADMIN, TENANT_ROLES, Caller, Right
from outrider.manager_stub.errors import Forbidden, TooMany, Unauthorized
from outrider.manager_stub.known_callers import KnownCallers
from outrider.manager_stub.settings import ManagerSettings

REMEMBER_SECONDS = 60.0
REMEMBERED = 1000
#: `last_used_at` is written at most this often.
TOUCH_SECONDS = 60.0
#: One text for all, so that an answer does not tell which user names exist.
WRONG = "the user name or the password is wrong, or the account is locked: after too many tries, wait some minutes"


class Authenticator:
    """Checks credentials against the store."""

    def __init__(self, database: Database, settings: ManagerSettings) -> None:
        self._database = database
        self._settings = settings
        self._passwords = _Remembered()
        #: Who was found a moment ago.
        self.known = KnownCallers()
        self._refusals = _Refusals(settings.refusals_per_minute)
        # Guessing in parallel would cost 32 MiB each: more than a few at once wait for their turn.
        self._checking = threading.BoundedSemaphore(4)

    def authenticate(self, headers: Mapping[str, str], *, address: str, tenant: str | None = None) -> Caller:
        """Return who sent a request with these headers; raises Unauthorized, Forbidden, TooMany.

        `tenant` takes the place of the header (the file server's paths name it).
        """
        found = self.known.find(headers, tenant=tenant)
        if isinstance(found, Caller):
            return found
        caller = self._look_up(headers, address=address, tenant=tenant)
        if caller.execution_id is None:
            self.known.add(found, caller)
        return caller

    def _look_up(self, headers: Mapping[str, str], *, address: str, tenant: str | None) -> Caller:
        wanted = tenant or headers.get("tenant") or tenants.DEFAULT
        token = headers.get("execution-token") or headers.get("authentication-token") or _bearer(headers)
        if token is not None:
            return self._by_token(token, wanted, address)
        name, password = _basic(headers)
        self._refusals.check(address)
        try:
            user = self._by_password(name, password)
        except Unauthorized:
            self._refusals.count(address)
            raise
        with self._database.read() as connection:
            return _person(connection, user, wanted)

    def _by_password(self, name: str, password: str) -> User:
        with self._database.read() as connection:
            now = self._database.now(connection)
            try:
                user: User | None = users.get(connection, name)
            except NotFound:
                user = None
        stored = user.password_hash if user is not None else None
        if user is not None and (user.locked_until or 0) > now:
            raise Unauthorized(WRONG)
        if user is not None and user.active and self._passwords.has(name, password, stored):
            return user
        with self._checking:
            right = passwords.matches(password, stored)
        if user is None:
            raise Unauthorized(WRONG)
        with self._database.begin() as connection:
            if not right or not user.active:
                users.record_failure(
                    connection,
                    name,
                    allowed=self._settings.wrong_passwords,
                    lock_seconds=self._settings.lock_seconds,
                    now=now,
                )
            else:
                users.record_login(connection, name, now=now)
        if not right or not user.active:
            raise Unauthorized(WRONG)
        self._passwords.add(name, password, stored)
        return user

    def _by_token(self, text: str, tenant: str, address: str) -> Caller:
        self._refusals.check(address)
        with self._database.read() as connection:
            now = self._database.now(connection)
            token = tokens.find(connection, text)
            if token is None or (token.expires_at is not None and token.expires_at <= now):
                self._refusals.count(address)
                raise Unauthorized(
                    "the token is not known, has expired, or has ended with its execution: make a new one"
                )
            caller = self._token_caller(connection, token, tenant)
        if (token.last_used_at or 0) < now - TOUCH_SECONDS:
            with self._database.begin() as connection:
                tokens.touch(connection, token.id, now=now)
        return caller

    def _token_caller(self, connection: Connection, token: Token, tenant: str) -> Caller:
        if token.execution_id is not None:
            return _execution_caller(connection, token)
        try:
            user = users.get(connection, token.user)
        except NotFound as error:
            raise Unauthorized("the token's user does not exist any more") from error
        if not user.active:
            raise Unauthorized("the token's user is not active")
        return _person(connection, user, tenant)


def _person(connection: Connection, user: User, tenant: str) -> Caller:
    """Return a caller who logged in; raises Forbidden."""
    rights = _rights(connection, user)
    if tenant in rights:
        return Caller(user=user.name, right=rights[tenant], tenant=tenant, tenants=tuple(rights))
    if user.role == SYSTEM_ADMIN:
        raise Forbidden(f"there is no tenant {tenant!r}")
    # The same for a tenant that does not exist: its name is nobody's business.
    raise Forbidden(f"user {user.name!r} does not belong to a tenant {tenant!r}")


def _rights(connection: Connection, user: User) -> Mapping[str, Right]:
    """Return what a user may in each tenant that they may look into."""
    if user.role == SYSTEM_ADMIN:
        return {each.name: Right.SYSTEM for each in tenants.listed(connection)}
    return {tenant: TENANT_ROLES[role] for tenant, role in tenants.of_user(connection, user.name).items()}


def _execution_caller(connection: Connection, token: Token) -> Caller:
    try:
        execution = executions.get(connection, token.execution_id or "")
    except NotFound as error:
        raise Unauthorized("the token's execution does not exist any more") from error
    if execution.status not in ACTIVE:
        raise Unauthorized(f"the token's execution is {execution.status.value}: its token is void")
    return Caller(
        user=execution.created_by or token.user,
        right=Right.WRITE,
        tenant=execution.tenant,
        tenants=(execution.tenant,),
        execution_id=execution.id,
        deployment_id=execution.deployment_id,
        for_starter=token.for_starter,
        starter_right=_starter_right(connection, execution) if token.for_starter else None,
    )


def _starter_right(connection: Connection, execution: Execution) -> Right | None:
    """Return what the starter may now: whoever lost a right does not keep it by an execution that still runs."""
    try:
        starter = users.get(connection, execution.created_by or "")
    except NotFound:
        return None
    return _rights(connection, starter).get(execution.tenant) if starter.active else None


def _bearer(headers: Mapping[str, str]) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _basic(headers: Mapping[str, str]) -> tuple[str, str]:
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        raise Unauthorized("no credentials: send Basic authentication, or a token in Authentication-Token")
    try:
        name, separator, password = base64.b64decode(encoded, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Unauthorized("the Basic authentication header cannot be read") from error
    if not separator or "\0" in name:
        raise Unauthorized("the Basic authentication header cannot be read")
    return name, password


class _Remembered:
    """Passwords that were right, as keyed hashes, for a short time; void when the stored hash changes."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._until: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()

    def has(self, name: str, password: str, stored: str | None) -> bool:
        with self._lock:
            return self._until.get(self._mark(name, password, stored), 0.0) > time.monotonic()

    def add(self, name: str, password: str, stored: str | None) -> None:
        with self._lock:
            self._until[self._mark(name, password, stored)] = time.monotonic() + REMEMBER_SECONDS
            while len(self._until) > REMEMBERED:
                self._until.popitem(last=False)

    def _mark(self, name: str, password: str, stored: str | None) -> bytes:
        text = "\0".join((name, password, stored or "")).encode("utf-8", "surrogatepass")
        return hmac.new(self._key, text, hashlib.sha256).digest()


class _Refusals:
    """Refused logins by address in the last minute."""

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._times: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, address: str) -> None:
        with self._lock:
            times = self._times.get(address)
            if times is None:
                return
            while times and times[0] < time.monotonic() - 60:
                times.popleft()
            if len(times) >= self._allowed:
                raise TooMany("too many refused logins from this address: wait a minute")

    def count(self, address: str) -> None:
        with self._lock:
            self._times.setdefault(address, deque(maxlen=self._allowed)).append(time.monotonic())
            self._times.move_to_end(address)
            while len(self._times) > REMEMBERED:
                self._times.popitem(last=False)
