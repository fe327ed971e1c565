"""Makes once, before a plugin's first operation, what would otherwise be made slowly and anew for each one.

The runner imports this after the plugin's own modules, in the process that operations are forked from. It imports the
parts of this interface that every operation needs, and has botocore, if the plugin uses it, read the descriptions of
services: megabytes of JSON, parsed for each session, and each operation has a session of its own. What is kept
is the content of its data files, and what follows from its code alone; nothing of credentials, settings or connections.
Files that are added to ``~/.aws/models`` meanwhile are seen by the next runner.
"""

import sys
from importlib import import_module

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
    from botocore import session

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
    return services


def _memories():
    """Return the memories of all calls whose answers depend on files and code of botocore alone."""
    from botocore import hooks, loaders

    def folders(loader):
        return tuple(loader.search_paths)

    def aliases(emitter):
        # Event names are translated by one table, unless somebody made an emitter with another.
        return "names" if emitter._event_aliases is hooks.EVENT_ALIASES else None

    def function(handler):
        return handler if isinstance(handler, type(_memories)) else None

    return [
        _Memory(loaders.JSONFileLoader, "load_file", lambda _loader: "files"),
        _Memory(loaders.Loader, "list_available_services", folders),
        _Memory(loaders.Loader, "list_api_versions", folders),
        _Memory(hooks.EventAliaser, "_alias_event_name", aliases),
        _Memory(hooks, "accepts_kwargs", function),
    ]


class _Memory:
    """In place of a method or function: gives the same answer again to whom it would be the same; learns until closed.

    `kind_of` tells from the first argument who gets the same answers; None if they are not to be kept.
    """

    def __init__(self, owner, name, kind_of):
        self._original = getattr(owner, name)
        self._kind_of = kind_of
        self._known = {}
        self._learns = True
        setattr(owner, name, lambda first, *args: self.answer(first, args))

    def close(self):
        """Learn nothing more: a process that runs one operation would only fill its memory."""
        self._learns = False

    def answer(self, first, args):
        """Return what is known, else ask the original."""
        kind = self._kind_of(first)
        answer = self._known.get((kind, args))
        if answer is None:
            answer = self._original(first, *args)
            if self._learns and kind is not None and answer is not None:
                self._known[kind, args] = answer
        return answer


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
