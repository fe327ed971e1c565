"""Built-in node types whose operations run at the manager; the names that other plugins import."""

from outrider_facade import fall_through, further_names

__path__ = fall_through(__path__, __name__)
__getattr__ = further_names(__name__)
