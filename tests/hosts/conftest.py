"""Tests on real hosts; see `tests/support/hosts.py`."""

from tests.support.agent_bundles import agent_bundle, stand_in_bundle
from tests.support.blueprint_hosts import fleet_service
from tests.support.docker_engine import engine
from tests.support.hosts import clean_host, host, host_image, host_login_key, shared_host, start_host
from tests.support.operated import operated

__all__ = [
    "agent_bundle",
    "clean_host",
    "engine",
    "fleet_service",
    "host",
    "host_image",
    "host_login_key",
    "operated",
    "shared_host",
    "stand_in_bundle",
    "start_host",
]
