"""What the agent's own process does without, so that it takes little of a host's memory and time.

The AMQP library imports all of its connection adapters, the one for asyncio among them, and with it asyncio: 1.5 MiB on
every host for something that nothing here uses. In the process that is the agent and nothing else, a stand-in takes the
place of that adapter. A program that uses Outrider as a library, or an agent inside a dispatcher, is not touched: only
``python -m outrider.agent`` imports this module, before anything that imports the AMQP library.
"""

from __future__ import annotations

import gc
import sys
from types import ModuleType

_UNUSED_ADAPTER = "pika.adapters.asyncio_connection"


def without_asyncio() -> None:
    """Let the AMQP library be imported without its asyncio adapter; does nothing where it was imported before."""
    if "pika" not in sys.modules:
        stand_in = ModuleType(_UNUSED_ADAPTER)
        stand_in.__dict__["AsyncioConnection"] = None
        sys.modules[_UNUSED_ADAPTER] = stand_in


def collect_rarely() -> None:
    """Let the garbage collector leave alone what is loaded, and look less often at the rest.

    What an operation makes here has no cycles; at the usual thresholds, a tenth of the agent's time for an operation
    goes into looking for some.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 20, 50)


without_asyncio()
