"""The script plugin under the name that blueprints and plugins know."""

from outrider_facade import fall_through, further_names

__path__ = fall_through(__path__, __name__)
__getattr__ = further_names(__name__)
