"""The operation's end: serves a context to the `ctx` command over HTTP."""

from outrider_facade import further_names

from cloudify.proxy import client
from outrider.plugins.script.errors import ScriptException
from outrider.plugins.script.proxy import ContextServer

__getattr__ = further_names(__name__)

#: What a script's abort and retry requests raise, in either interface.
STOP_ERRORS = (client.ScriptException, ScriptException)


class CtxProxy:
    """The base of proxies: an address, and a close."""

    def __init__(self, ctx, socket_url):
        self.ctx = ctx
        self.socket_url = socket_url

    def close(self):
        """Stop serving."""


class StubCtxProxy(CtxProxy):
    """Serves nothing: the script has no `ctx` command."""

    def __init__(self):
        super().__init__(None, "")


class HTTPCtxProxy(CtxProxy):
    """Serves a context on a port of loopback.

    Callers build addresses from the port alone (through an SSH tunnel …), so there is no secret path here.
    """

    def __init__(self, ctx, port=0):
        self._server = ContextServer(ctx, port=port, secret_path=False, stop_errors=STOP_ERRORS)
        self._server.start()
        self.port = self._server.port
        super().__init__(ctx, f"http://localhost:{self.port}")

    def close(self):
        """Stop serving."""
        self._server.close()


class SecretHTTPCtxProxy(CtxProxy):
    """Serves a context at an address that cannot be guessed; for scripts on this machine."""

    def __init__(self, ctx):
        self._server = ContextServer(ctx, stop_errors=STOP_ERRORS)
        self._server.start()
        self.port = self._server.port
        super().__init__(ctx, self._server.url)

    def close(self):
        """Stop serving."""
        self._server.close()
