"""Turns every failure into the error envelope that clients read: ``{"message", "error_code", "server_traceback"}``.

This is the one boundary where errors of the packages below become HTTP statuses.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from outrider.dispatcher import errors as dispatching
from outrider.dispatcher.blueprint import BlueprintFailure, FunctionFailed
from outrider.dispatcher.files import FilesError
from outrider.dispatcher.workflows import ParameterError, UnknownWorkflowError, WorkflowError, WorkflowUnavailable
from outrider.manager_stub.errors import ApiError
from outrider.plugins.wagons import WagonError

log = logging.getLogger(__name__)

#: (kind of failure, status, error_code); the first that fits is taken.
TRANSLATIONS: tuple[tuple[type[Exception], int, str], ...] = (
    (dispatching.NotFound, 404, "not_found_error"),
    (dispatching.ExecutionRunning, 400, "existing_running_execution_error"),
    (dispatching.AlreadyExists, 409, "conflict_error"),
    (dispatching.Conflict, 409, "conflict_error"),
    (dispatching.StoreError, 503, "internal_server_error"),
    (FilesError, 400, "bad_parameters_error"),
    (dispatching.DispatcherError, 400, "bad_parameters_error"),
    (UnknownWorkflowError, 400, "nonexistent_workflow_error"),
    (ParameterError, 400, "illegal_execution_parameters_error"),
    (WorkflowUnavailable, 400, "unavailable_workflow_error"),
    (WorkflowError, 400, "bad_parameters_error"),
    (FunctionFailed, 400, "functions_evaluation_error"),
    (BlueprintFailure, 400, "invalid_blueprint_error"),
    (WagonError, 400, "invalid_plugin_error"),
)
#: See `uploads.work_folder`.
_UPLOADS = re.compile(r"/[^\s'\"]*/upload-[^/\s]{8}/(?:unpacked/)?")
#: error_code of what the framework itself answers.
_FRAMEWORK = {404: "not_found_error", 405: "method_not_allowed_error", 413: "bad_parameters_error"}


def envelope(status: int, code: str, message: str, *, headers: dict[str, str] | None = None) -> Response:
    """Return an error as clients expect it."""
    return JSONResponse({"message": message, "error_code": code, "server_traceback": None}, status, headers)


def install(app: FastAPI) -> None:
    """Make the application answer every failure with the envelope."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(HTTPException, _framework)
    for kind, status, code in TRANSLATIONS:
        app.add_exception_handler(kind, _translator(status, code))
    app.add_exception_handler(Exception, _unexpected)


def _api_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 - registered for this type
    # Without the challenge header: browsers would show their own dialogue over the page's.
    return envelope(error.status, error.code, str(error))


def _translator(status: int, code: str) -> Callable[[Request, Exception], Response]:
    def answer(_request: Request, error: Exception) -> Response:
        return envelope(status, code, without_places(str(error)))

    return answer


def without_places(text: str) -> str:
    """Return a message without the folders that uploads were unpacked in: to their senders, those mean nothing."""
    return _UPLOADS.sub("", text)


def _unreadable(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this type
    kind = request.headers.get("content-type", "")
    if "json" not in kind.lower() and any(each["loc"] == ("body",) for each in error.errors()):
        # What curl sends with -d says that it is a form.
        said = f"says that it is {kind[:80]!r}" if kind else "does not say what it is"
        remedy = "send JSON with the header Content-Type: application/json"
        return envelope(400, "bad_parameters_error", f"the body {said}: {remedy}")
    found = [f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in error.errors()]
    return envelope(400, "bad_parameters_error", "; ".join(found))


def _framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type
    asked, headers, message = f"{request.method} {request.url.path}", dict(error.headers or {}), str(error.detail)
    if error.status_code == 404:
        message = f"{asked} not found"
    elif error.status_code == 405:
        # The page's files do not say it themselves.
        allowed = headers.setdefault("Allow", "GET, HEAD")
        message = f"{asked} is not offered: this path takes {allowed}"
    code = _FRAMEWORK.get(error.status_code, "bad_parameters_error")
    return envelope(error.status_code, code, message, headers=headers)


def _unexpected(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error, extra={"action": "request_failed"})
    return envelope(500, "internal_server_error", "this is a defect of the manager: its log has the details")
