"""Both ends of the connection between a script's process and its operation's context."""

from outrider_facade import fall_through, further_names

__path__ = fall_through(__path__, __name__)
__getattr__ = further_names(__name__)
