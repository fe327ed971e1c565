"""Where the command's own log goes: standard error, warnings and worse unless the settings say more."""

from __future__ import annotations

import logging
import sys

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def configure_logging(level: str) -> None:
    """Send log records of `level` and above to standard error."""
    logging.basicConfig(level=level.upper(), stream=sys.stderr, format=FORMAT)
    # Its information is about each connection attempt; the transport says what matters.
    logging.getLogger("pika").setLevel(logging.CRITICAL)
