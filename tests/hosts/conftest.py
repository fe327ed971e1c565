"""Tests on real hosts; see `tests/support/hosts.py`."""

from tests.support.agent_bundles import agent_bundle, stand_in_bundle
from tests.support.hosts import engine, host, host_image, host_login_key, start_host

__all__ = ["agent_bundle", "engine", "host", "host_image", "host_login_key", "stand_in_bundle", "start_host"]
