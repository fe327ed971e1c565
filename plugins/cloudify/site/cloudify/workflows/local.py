"""Workflows without a manager; not provided in an operation's process."""

from outrider_facade import missing_from
from outrider_facade.workflows import not_provided

__getattr__ = missing_from(__name__)

init_env = not_provided(__name__, "init_env")
load_env = not_provided(__name__, "load_env")
InMemoryStorage = not_provided(__name__, "InMemoryStorage")
FileStorage = not_provided(__name__, "FileStorage")
