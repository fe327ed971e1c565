"""The operation ``script.script_runner.tasks.run``, and those of its parts that other plugins import."""

from cloudify.exceptions import NonRecoverableError
from cloudify.proxy.client import ScriptException
from outrider_facade import further_names

from outrider.plugins.script.errors import ProcessException

__all__ = [
    "ILLEGAL_CTX_OPERATION_ERROR",
    "POLL_LOOP_INTERVAL",
    "POLL_LOOP_LOG_ITERATIONS",
    "UNSUPPORTED_SCRIPT_FEATURE_ERROR",
    "ProcessException",
    "ScriptException",
    "execute_workflow",
    "process_ctx_request",
    "run",
    "start_ctx_proxy",
]

__getattr__ = further_names(__name__)

ILLEGAL_CTX_OPERATION_ERROR = RuntimeError("ctx may only abort or return once")
UNSUPPORTED_SCRIPT_FEATURE_ERROR = RuntimeError("this feature is not supported by the script")

#: For a runner of scripts (the last one: what a connection to loopback imports). Whoever imports this module for a
#: constant is spared an HTTP server and more.
OUTRIDER_IMPORTS_AHEAD = ("outrider.plugins.script.tasks", "encodings.idna")

#: How often callers look after their process, in seconds, and how often they say so.
POLL_LOOP_INTERVAL = 0.1
POLL_LOOP_LOG_ITERATIONS = 200

#: What ``process.ctx_proxy_type`` may be.
_PROXY_TYPES = ("auto", "http", "none")


def run(*args, **kwargs):
    """Run a script; see `outrider.plugins.script.tasks.run`."""
    # Many plugins import this module for a constant; running scripts needs an HTTP server and more.
    from outrider.plugins.script.tasks import run as run_script

    return run_script(*args, **kwargs)


def start_ctx_proxy(ctx, process):
    """Serve the context to a script; return the proxy, whose `close` ends it."""
    from cloudify.proxy.server import SecretHTTPCtxProxy, StubCtxProxy

    kind = process.get("ctx_proxy_type") or "auto"
    if kind not in _PROXY_TYPES:
        raise NonRecoverableError(f"process.ctx_proxy_type is one of {', '.join(_PROXY_TYPES)}, not {kind!r}")
    return StubCtxProxy() if kind == "none" else SecretHTTPCtxProxy(ctx)


def process_ctx_request(proxy):
    """Do nothing: proxies answer in threads of their own."""


def _get_process_environment(process, proxy):
    """Return the environment of a script's process."""
    from cloudify.state import NotInContext, current_ctx

    from outrider.plugins.script.environment import script_environment

    try:
        work_dir = getattr(current_ctx.get_ctx(), "work_dir", None)
    except NotInContext:
        work_dir = None
    return script_environment(
        inputs={}, extra=process.get("env") or {}, ctx_url=proxy.socket_url or None, work_dir=work_dir
    )


def execute_workflow(ctx, script_path=None, script_source=None, **inputs):
    """Run a workflow script; it is always Python, and gets `ctx` and `parameters` from `cloudify.workflows`."""
    from outrider.plugins.script.evaluate import evaluate_script
    from outrider.plugins.script.source import local_script

    script = local_script(ctx, script_path=script_path, script_source=script_source, ssl_cert_content=None)
    evaluate_script(script, ctx=ctx, inputs=inputs)
