"""What AWS answers, translated to what it means for the attempt. The error's AWS code is always in the text.

NonRecoverableError (SDK)
├── AccessRefused           credentials are missing, wrong, expired, or not allowed to do this
├── QuotaExceeded           a limit of the account is reached
├── RequestRefused          AWS does not take the request as it is
├── ResourceBroken          the resource reached a state from which it never becomes ready
├── ResourceMissing         a resource that has to be there is not
└── NotOurs                 the name is taken by a resource that this instance did not make
RecoverableError (SDK)
├── Throttled               too many requests; the next try comes later each time
├── EndpointAway            no answer, or not one that says what happened
└── NotVisibleYet           something that was made a moment ago is not known everywhere
OperationRetry (SDK)
└── Busy                    a resource changes, or others still use it

`translated` is the one place where botocore's exceptions are caught.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import botocore.exceptions

from outrider.plugins.sdk import NonRecoverableError, OperationRetry, RecoverableError, ctx

#: Seconds between two looks at a resource that changes.
POLL_SECONDS = 5.0
#: Throttled attempts come again after 2, 4, 8 … seconds, up to this, each shortened by up to a half at random.
MAX_BACKOFF_SECONDS = 120.0

_THROTTLED = frozenset(
    {
        "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException",
        "RequestLimitExceeded", "TooManyRequestsException", "BandwidthLimitExceeded", "SlowDown",
        "PriorRequestNotComplete", "EC2ThrottledException",
    }
)  # fmt: skip
_REFUSED = frozenset(
    {
        "AccessDenied", "AccessDeniedException", "AuthFailure", "AuthorizationError", "ExpiredToken",
        "ExpiredTokenException", "IncompleteSignature", "InvalidAccessKeyId", "InvalidClientTokenId",
        "InvalidSecurityToken", "InvalidToken", "MissingAuthenticationToken", "NotAuthorized", "OptInRequired",
        "SignatureDoesNotMatch", "UnauthorizedOperation", "UnrecognizedClientException", "Blocked", "403",
    }
)  # fmt: skip
_QUOTA = frozenset(
    {
        "TooManyBuckets", "TooManyLoadBalancers", "TooManyTargetGroups", "TooManyListeners", "TooManyTargets",
        "ServiceQuotaExceededException", "MaxSpotInstanceCountExceeded",
    }
)  # fmt: skip
_BUSY = frozenset(
    {
        "DependencyViolation", "DeleteConflict", "IncorrectInstanceState", "IncorrectState", "InvalidGroup.InUse",
        "InvalidIPAddress.InUse", "InvalidNetworkInterface.InUse", "OperationAborted", "ResourceInUse",
        "ResourceConflictException", "ConcurrentModification", "VolumeInUse", "ConcurrentOperationException",
    }
)  # fmt: skip
#: Passes when AWS has room again, or has got over an error of its own.
_PASSING = frozenset({"InsufficientInstanceCapacity", "InsufficientHostCapacity", "InternalError", "InternalFailure"})
#: Blueprints name these; they do not come into being a moment later.
_NEVER_THERE = frozenset({"InvalidAMIID.NotFound", "InvalidSnapshot.NotFound", "InvalidZone.NotFound"})
_ALREADY_THERE = ("AlreadyExists", "AlreadyOwnedByYou", ".Duplicate", "DuplicateListener", "DuplicateLoadBalancerName")


class AccessRefused(NonRecoverableError):
    """Credentials are missing, wrong or expired, or they do not allow the request."""


class QuotaExceeded(NonRecoverableError):
    """A limit of the account is reached: ask AWS for a higher one, or remove something."""


class RequestRefused(NonRecoverableError):
    """AWS does not take the request as it is; `code` says why."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class ResourceBroken(NonRecoverableError):
    """The resource reached a state from which it never becomes ready."""


class ResourceMissing(NonRecoverableError):
    """A resource that has to be there is not."""


class NotOurs(NonRecoverableError):
    """The name is taken by a resource that this instance did not make."""


class Throttled(RecoverableError):
    """AWS wants fewer requests."""


class EndpointAway(RecoverableError):
    """AWS gave no answer, or not one that says what happened. Whatever was made is found at the next try."""


class NotVisibleYet(RecoverableError):
    """What was made a moment ago is not known everywhere."""


class Busy(OperationRetry):
    """The resource changes, or others still use it: look again later."""


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn botocore's errors into the ones above; `where` names the call and its resource."""
    try:
        yield
    except botocore.exceptions.ClientError as error:
        raise _of_answer(error, where) from error
    except (
        botocore.exceptions.NoCredentialsError,
        botocore.exceptions.PartialCredentialsError,
        botocore.exceptions.CredentialRetrievalError,
        botocore.exceptions.ProfileNotFound,
    ) as error:
        raise AccessRefused(
            f"{where}: {error}. Give aws_access_key_id and aws_secret_access_key in the node's client_config or in "
            "the plugin's properties (from secrets), or give the agent's host a role"
        ) from error
    except botocore.exceptions.NoRegionError as error:
        raise RequestRefused(f"{where}: set client_config.region_name", code="NoRegion") from error
    except botocore.exceptions.ParamValidationError as error:
        raise RequestRefused(f"{where}: {error}", code="ParamValidation") from error
    except (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError) as error:
        raise EndpointAway(f"{where}: {error}", retry_after=backoff_seconds()) from error
    except (botocore.exceptions.BotoCoreError, ValueError) as error:
        # What is left are mistakes in the settings: an endpoint that is no URL, a service that does not exist …
        raise RequestRefused(f"{where}: {error}", code=type(error).__name__) from error


def code_of(error: botocore.exceptions.ClientError) -> str:
    """Return the AWS code of an answer, such as ``DependencyViolation``."""
    return str(error.response.get("Error", {}).get("Code", ""))


def backoff_seconds() -> float:
    """Return after how long the next try should come: longer with each try, and not for all at once."""
    longest = min(MAX_BACKOFF_SECONDS, 2.0 ** (min(ctx.operation.retry_number, 10) + 1))
    return round(longest * random.uniform(0.5, 1.0), 1)  # noqa: S311 - spreads load, no secret


def is_already_there(code: str) -> bool:
    """Tell whether a create call was refused because something of that name exists."""
    return any(sign in code for sign in _ALREADY_THERE)


def _of_answer(error: botocore.exceptions.ClientError, where: str) -> Exception:
    code = code_of(error)
    details = error.response.get("Error", {})
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    text = f"{where}: {code}: {details.get('Message') or 'AWS gave no reason'}"
    if code in _THROTTLED or status == 429:
        return Throttled(text, retry_after=backoff_seconds())
    if code in _BUSY:
        return Busy(text, retry_after=POLL_SECONDS)
    if code in _REFUSED:
        return AccessRefused(text)
    if code in _QUOTA or code.endswith(("LimitExceeded", "LimitExceededException", "QuotaExceeded")):
        return QuotaExceeded(text)
    if code in _PASSING or status >= 500:
        return EndpointAway(text, retry_after=backoff_seconds())
    if _is_not_visible_yet(code, text):
        return NotVisibleYet(text, retry_after=POLL_SECONDS)
    return RequestRefused(text, code=code)


def _is_not_visible_yet(code: str, text: str) -> bool:
    """Tell whether the request names something that AWS may know a moment later."""
    absent = code.endswith(("NotFound", "NoSuchEntity")) and code not in _NEVER_THERE
    return absent or "Invalid IAM Instance Profile" in text
