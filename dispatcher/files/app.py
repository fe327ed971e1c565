"""The endpoint as an ASGI application: ``GET`` and ``HEAD`` of ``/<sha256>``, with a bearer token.

A host that brings its agent itself also asks here, once, with ``POST /agents``, for what it needs to become one.

`FilesServer` serves it when an agent is remote; the manager mounts the same application at ``/files``. Content never
changes under its hash, so the hash is the entity tag and answers may be cached for ever.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from outrider.dispatcher.files.content import ContentStore
from outrider.dispatcher.files.enrolment import Enrol
from outrider.dispatcher.files.errors import EnrolmentDelayed, EnrolmentRefused, NotStored, TokenRefused
from outrider.dispatcher.files.ranges import Span, Unsatisfiable, parse_range
from outrider.dispatcher.files.tokens import FileTokens, Subject, SubjectKind

_log = logging.getLogger(__name__)

_CHUNK_BYTES = 256 * 1024
_LONGEST_ENROLMENT = 64 * 1024

#: (who, hash) → whether they may have it.
Authorize = Callable[[Subject, str], bool]


def everything(_subject: Subject, _sha256: str) -> bool:
    """Let any valid token read any content: who knows a hash was told it."""
    return True


def files_app(
    store: ContentStore, tokens: FileTokens, *, authorize: Authorize = everything, enrol: Enrol | None = None
) -> Starlette:
    """Return the application. What `authorize` denies is answered like what is not there."""

    async def content(request: Request) -> Response:
        try:
            subject = tokens.verify(_bearer(request))
        except TokenRefused as refused:
            _log.warning("refused a request for a file: %s", refused, extra={"action": "files_refused"})
            return PlainTextResponse(f"{refused}\n", 401, {"WWW-Authenticate": "Bearer"})
        sha256 = request.path_params["sha256"]
        try:
            path = store.path(sha256)
        except NotStored as missing:
            return PlainTextResponse(f"{missing}\n", 404)
        if not authorize(subject, sha256):
            return PlainTextResponse(f"{NotStored(sha256)}\n", 404)
        return _answer(request, path)

    routes = [Route("/{sha256}", content, methods=["GET", "HEAD"])]
    if enrol is not None:
        routes.insert(0, Route("/agents", enrolment(tokens, enrol), methods=["POST"]))
    return Starlette(routes=routes)


def enrolment(tokens: FileTokens, enrol: Enrol) -> Callable[[Request], Awaitable[Response]]:
    """Return what answers a host that is to become an agent."""

    async def answer(request: Request) -> Response:
        try:
            agent_id = _enrolling(tokens.verify(_bearer(request)))
            body = json.loads(await _limited_body(request))
            return JSONResponse(await anyio.to_thread.run_sync(enrol, agent_id, body))
        except TokenRefused as refused:
            _log.warning("refused an enrolment: %s", refused, extra={"action": "enrolment_refused"})
            return PlainTextResponse(f"{refused}\n", 401, {"WWW-Authenticate": "Bearer"})
        except EnrolmentRefused as refused:
            _log.warning("refused an enrolment: %s", refused, extra={"action": "enrolment_refused"})
            return PlainTextResponse(f"{refused}\n", 403)
        except EnrolmentDelayed as delayed:
            return PlainTextResponse(f"{delayed}\n", 503, {"Retry-After": "5"})
        except (ValueError, KeyError, TypeError) as error:
            return PlainTextResponse(f"this is no enrolment: {type(error).__name__}: {error}\n", 400)

    return answer


def _enrolling(subject: Subject) -> str:
    if subject.kind is not SubjectKind.ENROLMENT:
        raise TokenRefused(f"the token of {subject.kind.value} {subject.id} is not for an enrolment")
    return subject.id


async def _limited_body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_ENROLMENT:
            raise ValueError("it is too long")
    return body


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise TokenRefused("the request has no bearer token")
    return token.strip()


def _answer(request: Request, path: Path) -> Response:
    size = path.stat().st_size
    tag = f'"{path.name}"'
    headers = {
        "ETag": tag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=31536000, immutable",
        "Content-Type": "application/octet-stream",
        "X-Content-Type-Options": "nosniff",
    }
    if tag in (each.strip() for each in request.headers.get("if-none-match", "").split(",")):
        return Response(status_code=304, headers=headers)
    # A range is only for the entity that the client has a part of.
    fits = request.headers.get("if-range", tag) == tag
    try:
        span = parse_range(request.headers.get("range"), size=size) if fits and request.method == "GET" else None
    except Unsatisfiable:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    part = span or Span(start=0, end=size)
    headers["Content-Length"] = str(part.length)
    if span is not None:
        headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{size}"
    status = 200 if span is None else 206
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    return StreamingResponse(_stream(path, part), status_code=status, headers=headers)


async def _stream(path: Path, part: Span) -> AsyncIterator[bytes]:
    async with await anyio.open_file(path, "rb") as file:
        await file.seek(part.start, os.SEEK_SET)
        left = part.length
        while left > 0:
            chunk = await file.read(min(_CHUNK_BYTES, left))
            if not chunk:
                return  # cut short: Content-Length shows the client that something is missing
            left -= len(chunk)
            yield chunk
