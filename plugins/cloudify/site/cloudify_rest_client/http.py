"""HTTP with JSON, over urllib: one request, one answer, errors as `CloudifyClientError`."""

import json
import ssl
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

from outrider_facade import missing_from

from cloudify_rest_client.exceptions import ERROR_MAPPING, CloudifyClientError

__getattr__ = missing_from(__name__)

#: An answer that takes longer is an error; plugins may say otherwise.
DEFAULT_TIMEOUT_SECONDS = 300.0


class HTTPClient:
    """Sends requests to one manager."""

    def __init__(self, *, url, headers, query_params=None, cert=None, trust_all=False, timeout=None):
        self.url = url
        self.headers = headers
        self.query_params = dict(query_params or {})
        self._cert = cert
        self._trust_all = trust_all
        # The old client takes (connect, read); the longer one covers both.
        self._timeout = max(timeout) if isinstance(timeout, tuple) else timeout or DEFAULT_TIMEOUT_SECONDS
        self._opener = None

    def get(self, path, params=None):
        """GET; return decoded JSON."""
        return self.request("GET", path, params=params)

    def put(self, path, data=None, params=None):
        """PUT; return decoded JSON."""
        return self.request("PUT", path, data=data, params=params)

    def post(self, path, data=None, params=None):
        """POST; return decoded JSON."""
        return self.request("POST", path, data=data, params=params)

    def patch(self, path, data=None, params=None):
        """PATCH; return decoded JSON."""
        return self.request("PATCH", path, data=data, params=params)

    def delete(self, path, data=None, params=None):
        """DELETE; return decoded JSON."""
        return self.request("DELETE", path, data=data, params=params)

    def request(self, method, path, *, data=None, params=None):
        """Send a request; return decoded JSON, None for an empty answer. Raises `CloudifyClientError`."""
        body = None if data is None else json.dumps(data).encode("utf-8")
        return self.send(method, path, body=body, params=params, headers={"Content-type": "application/json"})

    def send(self, method, path, *, body, params, headers):
        """Send a request with any body."""
        query = _query({**self.query_params, **(params or {})})
        url = f"{self.url}{path}{'?' + query if query else ''}"
        request = Request(url, data=body, method=method, headers={**self.headers, **headers})  # noqa: S310 - http(s) only
        try:
            with self._open(request) as answer:
                text = answer.read()
                return json.loads(text) if text.strip() else None
        except HTTPError as error:
            with error:
                raise _translated(error) from error
        except (URLError, OSError) as error:
            reason = getattr(error, "reason", error)
            raise CloudifyClientError(f"cannot reach the manager for {method} {self.url}{path}: {reason}") from error
        except ValueError as error:
            raise CloudifyClientError(f"the manager's answer to {method} {self.url}{path} is not JSON") from error

    def _open(self, request):
        if self._opener is None:
            trust = ssl.create_default_context(cafile=self._cert or None) if self.url.startswith("https") else None
            if trust is not None and self._trust_all:
                trust.check_hostname = False
                trust.verify_mode = ssl.CERT_NONE
            # The manager is a machine of one's own: the environment's web proxies are not for it.
            self._opener = build_opener(ProxyHandler({}), *([HTTPSHandler(context=trust)] if trust else []))
        return self._opener.open(request, timeout=self._timeout)


def _query(params):
    """Encode parameters: lists as repeated keys, `_include` as one value, None left out."""
    pairs = {key: value for key, value in params.items() if value is not None}
    if isinstance(pairs.get("_include"), (list, tuple, set)):
        pairs["_include"] = ",".join(pairs["_include"])
    return urlencode(
        {key: list(value) if isinstance(value, set) else value for key, value in pairs.items()}, doseq=True
    )


def _translated(error):
    """Return the `CloudifyClientError` of an HTTP error."""
    text = error.read().decode("utf-8", "replace")
    try:
        body = json.loads(text)
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    code = body.get("error_code")
    message = body.get("message") or body.get("detail") or text[:500] or error.reason
    return ERROR_MAPPING.get(code, CloudifyClientError)(
        message,
        server_traceback=body.get("server_traceback"),
        status_code=error.code,
        error_code=code,
        response=error,
    )
