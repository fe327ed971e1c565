"""The Celery application that the operations benchmark compares with: one task that does nothing.

Prefork, two processes, late acknowledgement, results over RPC: as near to an agent as Celery gets. A Celery task shares
its process with all others; there is no isolation between them, and no journal.
"""

from __future__ import annotations

import os

from celery import Celery

app = Celery("peer", broker=os.environ["PEER_BROKER_URL"], backend="rpc://")
app.conf.update(
    task_acks_late=True,
    worker_prefetch_multiplier=4,
    broker_connection_retry_on_startup=True,
    task_ignore_result=False,
    result_expires=600,
    worker_send_task_events=False,
    task_send_sent_event=False,
)


@app.task(name="peer.nothing")
def nothing(number: int) -> int:
    """Return what came in."""
    return number
