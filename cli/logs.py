"""Where the command's own log goes: standard error, warnings and worse unless the settings say more."""

from __future__ import annotations

import logging
import sys

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def configure_logging(level: str, *, follows: bool = False) -> None:
    """Send log records of `level` and above to standard error.

    A command that `follows` executions says itself how operations end: the agent of this process need not warn of it.
    """
    logging.basicConfig(level=level.upper(), stream=sys.stderr, format=FORMAT)
    if follows and not logging.getLogger().isEnabledFor(logging.INFO):
        logging.getLogger("outrider.agent.endings").setLevel(logging.ERROR)
    # Its information is about each connection attempt; the transport says what matters.
    logging.getLogger("pika").setLevel(logging.CRITICAL)
