"""`sdk.execute`: from a task to a result, whatever the operation does."""

from __future__ import annotations

import json
import sysconfig
import threading
from typing import Any

import pytest

from outrider.plugins.sdk import NonRecoverableError, OperationRetry, RecoverableError, ctx, operation
from outrider.plugins.sdk.testing import call, instance_data


def test_an_operation_gets_its_inputs_and_its_value_comes_back() -> None:
    assert call(lambda size, **_: {"size": size}, inputs={"size": 3}).value_or_raise() == {"size": 3}


def test_a_value_comes_back_as_json_carries_it() -> None:
    assert call(lambda **_: {1: (2, 3)}).value == {"1": [2, 3]}


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"a": [{1}]}, "builtins.set at ['a'][0]"),
        (b"x", "builtins.bytes"),
        (float("nan"), "nan"),
        (object(), "builtins.object"),
    ],
)
def test_a_value_that_is_not_json_fails_for_good_and_names_its_type(value: object, named: str) -> None:
    run = call(lambda **_: value)
    assert run.error is not None
    assert (run.verdict, run.error["recoverable"]) == ("failed", False)
    assert named in run.error["message"]


def test_ctx_is_given_to_functions_that_take_it_and_to_no_others() -> None:
    def with_ctx(ctx: Any) -> str:
        return str(ctx.instance.id)

    def with_keywords(**kwargs: Any) -> list[str]:
        return sorted(kwargs)

    assert call(with_ctx).value == "node_1"
    assert call(with_keywords).value == ["ctx"]
    assert call(lambda: "neither").value == "neither"


def test_callable_objects_are_called_with_what_they_take() -> None:
    class Create:
        def __call__(self, size: int) -> int:
            return size

    assert call(Create(), inputs={"size": 4}).value == 4


def test_inputs_that_do_not_fit_fail_for_good_and_are_named() -> None:
    run = call(lambda *, size, zone="a": None, inputs={"sizes": 1})
    assert run.error is not None
    assert run.error["recoverable"] is False
    assert "needs the inputs size" in run.error["message"]
    assert "does not take the inputs sizes (it takes size, zone)" in run.error["message"]


def test_a_module_that_is_not_there_is_named_with_the_environment_searched() -> None:
    run = call("no_such_plugin.create")
    assert run.error is not None
    assert run.error["recoverable"] is False
    assert "'no_such_plugin'" in run.error["message"]
    assert sysconfig.get_path("purelib") in run.error["message"]


def test_a_function_that_is_not_there_is_named_with_its_file() -> None:
    run = call("json.no_such_function")
    assert run.error is not None
    assert "module json (" in run.error["message"]
    assert str(json.__file__) in run.error["message"]


@pytest.mark.parametrize(
    ("raised", "verdict", "recoverable", "retry_after"),
    [
        (NonRecoverableError("no"), "failed", False, None),
        (RecoverableError("later", retry_after=7), "failed", True, 7.0),
        (OperationRetry("soon", retry_after=2), "rescheduled", True, 2.0),
        (ValueError("odd"), "failed", True, None),
        (SystemExit(3), "failed", True, None),
        (KeyboardInterrupt(), "failed", True, None),
    ],
)
def test_what_is_raised_decides_the_verdict(
    raised: BaseException, verdict: str, recoverable: bool, retry_after: object
) -> None:
    def fail(**_: Any) -> None:
        raise raised

    run = call(fail)
    assert run.error is not None
    assert run.verdict == verdict
    assert run.error["type"] == type(raised).__name__
    assert (run.error["recoverable"], run.error["retry_after_seconds"]) == (recoverable, retry_after)


def test_a_traceback_starts_in_the_operation_and_causes_travel() -> None:
    def fail(**_: Any) -> None:
        raise NonRecoverableError("no", causes=[{"type": "E", "message": "m", "traceback": "t"}])

    error = call(fail).error
    assert error is not None
    assert "in fail" in error["traceback"].splitlines()[1]
    assert error["causes"] == [{"type": "E", "message": "m", "traceback": "t"}]


def test_a_retry_request_takes_effect_after_the_return_and_drops_the_value() -> None:
    def boot(**_: Any) -> str:
        ctx.operation.retry("booting", retry_after=5)
        return "ignored"

    run = call(boot)
    assert (run.verdict, run.value, run.retry_after) == ("rescheduled", None, 5.0)


def test_an_exception_wins_over_a_retry_request() -> None:
    def fail(**_: Any) -> None:
        ctx.operation.retry("booting")
        raise NonRecoverableError("broken")

    assert call(fail).failed


def test_runtime_properties_are_saved_also_after_a_failure() -> None:
    def fail(**_: Any) -> None:
        ctx.instance.runtime_properties["resource"] = "vol-1"
        raise ValueError("afterwards")

    run = call(fail)
    assert run.failed
    assert run.runtime_properties == {"resource": "vol-1"}


def test_a_property_that_is_not_json_fails_the_operation_and_is_named() -> None:
    def note(**_: Any) -> None:
        ctx.instance.runtime_properties["when"] = {1}

    run = call(note)
    assert run.error is not None
    assert "'when' of node_1" in run.error["message"]
    assert run.error["recoverable"] is False


def test_a_relationship_operation_saves_both_ends() -> None:
    def connect(**_: Any) -> None:
        ctx.source.instance.runtime_properties["to"] = ctx.target.instance.id
        ctx.target.instance.runtime_properties["from"] = ctx.source.instance.id

    run = call(connect, source=instance_data(node="app"), target=instance_data(node="db"))
    assert run.stored == {"app_1": {"to": "db_1"}, "db_1": {"from": "app_1"}}


def test_threads_of_an_operation_see_ctx() -> None:
    def spread(**_: Any) -> list[str]:
        seen: list[str] = []
        thread = threading.Thread(target=lambda: seen.append(ctx.instance.id))
        thread.start()
        thread.join(10)
        return seen

    assert call(spread).value == ["node_1"]


def test_a_resumed_operation_that_is_not_resumable_runs_with_a_warning() -> None:
    @operation
    def plain(**_: Any) -> str:
        return "ran"

    @operation(resumable=True)
    def safe(**_: Any) -> str:
        return "ran"

    run = call(plain, resumed=True)
    assert run.value == "ran"
    assert "not declared resumable" in run.messages[0]
    assert call(safe, resumed=True).messages == []
