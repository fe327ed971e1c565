"""The script plugin under the name that blueprints and plugins know."""

from outrider_facade import fall_through

__path__ = fall_through(__path__, __name__)
