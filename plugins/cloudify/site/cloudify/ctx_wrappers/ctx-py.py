"""`ctx` as a Python object, on a host that has the ``ctx`` command and nothing else.

One file, standard library only: it is copied to the host under the name ``cloudify.py``, so that a script there can
say ``from cloudify import ctx``. Every access runs the command.
"""

import json
import subprocess

__all__ = ["ctx"]


class CtxError(RuntimeError):
    """The ``ctx`` command failed."""


def _run(arguments):
    command = ["ctx", "-j", *(_encoded(argument) for argument in arguments)]
    finished = subprocess.run(command, capture_output=True, check=False)
    if finished.returncode != 0:
        raise CtxError(finished.stderr.decode("utf-8", "replace").strip() or "the ctx command failed")
    text = finished.stdout.decode("utf-8")
    return json.loads(text) if text.strip() else None


def _encoded(argument):
    return argument if isinstance(argument, str) and not argument.startswith("@") else "@" + json.dumps(argument)


class CtxProperties(dict):
    """Properties, read once; an assignment goes to the operation at once."""

    def __init__(self, path):
        self._path = path
        super().__init__(_run(path) or {})

    def __setitem__(self, key, value):
        _run([*self._path, key, value])
        super().__setitem__(key, value)


class CtxNode:
    """A node."""

    def __init__(self, end=None):
        self._path = ([end] if end else []) + ["node"]

    @property
    def properties(self):
        return CtxProperties([*self._path, "properties"])

    @property
    def id(self):
        return _run([*self._path, "id"])

    @property
    def name(self):
        return _run([*self._path, "name"])

    @property
    def type(self):
        return _run([*self._path, "type"])


class CtxInstance:
    """A node instance."""

    def __init__(self, end=None):
        self._path = ([end] if end else []) + ["instance"]

    @property
    def runtime_properties(self):
        return CtxProperties([*self._path, "runtime_properties"])

    @property
    def host_ip(self):
        return _run([*self._path, "host_ip"])

    @property
    def id(self):
        return _run([*self._path, "id"])

    def update(self):
        _run([*self._path, "update"])


class CtxEnd:
    """One end of a relationship."""

    def __init__(self, end):
        self.node = CtxNode(end)
        self.instance = CtxInstance(end)


class CtxLogger:
    """The operation's logger."""

    def _log(self, level, message, args):
        _run(["logger", level, str(message) % args if args else str(message)])

    def debug(self, message, *args):
        self._log("debug", message, args)

    def info(self, message, *args):
        self._log("info", message, args)

    def warning(self, message, *args):
        self._log("warning", message, args)

    warn = warning

    def error(self, message, *args):
        self._log("error", message, args)


class Ctx:
    """The operation's context."""

    def __init__(self):
        self.node = CtxNode()
        self.instance = CtxInstance()
        self.source = CtxEnd("source")
        self.target = CtxEnd("target")
        self.logger = CtxLogger()

    def __call__(self, command_ls):
        return _run(command_ls)

    def returns(self, value):
        _run(["returns", value])

    def abort_operation(self, message=""):
        _run(["abort_operation", message])

    def retry_operation(self, message="", retry_after=None):
        _run(["retry_operation", message, retry_after])

    def get_resource(self, path):
        with open(self.download_resource(path), "rb") as file:
            return file.read()

    def download_resource(self, path, target_path=""):
        return _run(["download_resource", path, *([target_path] if target_path else [])])

    def download_resource_and_render(self, path, target_path="", template_variables=None):
        keywords = {"template_variables": template_variables or {}, "target_path": target_path or None}
        return _run(["download_resource_and_render", path, keywords])

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _run([name])


ctx = Ctx()
