"""What a request can end in; `envelope` writes it as clients expect it.

::

    ApiError
    ├── BadRequest      400   the request cannot be understood, or does not fit what it is about
    ├── Unauthorized    401   nobody, or nobody we know
    ├── Forbidden       403   known, but not allowed
    ├── Missing         404   the text holds the words "not found": clients look for them
    ├── InUse           405   others depend on it
    ├── AtOdds          409   it was changed meanwhile, or exists already
    ├── TooLarge        413   an upload beyond its limit
    └── TooMany         429   wait before the next try
    CannotServe               the process cannot listen where it is told to
"""

from __future__ import annotations


class ApiError(Exception):
    """The root; `code` is the wire's ``error_code``."""

    status = 500
    code = "internal_server_error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class BadRequest(ApiError):
    """The request cannot be understood, or does not fit what it is about."""

    status = 400
    code = "bad_parameters_error"


class Unauthorized(ApiError):
    """The request carries no credentials, or wrong ones."""

    status = 401
    code = "unauthorized_error"


class Forbidden(ApiError):
    """The user is known, but must not do this."""

    status = 403
    code = "forbidden_error"


class Missing(ApiError):
    """There is no such thing, or it must not be seen."""

    status = 404
    code = "not_found_error"

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind} {name!r} not found")


class InUse(ApiError):
    """Others depend on it."""

    status = 405
    code = "plugin_in_use"


class AtOdds(ApiError):
    """It was changed meanwhile, or exists already."""

    status = 409
    code = "conflict_error"


class TooLarge(ApiError):
    """An upload is larger than the settings allow."""

    status = 413
    code = "bad_parameters_error"


class TooMany(ApiError):
    """Too many wrong passwords from one address."""

    status = 429
    code = "unauthorized_error"


class CannotServe(Exception):
    """The process cannot listen where it is told to; the text says why and what to do."""
