"""Building wagons through pip's own index: complete, reproducible, for other Pythons, exchanged with `wagon`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from outrider.plugins.wagons import (
    EnvironmentStore,
    Lock,
    Progress,
    Wagon,
    build,
    build_source,
    check,
    missing_requirements,
    probe,
    read_lock,
    read_wagon,
    source_digest,
    successors,
    verify_wagon,
    wagon_tags,
    write_lock,
)
from outrider.plugins.wagons.building import build_targets
from outrider.plugins.wagons.errors import BadSource, BuildError, PipFailed
from tests.support.pythons import require_python

SETUP = """\
from setuptools import setup
setup(
    name="shout-plugin", version="1.2", packages=["shout_plugin"], install_requires=["iniconfig"],
    entry_points={"console_scripts": ["shout = shout_plugin:main"]},
)
"""
PROGRAM = "import iniconfig, shout_plugin; shout_plugin.main()"


@pytest.fixture(scope="module", autouse=True)
def _index_answers() -> None:
    """Dependencies come through pip's configured index."""
    answer = subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--ignore-installed", "iniconfig"],
        cwd="/",
        capture_output=True,
        check=False,
        timeout=120,
    )
    if answer.returncode != 0:
        pytest.skip("pip's index does not answer")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "shout"
    (folder / "shout_plugin").mkdir(parents=True)
    (folder / "setup.py").write_text(SETUP)
    (folder / "shout_plugin" / "__init__.py").write_text("def main():\n    print('HELLO')\n")
    return folder


def installed(tmp_path: Path, wagon: Wagon, *, python: str = sys.executable) -> str:
    store = EnvironmentStore(tmp_path / "store")
    environment = store.ensure(wagon.name, wagon.version, wagon.path, sha256=wagon.sha256, python=python)
    return str(environment.python)


def run(*command: object) -> str:
    answer = subprocess.run(
        [str(part) for part in command], cwd="/", capture_output=True, text=True, check=True, timeout=120
    )
    return answer.stdout.strip()


def test_a_folder_becomes_a_complete_wagon_and_nothing_is_left_in_it(tmp_path: Path, source: Path) -> None:
    before = sorted(source.rglob("*"))
    seen: list[Progress] = []

    (wagon,) = build(source, output_dir=tmp_path / "out", progress=seen.append).wagons

    assert wagon.filename == f"shout_plugin-1.2-py{sys.version_info[0]}{sys.version_info[1]}-none-any.wgn"
    assert verify_wagon(wagon.path).ok
    assert missing_requirements(wagon, probe()) == ()
    assert check(wagon, probe()) == ()
    assert run(installed(tmp_path, wagon), "-c", PROGRAM) == "HELLO"
    assert sorted(source.rglob("*")) == before
    assert {one.stage for one in seen} == {"build", "download", "pack"}
    assert str(tmp_path) not in json.dumps(dict(wagon.metadata))


def test_the_same_source_and_lock_give_the_same_bytes(tmp_path: Path, source: Path) -> None:
    first = build(source, output_dir=tmp_path / "first")
    write_lock(tmp_path / "plugin.lock", first.lock)

    second = build(source, output_dir=tmp_path / "second", lock=read_lock(tmp_path / "plugin.lock"))

    assert second.wagons[0].sha256 == first.wagons[0].sha256
    assert second.lock == first.lock
    write_lock(tmp_path / "again.lock", second.lock)
    assert (tmp_path / "again.lock").read_bytes() == (tmp_path / "plugin.lock").read_bytes()


def test_what_no_index_has_is_built_with_its_successor(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A small distribution stands for the successor; what it is called is for the unit tests.
    monkeypatch.setattr(successors, "SUCCESSOR", "iniconfig")
    (source / "setup.py").write_text(SETUP.replace('["iniconfig"]', '["fusion-common>=7.0.2"]'))

    (wagon,) = build(source, output_dir=tmp_path / "out").wagons

    assert [wheel.name.distribution for wheel in wagon.wheels if "shout" not in wheel.name.filename] == ["iniconfig"]
    assert [str(one) for one in missing_requirements(wagon, probe())] == [
        "shout-plugin requires fusion-common>=7.0.2, and the wagon does not hold it"
    ]
    assert run(installed(tmp_path, wagon), "-c", PROGRAM) == "HELLO"


def test_a_lock_refuses_another_file_and_another_target(tmp_path: Path, source: Path) -> None:
    first = build(source, output_dir=tmp_path / "first")
    path = tmp_path / "plugin.lock"
    write_lock(path, first.lock)
    content = json.loads(path.read_text())
    for pinned in content["targets"].values():
        pinned[0]["sha256"] = "0" * 64
    path.write_text(json.dumps(content))

    with pytest.raises(PipFailed, match=r"(?s)the dependencies.*HASHES"):
        build(source, output_dir=tmp_path / "second", lock=read_lock(path))
    with pytest.raises(BadSource, match=r"no target py.*only none"):
        build(source, output_dir=tmp_path / "second", lock=Lock())


def test_other_pythons_get_what_their_markers_ask_for(tmp_path: Path) -> None:
    plugin = tmp_path / "solo.py"
    plugin.write_text(
        "# /// script\n# dependencies = ['six', 'tomli; python_version < \"3.11\"']\n# ///\ndef f():\n    return 1\n"
    )

    old, new = build(plugin, output_dir=tmp_path / "out", pythons=["3.9", "3.12"]).wagons

    assert (wagon_tags(old), wagon_tags(new)) == (("py39-none-any",), ("py312-none-any",))
    assert "tomli" in {wheel.name.key for wheel in old.wheels}
    assert "tomli" not in {wheel.name.key for wheel in new.wheels}
    python = require_python("3.9")
    assert run(installed(tmp_path, old, python=python), "-c", "import solo, tomli, six; print(solo.f())") == "1"


def test_wagons_for_other_platforms_hold_their_wheels(tmp_path: Path) -> None:
    plugin = tmp_path / "yamly.py"
    plugin.write_text("# /// script\n# dependencies = ['pyyaml']\n# ///\n")

    (wagon,) = build(plugin, output_dir=tmp_path, pythons=["3.11"], platforms=["manylinux_2_28_aarch64"]).wagons

    assert wagon.supported_platform == "linux_aarch64"
    assert any("aarch64" in wheel.name.tag for wheel in wagon.wheels)
    target = build_targets(["3.11"], ["manylinux_2_28_aarch64"])[0].target
    assert check(wagon, target) == ()
    assert [reason.subject for reason in check(wagon, build_targets(["3.11"], ["manylinux_2_28_x86_64"])[0].target)]


def test_a_requirement_becomes_a_wagon(tmp_path: Path) -> None:
    (wagon,) = build("iniconfig==2.0.0", output_dir=tmp_path).wagons

    assert (wagon.name, wagon.version, wagon.metadata["package_source"]) == ("iniconfig", "2.0.0", "iniconfig==2.0.0")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_the_wagon_tools_archives_are_installed(tmp_path: Path, source: Path, kind: str) -> None:
    run(sys.executable, "-m", "wagon", "create", source, "-t", kind, "-o", tmp_path / "theirs")

    wagon = read_wagon(next((tmp_path / "theirs").glob("*.wgn")))

    assert verify_wagon(wagon.path).ok
    assert run(installed(tmp_path, wagon), "-c", PROGRAM) == "HELLO"


def test_the_wagon_tool_installs_and_shows_ours(tmp_path: Path, source: Path) -> None:
    (wagon,) = build(source, output_dir=tmp_path / "out").wagons
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "virtualenv", "-q", "--no-periodic-update", environment)

    run(
        sys.executable, "-c", "import sys, wagon; wagon.install(sys.argv[1], venv=sys.argv[2])", wagon.path, environment
    )

    assert run(environment / "bin" / "python", "-c", PROGRAM) == "HELLO"
    assert "shout-plugin" in run(sys.executable, "-m", "wagon", "show", wagon.path)
    run(sys.executable, "-m", "wagon", "validate", wagon.path)


def test_a_host_with_only_virtualenvs_zipapp_installs_too(tmp_path: Path, source: Path) -> None:
    unpacked, zipapp = tmp_path / "virtualenv", tmp_path / "virtualenv.pyz"
    run(sys.executable, "-m", "pip", "install", "-q", "--target", unpacked, "virtualenv")
    (unpacked / "__main__.py").write_text("from virtualenv.__main__ import run_with_catch\nrun_with_catch()\n")
    run(sys.executable, "-m", "zipapp", unpacked, "-o", zipapp)
    (wagon,) = build(source, output_dir=tmp_path / "out").wagons
    store = EnvironmentStore(tmp_path / "store", virtualenv=[sys.executable, str(zipapp)])

    environment = store.ensure(wagon.name, wagon.version, wagon.path, sha256=wagon.sha256)

    assert run(environment.python, "-c", PROGRAM) == "HELLO"


def test_a_source_is_built_when_it_changed_and_only_then(tmp_path: Path) -> None:
    plugin = tmp_path / "hello.py"
    plugin.write_text("def greet():\n    return 'first'\n")
    first = build_source(plugin, tmp_path / "cache")
    built_at = first.stat().st_mtime_ns

    assert build_source(plugin, tmp_path / "cache") == first
    assert first.stat().st_mtime_ns == built_at
    assert run(installed(tmp_path, read_wagon(first)), "-c", "import hello; print(hello.greet())") == "first"

    plugin.write_text("def greet():\n    return 'second'\n")
    second = build_source(plugin, tmp_path / "cache")
    assert second != first
    assert run(installed(tmp_path, read_wagon(second)), "-c", "import hello; print(hello.greet())") == "second"


def test_requirements_beside_a_one_file_plugin_are_packed(tmp_path: Path) -> None:
    plugin = tmp_path / "hello.py"
    plugin.write_text("import iniconfig\n")
    before = source_digest(plugin)
    (tmp_path / "requirements.txt").write_text("# needed\niniconfig>=1  # for settings\n\n")

    wagon = read_wagon(build_source(plugin, tmp_path / "cache"))

    assert source_digest(plugin) != before
    assert {wheel.name.key for wheel in wagon.wheels} == {"hello", "iniconfig"}


def test_what_builds_leave_in_a_folder_does_not_change_it(source: Path) -> None:
    before = source_digest(source)
    for name in ("build/lib/x.py", "__pycache__/x.pyc", "shout.egg-info/PKG-INFO", ".git/HEAD"):
        path = source / name
        path.parent.mkdir(parents=True)
        path.write_text("x")

    assert source_digest(source) == before
    (source / "shout_plugin" / "more.py").write_text("")
    assert source_digest(source) != before


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("not-a-name.py", "", "cannot be a module's name"),
        (
            "twice.py",
            "# /// script\n# dependencies = []\n# ///\n\n# /// script\n# x = 1\n# ///\n",
            "2 '# /// script' blocks",
        ),
        ("broken.py", "# /// script\n# dependencies = [\n# ///\n", "not valid TOML"),
        ("typed.py", "# /// script\n# dependencies = 'x'\n# ///\n", "list of strings"),
    ],
)
def test_a_one_file_plugin_that_cannot_be_built_says_why(tmp_path: Path, name: str, text: str, reason: str) -> None:
    (tmp_path / name).write_text(text)

    with pytest.raises(BadSource, match=reason):
        build(tmp_path / name, output_dir=tmp_path)


def test_what_cannot_be_built_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadSource, match=r"no pyproject\.toml"):
        build(tmp_path / "empty", output_dir=tmp_path)
    one_file = tmp_path / "empty" / "hello.py"
    one_file.write_text('# /// script\n# dependencies = ["iniconfig==0.0.0.1"]\n# ///\n')
    with pytest.raises(BadSource, match=f"or name a plugin in one file as its file: {one_file}$"):
        build(tmp_path / "empty", output_dir=tmp_path)
    with pytest.raises(PipFailed, match=f"^the requirements of {one_file}: pip install failed"):
        build(one_file, output_dir=tmp_path)
    with pytest.raises(BadSource, match="no such file or folder"):
        build(tmp_path / "lost", output_dir=tmp_path)
    with pytest.raises(BadSource, match="platform 'amiga' is not understood"):
        build(tmp_path / "lost", output_dir=tmp_path, platforms=["amiga"])
    with pytest.raises(PipFailed) as caught:
        build("iniconfig==0.0.0.1", output_dir=tmp_path)
    assert "iniconfig" in str(caught.value)
    assert isinstance(caught.value, BuildError)
