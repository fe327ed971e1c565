"""`ctx.logger`: an ordinary logger whose records travel to the execution's log.

Kept apart, and imported at the first use of `ctx.logger`, because `logging` takes longer to import than all of the SDK.
"""

from __future__ import annotations

import logging

TYPE_CHECKING = False
if TYPE_CHECKING:
    from outrider.plugins.sdk.channel import Channel


class ChannelHandler(logging.Handler):
    """Forwards records to the attempt's channel."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(logging.DEBUG)
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        """Forward one record, with its traceback if it has one."""
        try:
            self._channel.log(
                level=record.levelname.lower(),
                logger=record.name,
                message=self.format(record),
                time=record.created,
            )
        except Exception:  # noqa: BLE001 - a log line must not fail an operation; logging's own rule reports it
            self.handleError(record)


def operation_logger(name: str, channel: Channel) -> logging.Logger:
    """Return the logger of an attempt, at DEBUG, forwarding to `channel` alone."""
    is_new = name not in logging.Logger.manager.loggerDict
    logger = logging.getLogger(name)
    detach(logger)
    logger.addHandler(ChannelHandler(channel))
    if is_new:
        # `setLevel` would have every logger of the process forget what it has decided by levels. By that of a logger
        # which has just been made, none has; and a forked process would copy the memory of each.
        logger.level = logging.DEBUG
    else:
        logger.setLevel(logging.DEBUG)
    logger.propagate = False
    return logger


def detach(logger: logging.Logger) -> None:
    """Remove the forwarding handlers: the attempt is over."""
    for handler in [handler for handler in logger.handlers if isinstance(handler, ChannelHandler)]:
        logger.removeHandler(handler)
