"""Tests on real hosts; see `tests/support/hosts.py`."""

from tests.support.hosts import engine, host, host_image, host_login_key, start_host

__all__ = ["engine", "host", "host_image", "host_login_key", "start_host"]
