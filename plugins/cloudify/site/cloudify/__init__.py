"""The interface that existing plugins import, on Outrider's SDK. See `outrider_facade` for how it is put together."""

from outrider_facade import fall_through, missing_from

__path__ = fall_through(__path__, __name__)
__getattr__ = missing_from(__name__)

from cloudify.state import ctx, ctx_parameters  # noqa: E402 - the path comes first

__all__ = ["ctx", "ctx_parameters"]
