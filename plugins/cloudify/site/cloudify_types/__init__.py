"""Built-in node types whose operations run at the manager; the names that other plugins import."""

from outrider_facade import fall_through

__path__ = fall_through(__path__, __name__)
