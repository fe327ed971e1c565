"""Makes ahead what tests keep below ``.ci/cache``, several things at once: environments, wagons, the hosts' image.

`.ci/run` starts it (``python -m tests.support.prepared``) with the set-up. Nothing depends on it: a test whose thing is
not there makes it, and says why if that is impossible.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from benchmarks.blueprint import prepare_peer
from tests.support import cfy
from tests.support.aws_plugin_wagon import aws_plugin_environment, aws_plugin_wagon
from tests.support.floor import VERSIONS, floor_environment
from tests.support.host_image import host_tarball
from tests.support.pythons import require_python
from tests.support.shipped_wagons import shipped_wagon


def floor(version: str) -> None:
    """Make the environment of the tests on an older or newer Python."""
    floor_environment(require_python(version))


#: The longest first, so that no core has nothing to do at the end.
THINGS: dict[str, Callable[[], object]] = {
    "environment of the AWS plugin's unit tests": aws_plugin_environment,
    "wagon of the AWS plugin": aws_plugin_wagon,
    "image of the hosts": host_tarball,
    "cfy": cfy.installed,
    "the other parser": prepare_peer,
    **{f"environment of Python {version}": partial(floor, version) for version in VERSIONS},
    **{f"wagon of plugins/{name}": partial(shipped_wagon, name) for name in ("aws", "docker", "ssh")},
}


def prepare(name: str) -> str:
    """Make one thing; return how that went."""
    began = time.monotonic()
    try:
        THINGS[name]()
    except pytest.skip.Exception as impossible:
        return f"{name}: not here: {impossible}"
    except Exception as error:  # noqa: BLE001 - the test that needs it will fail with it, and be seen
        return f"{name}: {type(error).__name__}: {error}"
    return f"{name}: {time.monotonic() - began:.1f} s"


def main() -> None:
    """Make everything, as many things at once as there are cores."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        for told in threads.map(prepare, THINGS):
            sys.stdout.write(f"{told}\n")


if __name__ == "__main__":
    main()
