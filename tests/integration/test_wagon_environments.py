"""Installing wagons: the environment is right, whole or not there, whoever dies, races, or runs out of disk."""

from __future__ import annotations

import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from outrider.plugins.wagons import (
    DEFAULT_LIMITS,
    Environment,
    EnvironmentStore,
    Progress,
    choose,
    probe,
    read_wagon,
    wagon_tags,
)
from outrider.plugins.wagons.errors import (
    BadRecord,
    CorruptStore,
    DigestMismatch,
    DiskFull,
    EnvironmentFailed,
    LimitExceeded,
    LockTimeout,
    NoFittingWagon,
    StoreError,
)
from outrider.plugins.wagons.locks import locked
from tests.support.pythons import require_python
from tests.support.wagons import WagonMaker, sha256_of, wheel_bytes
from tests.support.waiting import wait_until

#: Places where an install is killed; the whole sweep with OUTRIDER_FAULTS=all.
KILLS = 60 if os.environ.get("OUTRIDER_FAULTS") == "all" else 16


def demo_wagon(folder: Path, *, version: str = "1.0", greeting: str = "hello") -> Path:
    """A plugin with everything that a wheel can hold, and a dependency."""
    info = f"demo-{version}"
    wheel = wheel_bytes(
        "demo",
        version,
        files={
            "demo/__init__.py": f"import helper\ndef main():\n    print({greeting!r}, helper.NAME)\n".encode(),
            "demo/template.yaml": b"a: 1\n",
            f"{info}.data/scripts/demo-script": b"#!python\nimport demo\ndemo.main()\n",
            f"{info}.data/scripts/demo-shell": b"#!/bin/sh\necho shell\n",
            f"{info}.data/data/share/demo/readme.txt": b"read me\n",
            f"{info}.data/headers/demo.h": b"int demo;\n",
            f"{info}.data/platlib/demo_native.py": b"",
        },
        metadata=["Requires-Dist: helper"],
        entry_points="[console_scripts]\ndemo = demo:main\n[other]\nx = y:z\n",
    )
    wheels = {f"demo-{version}-py3-none-any.whl": wheel, "helper-1.0-py3-none-any.whl": wheel_bytes("helper")}
    return WagonMaker(version=version, wheels=wheels).write(folder)


def install(store: EnvironmentStore, wagon: Path, *, version: str = "1.0", python: str = sys.executable) -> Environment:
    return store.ensure("demo", version, wagon, sha256=sha256_of(wagon), python=python)


def output_of(*command: object) -> str:
    answer = subprocess.run(
        [str(part) for part in command], cwd="/", capture_output=True, text=True, check=True, timeout=60
    )
    return answer.stdout.strip()


def files_below(root: Path) -> dict[str, bytes]:
    """Return path -> content of everything that an install decides (no caches, no times)."""
    found = {}
    for path in sorted(root.rglob("*")):
        relative = str(path.relative_to(root))
        if path.is_file() and "__pycache__" not in relative and not path.name.startswith("outrider-environment"):
            found[relative] = path.read_bytes()
    return found


def require_right(environment: Environment, *, greeting: str = "hello") -> None:
    """The environment works in every way in which it is used."""
    expected = f"{greeting} helper"
    assert output_of(environment.python, "-c", "import demo; demo.main()") == expected
    assert output_of(environment.path / "bin" / "demo") == expected
    assert output_of(environment.path / "bin" / "demo-script") == expected
    assert output_of(environment.path / "bin" / "demo-shell") == "shell"
    assert (environment.path / "share/demo/readme.txt").read_text() == "read me\n"


def require_tidy(store: EnvironmentStore) -> None:
    assert sorted(path.name for path in (store.root / "aside").iterdir()) == []


@pytest.fixture
def store(tmp_path: Path) -> EnvironmentStore:
    return EnvironmentStore(tmp_path / "store")


def test_an_installed_plugin_works_and_its_files_name_their_final_path(tmp_path: Path, store: EnvironmentStore) -> None:
    seen: list[Progress] = []
    wagon = demo_wagon(tmp_path)

    environment = store.ensure("demo", "1.0", wagon, sha256=sha256_of(wagon), progress=seen.append)

    require_right(environment)
    require_tidy(store)
    assert output_of(environment.python, "-c", "import sys; print(sys.prefix)") == str(environment.path)
    assert environment.site_packages.is_dir()
    assert environment.path.parent.parent == store.root / "plugins"
    assert {one.stage for one in seen} == {"verify", "unpack", "link"}
    named = [name for name, content in files_below(environment.path).items() if b"/aside/" in content]
    assert named == []
    activated = output_of("bash", "-c", f". {environment.path}/bin/activate && command -v demo")
    assert activated == str(environment.path / "bin" / "demo")


def test_the_files_and_records_are_those_that_pip_makes(tmp_path: Path, store: EnvironmentStore) -> None:
    wagon = demo_wagon(tmp_path)
    ours = install(store, wagon)
    theirs = tmp_path / "pip"
    subprocess.run([sys.executable, "-m", "virtualenv", "-q", "--no-seed", theirs], cwd="/", check=True)
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    shutil.unpack_archive(wagon, wheels, "zip")
    arguments = ("install", "-q", "--no-index", "--no-deps", "--no-compile", *wheels.rglob("*.whl"))
    subprocess.run([sys.executable, "-m", "pip", "--python", theirs / "bin/python", *arguments], cwd="/", check=True)

    def facts(root: Path) -> dict[str, object]:
        kept = {}
        for path, content in files_below(root).items():
            if path.startswith(("bin/activate", "bin/deactivate", "bin/python")) or "direct_url" in path:
                continue
            if path.startswith("bin/demo") or path.endswith(("RECORD", "INSTALLER", "REQUESTED", "pyvenv.cfg")):
                continue
            kept[path] = content
        return kept

    def record(root: Path, dist_info: str) -> set[tuple[str, str]]:
        """Rows of RECORD; what differs by the installer's own text has its path compared only."""
        found = next(root.glob(f"lib/*/site-packages/{dist_info}/RECORD"))
        rows = [
            row
            for row in csv.reader(found.read_text().splitlines())
            if "direct_url" not in row[0] and "REQUESTED" not in row[0]
        ]
        own = ("INSTALLER", "bin/demo", "bin/demo-script")
        return {(row[0], "" if row[0].endswith(own) else row[1]) for row in rows}

    left, right = facts(ours.path), facts(theirs)
    for extra in ("CACHEDIR.TAG", ".gitignore", ".lock"):
        left.pop(extra, None)
        right.pop(extra, None)
    assert left == right
    assert record(ours.path, "demo-1.0.dist-info") == record(theirs, "demo-1.0.dist-info")
    assert output_of(sys.executable, "-m", "pip", "--python", ours.python, "check") == "No broken requirements found."


def test_what_record_lists_is_what_is_there(tmp_path: Path, store: EnvironmentStore) -> None:
    program = (
        "from importlib.metadata import files; import hashlib, base64\n"
        "for one in files('demo'):\n"
        "    data = one.locate().read_bytes()\n"
        "    if one.hash is not None:\n"
        "        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()\n"
        "        assert (one.hash.value, one.size) == (digest, len(data)), one\n"
        "print('right')"
    )

    assert output_of(install(store, demo_wagon(tmp_path)).python, "-c", program) == "right"


def test_an_installed_environment_is_found_in_less_than_a_millisecond(tmp_path: Path, store: EnvironmentStore) -> None:
    wagon = demo_wagon(tmp_path)
    first = install(store, wagon)
    wagon_hash = sha256_of(wagon)
    wagon.unlink()  # not even looked at

    durations = []
    for _ in range(50):
        begin = time.perf_counter()
        assert store.ensure("demo", "1.0", wagon, sha256=wagon_hash) == first
        durations.append(time.perf_counter() - begin)

    assert sorted(durations)[25] < 0.001
    assert EnvironmentStore(store.root).find("demo", "1.0", sha256=wagon_hash) == first


def test_two_versions_live_side_by_side_and_share_what_is_equal(tmp_path: Path, store: EnvironmentStore) -> None:
    (tmp_path / "new").mkdir()
    first = install(store, demo_wagon(tmp_path))
    second = install(store, demo_wagon(tmp_path / "new", version="2.0", greeting="welcome"), version="2.0")

    require_right(first)
    require_right(second, greeting="welcome")
    shared = [environment.site_packages / "helper.py" for environment in (first, second)]
    assert shared[0].samefile(shared[1]) or shared[0].read_bytes() == shared[1].read_bytes()
    assert [one.version for one in store.list()] == ["1.0", "2.0"]


def test_a_plugin_that_writes_into_its_files_does_not_spoil_later_environments(
    tmp_path: Path, store: EnvironmentStore
) -> None:
    (tmp_path / "new").mkdir()
    first = install(store, demo_wagon(tmp_path))
    with (first.site_packages / "helper.py").open("a") as stream:
        stream.write("NAME = 'spoiled'\n")

    second = install(store, demo_wagon(tmp_path / "new", version="2.0"), version="2.0")

    require_right(second)


def test_an_image_that_keeps_changing_is_an_error_that_names_it(
    tmp_path: Path, store: EnvironmentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outrider.plugins.wagons.images.stamp", lambda path: (time.monotonic_ns(), 0, 0))

    with pytest.raises(CorruptStore, match="was changed"):
        install(store, demo_wagon(tmp_path))

    require_tidy(store)


def test_an_environment_whose_interpreter_is_gone_is_made_again(tmp_path: Path, store: EnvironmentStore) -> None:
    wagon = demo_wagon(tmp_path)
    environment = install(store, wagon)
    for name in ("python", "python3"):
        (environment.path / "bin" / name).unlink()
    (environment.path / "bin" / "python").symlink_to(tmp_path / "gone")

    assert store.find("demo", "1.0", sha256=sha256_of(wagon)) is None
    require_right(install(store, wagon))


def test_a_wrong_wagon_leaves_nothing_behind(tmp_path: Path, store: EnvironmentStore) -> None:
    wagon = demo_wagon(tmp_path)
    with pytest.raises(DigestMismatch):
        store.ensure("demo", "1.0", wagon, sha256="0" * 64)
    broken = WagonMaker(wheels={"demo-1.0-py3-none-any.whl": wheel_bytes(record="")}).write(tmp_path)
    with pytest.raises(BadRecord):
        install(store, broken)
    other = {"demo-1.0-cp27-cp27mu-linux_x86_64.whl": wheel_bytes()}
    with pytest.raises(NoFittingWagon, match="cp27"):
        install(store, WagonMaker(wheels=other).write(tmp_path))
    strict = {"demo-1.0-py3-none-any.whl": wheel_bytes(metadata=["Requires-Python: <3"])}
    with pytest.raises(NoFittingWagon, match="requires Python <3"):
        install(store, WagonMaker(wheels=strict).write(tmp_path))

    require_tidy(store)
    assert store.list() == ()


@pytest.mark.parametrize("name", ["../evil", "", "a/b", "."])
def test_names_that_are_no_folders_are_refused(tmp_path: Path, store: EnvironmentStore, name: str) -> None:
    with pytest.raises(StoreError, match="cannot name a folder"):
        store.ensure(name, "1.0", demo_wagon(tmp_path), sha256="0" * 64)
    with pytest.raises(StoreError, match="cannot name a folder"):
        store.ensure("demo", name, demo_wagon(tmp_path), sha256="0" * 64)


def test_a_virtualenv_tool_that_fails_is_shown_with_its_words(tmp_path: Path) -> None:
    command = ("sh", "-c", "echo no room for venvs; exit 3")
    store = EnvironmentStore(tmp_path / "store", virtualenv=command)

    with pytest.raises(EnvironmentFailed, match="no room for venvs"):
        install(store, demo_wagon(tmp_path))
    require_tidy(store)


def test_removing_and_collecting_leave_what_is_kept(tmp_path: Path, store: EnvironmentStore) -> None:
    (tmp_path / "new").mkdir()
    first = install(store, demo_wagon(tmp_path))
    second = install(store, demo_wagon(tmp_path / "new", version="2.0"), version="2.0")

    collected = store.gc([second.path])

    assert collected.environments == (first.path,)
    assert len(collected.wheels) == 1
    assert collected.freed_bytes > 0
    require_right(second)
    store.remove(second)
    assert store.list() == ()
    assert len(store.gc([]).wheels) == 2
    assert list((store.root / "wheels").iterdir()) == []
    require_right(install(store, demo_wagon(tmp_path)))


def test_a_lock_that_is_held_too_long_names_its_holder(tmp_path: Path, store: EnvironmentStore) -> None:
    wagon = demo_wagon(tmp_path)
    environment = install(store, wagon)
    impatient = EnvironmentStore(store.root, lock_timeout_seconds=0.05)
    lock = store.root / "locks" / f"demo-{environment.path.name}.lock"

    with locked(lock, timeout_seconds=1), pytest.raises(LockTimeout, match=f"held by process {os.getpid()}"):
        impatient.remove(environment)


#: Installs a wagon; with a number as last argument, kills itself like a power cut at that many file system events.
DRIVER = """
import os, signal, sys
from pathlib import Path
from outrider.plugins.wagons import EnvironmentStore
root, wagon, sha256, kill_at = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
EVENTS = {"open", "os.mkdir", "os.rename", "os.link", "os.remove", "os.rmdir", "os.chmod", "os.symlink", "os.utime",
          "subprocess.Popen", "fcntl.flock", "shutil.copytree", "shutil.rmtree"}
count = 0
def watch(event, arguments):
    global count
    if event in EVENTS and (event != "open" or root in str(arguments[0])):
        count += 1
        if count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
store = EnvironmentStore(Path(root))
sys.addaudithook(watch)
environment = store.ensure("demo", "1.0", Path(wagon), sha256=sha256)
print(count, environment.created_at)
"""


def drive(root: Path, wagon: Path, *, kill_at: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", DRIVER, str(root), str(wagon), sha256_of(wagon), str(kill_at)]
    return subprocess.Popen(command, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_install_that_is_killed_anywhere_is_done_right_by_the_next_try(tmp_path: Path) -> None:
    wagon = demo_wagon(tmp_path)
    output, errors = drive(tmp_path / "whole", wagon).communicate(timeout=60)
    assert errors == ""
    events = int(output.split()[0])
    expected = set(files_below(EnvironmentStore(tmp_path / "whole").list()[0].path))
    chosen = random.Random(7).sample(range(1, events + 1), KILLS - 3)

    for kill_at in sorted({1, events - 1, events, *chosen}):
        store = EnvironmentStore(tmp_path / f"store-{kill_at}")
        killed = drive(store.root, wagon, kill_at=kill_at)
        killed.communicate(timeout=60)
        assert killed.returncode == -signal.SIGKILL, f"event {kill_at}"
        for environment in store.list():  # either the old state or the new one
            require_right(environment)

        environment = install(store, wagon)

        require_right(environment)
        require_tidy(store)
        assert set(files_below(environment.path)) == expected, f"event {kill_at}"
        shutil.rmtree(store.root)


def test_processes_that_race_for_one_environment_make_it_once(tmp_path: Path) -> None:
    wagon = demo_wagon(tmp_path)
    racers = [drive(tmp_path / "store", wagon) for _ in range(3)]

    outputs = [racer.communicate(timeout=60) for racer in racers]

    assert [racer.returncode for racer in racers] == [0, 0, 0], outputs
    assert len({output.split()[1] for output, _ in outputs}) == 1
    store = EnvironmentStore(tmp_path / "store")
    require_right(store.list()[0])
    require_tidy(store)


def test_one_who_waits_for_a_killed_builder_goes_on(tmp_path: Path) -> None:
    wagon = demo_wagon(tmp_path)
    store = EnvironmentStore(tmp_path / "store")
    # Stopped, not ended: it holds the lock when the second one comes.
    sleeper = subprocess.Popen(
        [
            sys.executable,
            "-c",
            DRIVER.replace("signal.SIGKILL", "signal.SIGSTOP"),
            str(store.root),
            str(wagon),
            sha256_of(wagon),
            "40",
        ],
        cwd="/",
    )
    try:
        state = Path(f"/proc/{sleeper.pid}/stat")
        wait_until(lambda: state.read_text().rpartition(")")[2].split()[0] == "T", 30, "the builder to stop")
        waiting = drive(store.root, wagon)
        wait_until((store.root / "aside").exists, 10, "the store's folders")
        assert waiting.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()
    _, errors = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, errors
    require_right(store.list()[0])
    require_tidy(store)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that can be filled up without harm."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("mounting a tmpfs needs root")
    answer = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {answer.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def resize(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)


def test_a_full_disk_is_refused_before_anything_is_written(tmp_path: Path, small_disk: Path) -> None:
    big = wheel_bytes(files={"demo.py": b"", "big.bin": random.Random(1).randbytes(6 * 2**20)})
    wagon = WagonMaker(wheels={"demo-1.0-py3-none-any.whl": big}).write(tmp_path)
    store = EnvironmentStore(small_disk / "store")

    with pytest.raises(DiskFull) as caught:
        install(store, wagon)

    assert caught.value.needed_bytes is not None
    assert caught.value.needed_bytes > 6 * 2**20
    assert caught.value.free_bytes is not None
    assert caught.value.free_bytes <= 4 * 2**20
    assert str(small_disk) in str(caught.value)
    require_tidy(store)


def test_a_disk_that_fills_up_at_any_point_leaves_nothing_half_done(tmp_path: Path, small_disk: Path) -> None:
    wagon = demo_wagon(tmp_path)
    refused = 0
    for pages in range(2, 60, 4):
        resize(small_disk, f"{pages * 4}k")
        store = EnvironmentStore(small_disk / f"store-{pages}")
        with suppress(DiskFull):  # any other error fails the test
            install(store, wagon)
        if not store.list():
            refused += 1
            assert list((store.root / "aside").glob("*")) == []
        resize(small_disk, "4m")
        require_right(install(store, wagon))
        shutil.rmtree(store.root)
    assert refused >= 5


def test_agents_on_different_pythons_take_the_wagon_that_fits_them(tmp_path: Path, store: EnvironmentStore) -> None:
    wagons = []
    for tag, greeting in (("py39", "nine"), ("py311", "eleven")):
        folder = tmp_path / tag
        folder.mkdir()
        wheels = _wheels_of(demo_wagon(folder, greeting=greeting))
        wagons.append(read_wagon(WagonMaker(pythons=[tag], wheels=wheels).write(folder)))

    class Ref:
        def __init__(self, number: int) -> None:
            self.number, self.filename, self.tags = number, f"wagon-{number}.wgn", wagon_tags(wagons[number])

    for version, greeting in (("3.9", "nine"), ("3.11", "eleven")):
        python = require_python(version)
        chosen = wagons[choose([Ref(0), Ref(1)], probe(python)).number]
        environment = install(store, chosen.path, python=python)
        require_right(environment, greeting=greeting)
        assert environment.python_version == version
    assert len(store.list()) == 2


def _wheels_of(wagon: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wagon) as archive:
        return {Path(name).name: archive.read(name) for name in archive.namelist() if name.endswith(".whl")}


def test_limits_are_those_of_the_store(tmp_path: Path) -> None:
    store = EnvironmentStore(tmp_path / "store", limits=replace(DEFAULT_LIMITS, members=3))

    with pytest.raises(LimitExceeded, match="more than 3 members"):
        install(store, demo_wagon(tmp_path))
    require_tidy(store)
