"""How the processes that are Outrider's own collect garbage."""

from __future__ import annotations

import gc

#: A page, or a turn of the engine, makes thousands of small values that are gone with it, without cycles: at the usual
#: thresholds they start a collection several times a page, each of which looks through what lives long. That costs a
#: third of a page, and a tenth of a turn.
THRESHOLDS = 20_000, 20, 50


def collect_rarely() -> None:
    """Tune the collector for a process that lives long, once everything is loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
