"""`CloudifyClient`: one attribute per kind of object, made at its first use."""

import base64

from outrider_facade import missing_from

__getattr__ = missing_from(__name__)

DEFAULT_PORT = 80
SECURED_PORT = 443
DEFAULT_PROTOCOL = "http"
SECURED_PROTOCOL = "https"
DEFAULT_API_VERSION = "v3.1"
TENANT_HEADER = "Tenant"


class CloudifyClient:
    """A client of the manager's REST API."""

    def __init__(
        self,
        host="localhost",
        port=None,
        protocol=DEFAULT_PROTOCOL,
        api_version=DEFAULT_API_VERSION,
        headers=None,
        query_params=None,
        cert=None,
        trust_all=False,
        username=None,
        password=None,
        token=None,
        tenant=None,
        kerberos_env=None,
        timeout=None,
        session=None,
    ):
        self.host = host
        self.protocol = protocol
        self.port = port or (SECURED_PORT if protocol == SECURED_PROTOCOL else DEFAULT_PORT)
        self.api_version = api_version
        self._settings = {
            "headers": _headers(headers, username=username, password=password, token=token, tenant=tenant),
            "query_params": query_params,
            "cert": cert,
            "trust_all": trust_all,
            "timeout": timeout,
        }
        self._client_made = None

    @property
    def _client(self):
        if self._client_made is None:
            from cloudify_rest_client.http import HTTPClient  # ssl and urllib take long to import

            # An IPv6 address stands in brackets before a port; whoever gives it may have put them there.
            host = f"[{self.host}]" if ":" in self.host and not self.host.startswith("[") else self.host
            url = f"{self.protocol}://{host}:{self.port}/api/{self.api_version}"
            self._client_made = HTTPClient(url=url, **self._settings)
        return self._client_made

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        from cloudify_rest_client.resources import RESOURCES

        if name not in RESOURCES:
            raise AttributeError(f"CloudifyClient.{name} is not provided by Outrider's cloudify interface")
        resource = RESOURCES[name](self._client)
        setattr(self, name, resource)
        return resource

    def __enter__(self):
        return self

    def __exit__(self, *_exc_info):
        """Do nothing: no connection stays open."""


def _headers(headers, *, username, password, token, tenant):
    made = dict(headers or {})
    if username is not None and password is not None:
        encoded = base64.b64encode(f"{username}:{password}".encode()).decode("ascii")
        made.setdefault("Authorization", f"Basic {encoded}")
    if token:
        made.setdefault("Authentication-Token", token)
    if tenant:
        made.setdefault(TENANT_HEADER, tenant)
    return made
