"""Makes once, before a plugin's first operation, what would otherwise be made slowly and anew for each one.

The runner imports this after the plugin's own modules, in the process that operations are forked from. It imports the
parts of this interface that every operation needs, and has botocore, if the plugin uses it, read the descriptions of
services: megabytes of JSON, parsed for each session, and each operation has a session of its own. What is kept
is the content of its data files, and what follows from its code alone; nothing of credentials, settings or connections.
Files that are added to ``~/.aws/models`` meanwhile are seen by the next runner.
"""

import sys
from contextlib import suppress
from importlib import import_module
from types import FunctionType, MethodType

#: What the first look at `ctx` and the first log record import.
EVERY_OPERATION = (
    "cloudify.context",
    "outrider.plugins.sdk.logs",
    "outrider_facade.operation",
    "outrider_facade.raw",
    "outrider_facade.subjects",
)
#: Services whose descriptions are read ahead at most; one takes up to 20 MB.
MOST_SERVICES = 6


def read_aws_descriptions():
    """Have botocore read the files of the services that the plugin's modules are named after; returns the services."""
    from botocore import httpsession, session

    memories = _memories()
    maker = session.get_session()
    if "boto3" in sys.modules:
        # Looks for descriptions in a folder of its own, too.
        sys.modules["boto3"].session.Session(botocore_session=maker)
    services = _services(maker.get_component("data_loader").list_available_services("service-2"))
    nobody = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
    for service in services:
        # A client that is made, and not used, reads everything that the next one needs; it connects to nothing.
        maker.create_client(service, region_name="us-east-1", **nobody)
    for memory in memories:
        memory.close()
    # Each client has a TLS context of its own. This one knows no certificate and no connection yet.
    _OneAhead(httpsession, "create_urllib3_context")
    return services


def _memories():
    """Return the memories of all calls whose answers depend on files and code of botocore alone."""
    from botocore import client, hooks, loaders

    def folders(loader, *args):
        return (tuple(loader.search_paths), args) if type(loader) is loaders.Loader else None

    def file(_loader, *args):
        return args

    def event(emitter, name):
        # Event names are translated by one table, unless somebody made an emitter with another.
        return name if emitter._event_aliases is hooks.EVENT_ALIASES else None

    def service(creator, *args):
        return folders(creator._loader, *args)

    def model(_creator, service_model):
        # By identity: a description that was read ahead is one model for all clients of a process.
        return service_model

    return [
        _Memory(loaders.JSONFileLoader, "load_file", file),
        _Memory(loaders.Loader, "list_available_services", folders),
        _Memory(loaders.Loader, "list_api_versions", folders),
        _Memory(hooks.EventAliaser, "_alias_event_name", event),
        _Memory(hooks, "accepts_kwargs", _signature_of),
        _Memory(client.ClientCreator, "_load_service_model", service),
        # The methods of a client's class; who makes one may add some.
        _Memory(client.ClientCreator, "_create_methods", model, hand_out=dict),
        _Memory(client.ClientCreator, "_create_name_mapping", model),
    ]


def _signature_of(handler):
    """Return something that only callables with the same parameters have in common; None if that is not known."""
    if getattr(handler, "__signature__", None) is not None:
        return None
    if isinstance(handler, MethodType):
        handler = handler.__func__
    elif not isinstance(handler, FunctionType):
        handler = type(handler).__call__
    if not isinstance(handler, FunctionType):
        return None
    # A closure is made anew each time, from the same code.
    return handler if handler.__closure__ is None else handler.__code__


class _Memory:
    """In place of a method or function: gives the same answer again to whom it would be the same; learns until closed.

    `key_of` tells from the arguments which calls have the same answer; None if this call's is not to be kept.
    `hand_out` makes from what is kept what a caller may change.

    A key is best a text, or an object of which there is one: to compare it then writes to no page of memory that an
    operation's process shares with its runner.
    """

    def __init__(self, owner, name, key_of, hand_out=None):
        self._original = getattr(owner, name)
        self._key_of = key_of
        self._hand_out = hand_out
        self._known = {}
        self._learns = True
        setattr(owner, name, lambda *args, **named: self.answer(args, named))

    def close(self):
        """Learn nothing more: a process that runs one operation would only fill its memory."""
        self._learns = False

    def answer(self, args, named):
        """Return what is known, else ask the original."""
        key = None if named else self._key_of(*args)
        answer = None if key is None else self._known.get(key)
        if answer is None:
            answer = self._original(*args, **named)
            if not self._learns or key is None or answer is None:
                return answer
            self._known[key] = answer
        return answer if self._hand_out is None else self._hand_out(answer)


class _OneAhead:
    """In place of a function: has called it once without arguments, and gives that to the first who does the same."""

    def __init__(self, owner, name):
        self._original = getattr(owner, name)
        self._made = [self._original()]
        setattr(owner, name, lambda *args, **named: self.answer(args, named))

    def answer(self, args, named):
        """Return what was made, once, else ask the original."""
        if not args and not named:
            # Not asked before whether there is one: another thread might take it in between.
            with suppress(IndexError):
                return self._made.pop()
        return self._original(*args, **named)


def _services(available):
    """Return the services that occur in names of loaded modules: ``some_plugin.ec2.resources`` is about ec2."""
    named = {part for name in list(sys.modules) if not name.startswith(("boto", "moto")) for part in name.split(".")}
    return sorted(named.intersection(available))[:MOST_SERVICES]


def _prepare():
    if "cloudify" in sys.modules:
        for module in EVERY_OPERATION:
            import_module(module)
    if "botocore" in sys.modules:
        try:
            read_aws_descriptions()
        except Exception as error:  # noqa: BLE001 - other versions are made differently; operations work without this
            text = f"nothing was read ahead for botocore: {type(error).__name__}: {error}"
            print(text, file=sys.stderr)  # noqa: T201 - this is the runner's log


_prepare()
