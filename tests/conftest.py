"""Fixtures that all tests share; each plugin module says what it gives."""

pytest_plugins = ["tests.support.rabbitmq", "tests.support.aws"]
