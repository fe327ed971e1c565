"""Installations for the fault tests: opened by a test as it needs them, ended and proven empty afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.rabbitmq import VirtualHost
from tests.support.stack import Installation

#: Takes the keyword arguments of `Installation`.
OpenInstallation = Callable[..., Installation]


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where plugins built from source are kept: they are the same in all tests."""
    return tmp_path_factory.mktemp("builds")


@pytest.fixture
def open_installation(tmp_path: Path, rabbitmq_vhost: VirtualHost, builds: Path) -> Iterator[OpenInstallation]:
    """Opens the test's installation."""
    with ExitStack() as stack:

        def opened(**options: object) -> Installation:
            installation = Installation(tmp_path, rabbitmq_vhost, builds=builds, **options)  # type: ignore[arg-type]
            stack.callback(installation.close)
            return installation

        yield opened
