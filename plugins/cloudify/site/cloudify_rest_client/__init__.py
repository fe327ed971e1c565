"""A client of the manager's REST API, version 3.1: what plugins use of it, over the standard library.

Nothing connects before the first call.
"""

from outrider_facade import fall_through, missing_from

__path__ = fall_through(__path__, __name__)
__getattr__ = missing_from(__name__)

from cloudify_rest_client.client import CloudifyClient  # noqa: E402 - the path comes first

__all__ = ["CloudifyClient"]
