"""Call an operation in a unit test, with a made-up context.

::

    from outrider.plugins.sdk.testing import call

    def test_create_notes_the_volume():
        run = call(my_plugin.create, inputs={"size": 10}, properties={"zone": "a"})
        assert run.succeeded
        assert run.runtime_properties["volume"] == "vol-1"

`call` runs exactly what the agent's child process runs, on a channel that keeps everything in memory. Code that needs a
context without being an operation runs in a ``with made_up_context(…)`` block.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import types
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional, Union

from outrider.plugins.sdk.context import Context
from outrider.plugins.sdk.current import Scope, current
from outrider.plugins.sdk.errors import RequestNotSupported, ResourceNotFound
from outrider.plugins.sdk.execute import FAILED, RESCHEDULED, SUCCEEDED, execute

#: Blueprint resources of a test: path -> content, or a folder that holds them.
Resources = Union[Mapping[str, Union[str, bytes]], str, Path]


@dataclass(frozen=True)
class LoggedLine:
    """What an operation logged."""

    level: str
    logger: str
    message: str


@dataclass(frozen=True)
class SavedProperties:
    """One save of an instance's runtime properties."""

    instance: str
    set: dict[str, Any]
    delete: list[str]
    base_version: int
    replace: bool


class MemoryChannel:
    """A channel that keeps what the operation sends, and serves resources from memory or from a folder."""

    def __init__(self, *, work_dir: str, resources: Optional[Resources] = None) -> None:
        self.work_dir = work_dir
        self.logs: list[LoggedLine] = []
        self.events: list[tuple[str, str]] = []
        self.saves: list[SavedProperties] = []
        #: Answers to `request`, by kind: a function of the payload.
        self.answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {}
        self._resources = resources if resources is not None else {}

    def log(self, *, level: str, logger: str, message: str, time: float) -> None:  # noqa: ARG002 - the interface's
        """Keep a log record."""
        self.logs.append(LoggedLine(level=level, logger=logger, message=message))

    def event(self, *, event_type: str, message: str) -> None:
        """Keep an event."""
        self.events.append((event_type, message))

    def save_properties(
        self,
        *,
        instance: str,
        set: dict[str, Any],  # noqa: A002 - the field's name in the message
        delete: list[str],
        base_version: int,
        replace: bool,
    ) -> None:
        """Keep a save."""
        self.saves.append(SavedProperties(instance, set, delete, base_version, replace))

    def resource(self, path: str) -> str:
        """Return a file with the resource's content. Raises `ResourceNotFound`."""
        if isinstance(self._resources, (str, Path)):
            file = Path(self._resources) / path
            if not file.is_file():
                raise ResourceNotFound(path)
            return str(file)
        if path not in self._resources:
            raise ResourceNotFound(path)
        content = self._resources[path]
        file = Path(self.work_dir) / "resources" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(file)

    def resources(self, prefix: str) -> list[str]:
        """Return the paths that start with `prefix`."""
        if isinstance(self._resources, (str, Path)):
            root = Path(self._resources)
            paths = [file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file()]
        else:
            paths = list(self._resources)
        return sorted(path for path in paths if path.startswith(prefix))

    def request(self, kind: str, payload: dict[str, Any], timeout_seconds: float) -> dict[str, Any]:  # noqa: ARG002 - the interface's
        """Answer from `answers`."""
        if kind not in self.answers:
            raise RequestNotSupported(f"the test's channel has no answer to {kind!r}: set channel.answers[{kind!r}]")
        return self.answers[kind](payload)


@dataclass(frozen=True)
class OperationRun:
    """How a call of an operation went."""

    #: ``succeeded``, ``failed`` or ``rescheduled``.
    verdict: str
    value: Any
    #: None, or type, message, traceback, causes, recoverable, retry_after_seconds, exit_code.
    error: Optional[dict[str, Any]]
    logs: list[LoggedLine]
    #: (type, message) of each event.
    events: list[tuple[str, str]]
    #: Every durable save, in order.
    saves: list[SavedProperties]
    #: Runtime properties by instance id, as they are stored after the call.
    stored: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        """Whether the operation returned."""
        return self.verdict == SUCCEEDED

    @property
    def failed(self) -> bool:
        """Whether the operation failed."""
        return self.verdict == FAILED

    @property
    def rescheduled(self) -> bool:
        """Whether the operation asked to be called again."""
        return self.verdict == RESCHEDULED

    @property
    def retry_after(self) -> Optional[float]:
        """After how many seconds the operation wants to be called again, if it said so."""
        return None if self.error is None else self.error["retry_after_seconds"]

    @property
    def runtime_properties(self) -> dict[str, Any]:
        """The stored runtime properties of the only (or, in a relationship, the source) instance."""
        return next(iter(self.stored.values()), {})

    @property
    def messages(self) -> list[str]:
        """The logged messages alone."""
        return [line.message for line in self.logs]

    def value_or_raise(self) -> Any:
        """Return the operation's value; raise AssertionError with its traceback if there is none."""
        if self.error is not None:
            text = self.error["traceback"] or f"{self.error['type']}: {self.error['message']}"
            raise AssertionError(f"the operation {self.verdict}:\n{text}")
        return self.value


def instance_data(
    *,
    node: str = "node",
    instance: Optional[str] = None,
    type: str = "cloudify.nodes.Root",  # noqa: A002 - the language's word
    properties: Optional[Mapping[str, Any]] = None,
    runtime_properties: Optional[Mapping[str, Any]] = None,
    relationships: Sequence[Mapping[str, Any]] = (),
    **more: Any,
) -> dict[str, Any]:
    """Return the JSON form of `messaging.messages.InstanceContext`; `more` are further fields of it."""
    return {
        "node": node,
        "type": type,
        "type_hierarchy": [type],
        "properties": dict(properties or {}),
        "instance": instance or f"{node}_1",
        "runtime_properties": dict(runtime_properties or {}),
        "version": 1,
        "relationships": [dict(relationship) for relationship in relationships],
        **more,
    }


def make_task(
    operation: str,
    *,
    inputs: Optional[Mapping[str, Any]] = None,
    name: str = "cloudify.interfaces.lifecycle.create",
    node: Optional[Mapping[str, Any]] = None,
    source: Optional[Mapping[str, Any]] = None,
    target: Optional[Mapping[str, Any]] = None,
    context: Optional[Mapping[str, Any]] = None,
    **more: Any,
) -> dict[str, Any]:
    """Return the JSON form of `messaging.messages.OperationTask`; `context` and `more` are further fields of it."""
    return {
        "attempt_id": "attempt-1",
        "task_id": "task-1",
        "execution_id": "execution-1",
        "attempt_number": 1,
        "operation": operation,
        "plugin": {"name": operation.partition(".")[0], "version": "1.0"},
        "inputs": dict(inputs or {}),
        "context": {
            "operation": name,
            "workflow": "install",
            "deployment": "deployment",
            "blueprint": "blueprint",
            "tenant": "default_tenant",
            "relationship_side": "source" if source else None,
            "node": node,
            "source": source,
            "target": target,
            **(context or {}),
        },
        **more,
    }


def call(
    operation: Union[str, Callable[..., Any]],
    *,
    inputs: Optional[Mapping[str, Any]] = None,
    properties: Optional[Mapping[str, Any]] = None,
    runtime_properties: Optional[Mapping[str, Any]] = None,
    source: Optional[Mapping[str, Any]] = None,
    target: Optional[Mapping[str, Any]] = None,
    resources: Optional[Resources] = None,
    answers: Optional[Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]] = None,
    **more: Any,
) -> OperationRun:
    """Run an operation, given as function or as ``module.function``, in a made-up context.

    A node operation gets `properties` and `runtime_properties`; pass `source` and `target` (of `instance_data`) for a
    relationship operation; `more` are further arguments of `make_task`, such as `name`, `context` and `node`.
    """
    subjects = _subjects(properties, runtime_properties, source, target, more)
    with _work_dir() as work_dir, _importable(operation) as path:
        channel = MemoryChannel(work_dir=work_dir, resources=resources)
        channel.answers.update(answers or {})
        outcome = execute(make_task(path, inputs=inputs, **subjects, **more), channel)
    return OperationRun(
        verdict=outcome["verdict"],
        value=outcome["value"],
        error=outcome["error"],
        logs=channel.logs,
        events=channel.events,
        saves=channel.saves,
        stored={data["instance"]: _stored(data, channel.saves) for data in subjects.values() if data},
    )


@contextmanager
def made_up_context(
    *,
    properties: Optional[Mapping[str, Any]] = None,
    runtime_properties: Optional[Mapping[str, Any]] = None,
    source: Optional[Mapping[str, Any]] = None,
    target: Optional[Mapping[str, Any]] = None,
    resources: Optional[Resources] = None,
    **more: Any,
) -> Iterator[Context]:
    """Make `ctx` work inside the block, for testing a function that is not an operation; gives the context."""
    subjects = _subjects(properties, runtime_properties, source, target, more)
    with _work_dir() as work_dir:
        channel = MemoryChannel(work_dir=work_dir, resources=resources)
        inputs = more.pop("inputs", None)
        context = Context(make_task("none.none", inputs=inputs, **subjects, **more), channel)
        try:
            with current.push(Scope(context, inputs)):
                yield context
        finally:
            context.close()


def _subjects(
    properties: Optional[Mapping[str, Any]],
    runtime_properties: Optional[Mapping[str, Any]],
    source: Optional[Mapping[str, Any]],
    target: Optional[Mapping[str, Any]],
    more: dict[str, Any],
) -> dict[str, Any]:
    if (source is None) != (target is None):
        raise ValueError("a relationship operation needs both source and target")
    if source is not None:
        return {"source": source, "target": target}
    node = more.pop("node", None)
    return {"node": node or instance_data(properties=properties, runtime_properties=runtime_properties)}


def _stored(data: Mapping[str, Any], saves: Sequence[SavedProperties]) -> dict[str, Any]:
    stored = dict(data["runtime_properties"])
    for save in saves:
        if save.instance == data["instance"]:
            stored = {**({} if save.replace else stored), **save.set}
            for key in save.delete:
                stored.pop(key, None)
    return stored


@contextmanager
def _work_dir() -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="outrider-test-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _importable(operation: Union[str, Callable[..., Any]]) -> Iterator[str]:
    """Give the path under which `execute` finds the operation, also that of a function made inside a test."""
    if isinstance(operation, str):
        yield operation
        return
    module = types.ModuleType("operation_under_test")
    module.operation = operation  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    try:
        yield f"{module.__name__}.operation"
    finally:
        del sys.modules[module.__name__]
