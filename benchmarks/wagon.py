"""How long does it take to install a large plugin: cold, warm, and with `wagon.install`?

The plugin is the AWS one of the Cloudify ecosystem, a wagon of some 80 wheels and 50 MB, built once into
``.ci/cache/wagon``. *cold*: an empty store. *warm*: another environment from wheels that the store has. *peer*: an
environment with pip, and `wagon.install` into it. Measured in turns, each time in a fresh folder; folders are removed
at the end only, because ext4 creates files slowly for some seconds after many were removed.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.report import Report, Sample, benchmark_arguments, in_turns, note
from outrider.plugins.wagons import EnvironmentStore, read_wagon

PLUGIN = "cloudify-aws-plugin==3.1.7"
CACHE = Path(__file__).resolve().parent.parent / ".ci" / "cache" / "wagon"
ROUNDS = 3
#: The tool's command line installs into the running interpreter only; its library takes an environment.
PEER = "import sys, wagon; wagon.install(sys.argv[1], venv=sys.argv[2])"


def main() -> None:
    arguments = benchmark_arguments(__doc__)
    wagon_file = real_wagon()
    with tempfile.TemporaryDirectory(prefix="outrider-benchmark-") as folder:
        measured = in_turns(contenders(wagon_file, Path(folder)), rounds=ROUNDS)
    report = Report("wagon")
    peer = Sample(tuple(measured["peer"])).median
    report.sample("wagon.cold", measured["cold"], unit="s", target=f"<= {peer / 2:.1f}, half of the peer")
    report.sample("wagon.warm", measured["warm"], unit="s", target="<= 1")
    report.sample("wagon.peer", measured["peer"], unit="s")
    report.sample("wagon.lookup", measured["lookup"], unit="ms", target="<= 1")
    report.print(as_json=arguments.json)


def contenders(wagon_file: Path, folder: Path) -> dict[str, Callable[[], float]]:
    """Return what is measured: each callable makes one environment and returns the seconds that it took."""
    wagon = read_wagon(wagon_file)
    numbers = itertools.count()
    stores: list[EnvironmentStore] = []

    def install(store: EnvironmentStore, version: str) -> float:
        begin = time.perf_counter()
        store.ensure(wagon.name, version, wagon_file, sha256=wagon.sha256)
        return time.perf_counter() - begin

    def cold() -> float:
        stores.append(EnvironmentStore(folder / f"store-{next(numbers)}"))
        return install(stores[-1], "1")

    def warm() -> float:
        return install(stores[-1], "2")

    def lookup() -> float:
        return install(EnvironmentStore(stores[-1].root), "2")

    def peer() -> float:
        environment = folder / f"peer-{next(numbers)}"
        begin = time.perf_counter()
        run(sys.executable, "-m", "virtualenv", "--quiet", "--no-periodic-update", str(environment))
        run(sys.executable, "-c", PEER, str(wagon_file), str(environment))
        return time.perf_counter() - begin

    return {"cold": cold, "warm": warm, "lookup": lookup, "peer": peer}


def real_wagon() -> Path:
    """Return the wagon, built by the `wagon` tool through pip's own index when it is not cached."""
    CACHE.mkdir(parents=True, exist_ok=True)
    name, _, version = PLUGIN.partition("==")
    found = sorted(CACHE.glob(f"{name.replace('-', '_')}-{version}-*.wgn"))
    if found:
        return found[0]
    note(f"building the wagon of {PLUGIN}, once; this takes a minute")
    with tempfile.TemporaryDirectory(prefix="outrider-benchmark-") as folder:
        run(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", PLUGIN, cwd=folder)
        run("tar", "xzf", f"{name}-{version}.tar.gz", cwd=folder)
        run(sys.executable, "-m", "wagon", "create", f"./{name}-{version}", "-o", str(CACHE), cwd=folder)
    return min(CACHE.glob("*.wgn"))


def run(*command: str, cwd: str = "/") -> None:
    subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
