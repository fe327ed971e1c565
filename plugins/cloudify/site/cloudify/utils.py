"""Helpers that plugins import."""

import os

from outrider_facade import further_names

from cloudify.exceptions import CommandExecutionException, NonRecoverableError

__getattr__ = further_names(__name__)

#: The variable that names the folder for temporary files.
ENV_CFY_EXEC_TEMPDIR = CFY_EXEC_TEMPDIR_ENVVAR = "CFY_EXEC_TEMP"
ENV_AGENT_LOG_DIR = "AGENT_LOG_DIR"
ENV_AGENT_LOG_LEVEL = "AGENT_LOG_LEVEL"


def exception_to_error_cause(exception, tb=None):
    """Return ``{message, traceback, type}`` of an exception, for the ``causes`` of another one."""
    from traceback import format_exception

    return {
        "message": str(exception),
        "traceback": "".join(format_exception(type(exception), exception, tb)),
        "type": type(exception).__name__,
    }


def id_generator(size=6, chars="ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"):
    """Return a random text for names; not for secrets."""
    import random  # here and below: modules that are slow to import, for helpers that few plugins call

    return "".join(random.choice(chars) for _ in range(size))  # noqa: S311 - see above


def get_exec_tempdir():
    """Return the folder for temporary files."""
    import tempfile

    return os.environ.get(ENV_CFY_EXEC_TEMPDIR) or tempfile.gettempdir()


def create_temp_folder():
    """Return a new temporary folder."""
    import tempfile

    return tempfile.mkdtemp(prefix="cfy-", dir=get_exec_tempdir())


def _get_current_context():
    """Return the workflow's or the operation's context. Raises RuntimeError if there is none."""
    from cloudify.state import NotInContext, current_ctx

    try:
        return current_ctx.get_ctx()
    except NotInContext:
        raise RuntimeError("no context: neither an operation nor a workflow is running here") from None


def get_tenant_name():
    """Return the name of the current tenant."""
    tenant = get_tenant()
    return tenant.get("name") if tenant else None


def get_tenant():
    """Return the current tenant as a mapping."""
    try:
        return getattr(_get_current_context(), "tenant", None) or {}
    except RuntimeError:
        return {}


def get_rest_token():
    """Return the current token for the REST API."""
    return getattr(_get_current_context(), "rest_token", None)


def get_execution_token():
    """Return the current execution's token."""
    found = _endpoint(_get_current_context())
    return None if found is None else found.execution_token


def _endpoint(ctx):
    from outrider_facade.manager_access import endpoint

    return endpoint(ctx)


def _manager_endpoint():
    """Return where the manager is. Raises NonRecoverableError where there is none."""
    try:
        found = _endpoint(_get_current_context())
    except RuntimeError:
        found = _endpoint(None)
    if found is None:
        raise NonRecoverableError("this code runs without a manager: no address of a REST API is known")
    return found


def get_execution_creator_username():
    """Return who started the execution."""
    return getattr(_get_current_context(), "execution_creator_username", None)


def get_instances_of_node(node_id=None, deployment_id=None, client=None):
    """Return a node's instances from the manager."""
    from cloudify.manager import get_rest_client

    return (client or get_rest_client()).node_instances.list(deployment_id=deployment_id, node_id=node_id)


def get_manager_rest_service_host():
    """Return the address of the REST API."""
    return _manager_endpoint().host


def get_manager_rest_service_port():
    """Return the port of the REST API."""
    return _manager_endpoint().port


def get_manager_rest_service_protocol():
    """Return ``http`` or ``https``."""
    return _manager_endpoint().protocol


def get_local_rest_certificate():
    """Return the path of the certificate of the REST API's authority; None: it is a public one."""
    return _manager_endpoint().cert


def get_manager_name():
    """Return the manager's name."""
    return os.environ["MANAGER_NAME"]


def get_manager_file_server_url():
    """Return the address of the manager's file server."""
    return os.environ["MANAGER_FILE_SERVER_URL"]


def get_daemon_name():
    """Return the agent's name."""
    return os.environ["AGENT_NAME"]


def get_func(task_name):
    """Return the function ``module.function``."""
    from importlib import import_module

    module, _, name = task_name.rpartition(".")
    if not module:
        raise NonRecoverableError(f"{task_name!r} does not have the form module.function")
    return getattr(import_module(module), name)


def setup_logger(
    logger_name, logger_level=None, handlers=None, remove_existing_handlers=True, logger_format=None, propagate=True
):
    """Return a logger with a handler of its own."""
    import logging
    import sys

    logger = logging.getLogger(logger_name)
    if remove_existing_handlers:
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
    for handler in handlers or [logging.StreamHandler(sys.stdout)]:
        handler.setFormatter(logging.Formatter(logger_format or "%(asctime)s [%(levelname)s] [%(name)s] %(message)s"))
        handler.setLevel(logger_level or logging.INFO)
        logger.addHandler(handler)
    logger.setLevel(logger_level or logging.INFO)
    logger.propagate = propagate
    return logger


class CommandExecutionResponse:
    """What a command gave."""

    def __init__(self, command, std_out, std_err, return_code):
        self.command = command
        self.std_out = std_out
        self.std_err = std_err
        self.return_code = return_code


class LocalCommandRunner:
    """Runs commands on this machine."""

    def __init__(self, logger=None, host="localhost"):
        import logging

        self.logger = logger or logging.getLogger("LocalCommandRunner")
        self.host = host

    def run(
        self,
        command,
        exit_on_failure=True,
        stdout_pipe=True,
        stderr_pipe=True,
        cwd=None,
        execution_env=None,
        encoding="utf-8",
    ):
        """Run a command, given as text or list, without a shell.

        Raises CommandExecutionException for a non-zero exit code unless `exit_on_failure` is false.
        """
        import shlex
        import subprocess

        self.logger.debug("run: %s", command)
        finished = subprocess.run(
            shlex.split(command) if isinstance(command, str) else command,
            stdout=subprocess.PIPE if stdout_pipe else None,
            stderr=subprocess.PIPE if stderr_pipe else None,
            cwd=cwd,
            env={**os.environ, **(execution_env or {})},
            check=False,
        )
        out = (finished.stdout or b"").decode(encoding, "replace").rstrip()
        err = (finished.stderr or b"").decode(encoding, "replace").rstrip()
        if finished.returncode != 0:
            error = CommandExecutionException(command=command, error=err, output=out, code=finished.returncode)
            if exit_on_failure:
                raise error
            self.logger.error(error)
        return CommandExecutionResponse(command, out, err, finished.returncode)


class Internal:
    """Helpers that were meant to be internal and are used."""

    @staticmethod
    def get_install_method(properties):
        """Return the install method of a host's agent: a text, or None for the default."""
        install_agent = properties.get("install_agent")
        if install_agent is False or install_agent == "false":
            return "none"
        if install_agent is True or install_agent == "true":
            return "remote"
        config = properties.get("cloudify_agent") or properties.get("agent_config") or {}
        return config.get("install_method")

    @staticmethod
    def get_broker_ssl_options(ssl_enabled, cert_path):
        """Return the TLS options of a broker connection."""
        import ssl

        return {"ca_certs": cert_path, "cert_reqs": ssl.CERT_REQUIRED} if ssl_enabled else {}

    @staticmethod
    def get_broker_ssl_and_port(ssl_enabled, cert_path):
        """Return port and TLS options of a broker connection."""
        return (5671 if ssl_enabled else 5672), Internal.get_broker_ssl_options(ssl_enabled, cert_path)


internal = Internal()
