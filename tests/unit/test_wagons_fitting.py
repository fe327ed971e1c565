"""Which wagon fits which interpreter: all reasons are told, and of several the best is taken."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging import tags as packaging_tags

from outrider.messaging.messages import WagonRef
from outrider.plugins.wagons import Target, check, choose, probe, read_wagon, select_wheels, wagon_tags
from outrider.plugins.wagons.errors import DuplicateWheel, InterpreterError, NoFittingWagon
from outrider.plugins.wagons.inspecting import WheelMetadata, unmet
from outrider.plugins.wagons.tags import platform_tags, supported_tags
from tests.support.wagons import WagonMaker, wheel_bytes

PY39 = Target("cpython", (3, 9, 18), "linux-x86_64", "glibc-2.36")
PY311 = Target("cpython", (3, 11, 7), "linux-x86_64", "glibc-2.36")
ALPINE = Target("cpython", (3, 11, 7), "linux-x86_64", "musl-1.2")
OLD = Target("cpython", (3, 11, 7), "linux-x86_64", "glibc-2.17")
ARM = Target("cpython", (3, 11, 7), "linux-aarch64", "glibc-2.36")
FREE_THREADED = Target("cpython", (3, 13, 0), "linux-x86_64", "glibc-2.36", abiflags="t")
PYPY = Target("pypy", (3, 10, 14), "linux-x86_64", "glibc-2.36", soabi="pypy310-pp73-x86_64-linux-gnu")


def test_the_tags_of_this_interpreter_are_those_of_the_packaging_library() -> None:
    ours = supported_tags(probe())

    theirs = [str(tag) for tag in packaging_tags.sys_tags()]
    assert [tag for tag in theirs if tag not in ours] == []


def test_the_target_of_an_interpreter_is_asked_once(tmp_path: Path) -> None:
    assert probe(sys.executable) is probe(sys.executable)
    assert probe().python == sys.version_info[:3]
    assert Target.from_json(probe().to_json()) == probe()


def test_what_is_no_interpreter_is_named(tmp_path: Path) -> None:
    with pytest.raises(InterpreterError, match="no such Python"):
        probe(str(tmp_path / "python"))
    fake = tmp_path / "fake"
    fake.write_text("#!/bin/sh\necho nonsense\n")
    fake.chmod(0o755)
    with pytest.raises(InterpreterError, match="fake"):
        probe(str(fake))


@pytest.mark.parametrize(
    ("tag", "target", "fits"),
    [
        ("py3-none-any", PY39, True),
        ("py2.py3-none-any", PY311, True),
        ("py2-none-any", PY311, False),
        ("cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64", PY311, True),
        ("cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64", PY39, False),
        ("cp311-cp311-manylinux_2_17_x86_64", ALPINE, False),
        ("cp311-cp311-musllinux_1_1_x86_64", ALPINE, True),
        ("cp311-cp311-musllinux_1_1_x86_64", PY311, False),
        ("cp311-cp311-manylinux_2_28_x86_64", OLD, False),
        ("cp311-cp311-manylinux1_x86_64", OLD, True),
        ("cp36-abi3-manylinux2014_x86_64", PY39, True),
        ("cp311-cp311-linux_x86_64", ARM, False),
        ("cp313-cp313-linux_x86_64", FREE_THREADED, False),
        ("cp313-cp313t-linux_x86_64", FREE_THREADED, True),
        ("pp310-pypy310_pp73-manylinux_2_17_x86_64", PYPY, True),
        ("cp310-cp310-manylinux_2_17_x86_64", PYPY, False),
        ("py311-none-linux_x86_64", PY39, False),
    ],
)
def test_a_wheels_tag_decides(tmp_path: Path, tag: str, target: Target, fits: bool) -> None:
    wheels = {f"demo-1.0-{tag}.whl": wheel_bytes()}

    reasons = check(read_wagon(WagonMaker(wheels=wheels).write(tmp_path)), target)

    assert (reasons == ()) is fits
    assert all(tag in str(reason) and target.description in str(reason) for reason in reasons)


def test_all_reasons_are_told_not_only_the_first(tmp_path: Path) -> None:
    wheels = {
        "demo-1.0-py3-none-any.whl": wheel_bytes(),
        "a-1.0-cp311-cp311-linux_x86_64.whl": b"",
        "b-1.0-cp311-cp311-linux_x86_64.whl": b"",
    }
    maker = WagonMaker(
        wheels=wheels, pythons=["py311"], platform="linux_x86_64", metadata={"python_requires": ">=3.10"}
    )
    wagon = read_wagon(maker.write(tmp_path))

    assert check(wagon, PY311) == ()
    assert [reason.subject for reason in check(wagon, PY39)] == [
        "the wagon",
        "demo",
        "a-1.0-cp311-cp311-linux_x86_64.whl",
        "b-1.0-cp311-cp311-linux_x86_64.whl",
    ]
    with pytest.raises(NoFittingWagon, match=r"requires Python >=3\.10"):
        select_wheels(wagon, PY39)


def test_tags_say_what_a_wagon_needs_and_leave_out_what_fits_everywhere(tmp_path: Path) -> None:
    wheels = {
        "demo-1.0-py3-none-any.whl": wheel_bytes(),
        "both-1.0-py2.py3-none-any.whl": b"",
        "c-1.0-cp39-cp39-linux_x86_64.whl": b"",
        "c-1.0-cp311-cp311-linux_x86_64.whl": b"",
    }
    wagon = read_wagon(WagonMaker(wheels=wheels, pythons=["py39", "py311"], platform="linux_x86_64").write(tmp_path))

    assert wagon_tags(wagon) == (
        "py39.py311-none-linux_x86_64",
        "cp311-cp311-linux_x86_64|cp39-cp39-linux_x86_64",
    )
    for target, name in ((PY39, "c-1.0-cp39-cp39-linux_x86_64.whl"), (PY311, "c-1.0-cp311-cp311-linux_x86_64.whl")):
        assert name in [wheel.name.filename for wheel in select_wheels(wagon, target)]


def test_two_versions_of_one_distribution_are_refused(tmp_path: Path) -> None:
    wheels = {"demo-1.0-py3-none-any.whl": wheel_bytes(), "demo-2.0-py3-none-any.whl": wheel_bytes(version="2.0")}

    with pytest.raises(DuplicateWheel, match=r"demo-1\.0.*demo-2\.0"):
        select_wheels(read_wagon(WagonMaker(wheels=wheels).write(tmp_path)), PY311)


def _ref(filename: str, *tags: str) -> WagonRef:
    return WagonRef(filename=filename, sha256="0" * 64, size_bytes=1, tags=tags)


def test_the_agent_takes_the_wagon_that_fits_it() -> None:
    refs = [_ref("a39", "py39-none-any"), _ref("a311", "py311-none-any"), _ref("a313", "py313-none-any")]

    assert choose(refs, PY39).filename == "a39"
    assert choose(refs, PY311).filename == "a311"
    assert choose(refs, FREE_THREADED).filename == "a313"


def test_of_several_that_fit_the_nearest_is_taken_whatever_their_order() -> None:
    refs = [_ref("any"), _ref("old", "py36-none-any"), _ref("own", "cp311-cp311-manylinux_2_17_x86_64")]

    assert choose(refs, PY311).filename == "own"
    assert choose(refs[::-1], PY311).filename == "own"
    assert choose(refs[:2], PY311).filename == "old"
    assert choose(refs, ARM).filename == "old"


def test_where_none_fits_each_candidate_has_its_reasons() -> None:
    refs = [
        _ref("first.wgn", "py312-none-any", "cp312-cp312-linux_x86_64"),
        _ref("second.wgn", "py311-none-linux_aarch64"),
    ]

    with pytest.raises(NoFittingWagon) as caught:
        choose(refs, PY39)

    assert {name: len(reasons) for name, reasons in caught.value.reasons.items()} == {"first.wgn": 2, "second.wgn": 1}
    assert "CPython 3.9.18 on linux-x86_64 (glibc-2.36)" in str(caught.value)
    assert "cp312-cp312-linux_x86_64" in str(caught.value)
    with pytest.raises(NoFittingWagon, match="there is no wagon"):
        choose([], PY39)


def test_legacy_platform_names_are_known() -> None:
    assert platform_tags(OLD)[:2] == ["manylinux_2_17_x86_64", "manylinux2014_x86_64"]
    assert platform_tags(OLD)[-1] == "linux_x86_64"
    assert platform_tags(Target("cpython", (3, 11, 0), "linux-x86_64", "glibc-2.17", bits=32))[-1] == "linux_i686"


@dataclass(frozen=True)
class _Case:
    requires: tuple[str, ...]
    target: Target
    missing: tuple[str, ...]


@pytest.mark.parametrize(
    "case",
    [
        _Case(("other",), PY311, ()),
        _Case(("other>=2",), PY311, ("demo requires other>=2, and the wagon holds 1.0",)),
        _Case(("tomli; python_version < '3.11'",), PY311, ()),
        _Case(("tomli; python_version < '3.11'",), PY39, ("demo requires tomli, and the wagon does not hold it",)),
        _Case(("winreg; sys_platform == 'win32'",), PY311, ()),
        _Case(("other[extra]",), PY311, ("Other requires further, and the wagon does not hold it",)),
        _Case(("further; extra == 'x'",), PY311, ()),
    ],
)
def test_what_a_wagon_lacks_is_judged_by_the_targets_markers(case: _Case) -> None:
    wheels = [
        WheelMetadata("demo", "1.0", "", case.requires),
        WheelMetadata("Other", "1.0", "", ("further; extra == 'extra'",)),
    ]

    assert tuple(map(str, unmet(wheels, case.target))) == case.missing
