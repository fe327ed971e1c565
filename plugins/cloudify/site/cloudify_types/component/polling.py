"""Waiting for the manager's objects."""

import time

from cloudify_rest_client.executions import Execution
from outrider_facade import further_names

__getattr__ = further_names(__name__)


def poll_with_timeout(pollster, timeout, interval=5, expected_result=True):
    """Call `pollster` until it returns `expected_result`; say whether it did within `timeout` seconds (-1: no end)."""
    end = None if timeout == -1 else time.monotonic() + timeout
    while end is None or time.monotonic() <= end:
        if pollster() == expected_result:
            return True
        time.sleep(interval)
    return False


def is_all_executions_finished(client, deployment_id=None):
    """Say whether a deployment's executions have all ended; without one, those of the manager's own workflows."""
    asked = {"_include": ["id", "status", "is_system_workflow"], "_include_system_workflows": True}
    if deployment_id:
        asked["deployment_id"] = deployment_id
    offset = 0
    while True:
        page = client.executions.list(offset=offset, **asked)
        for each in page:
            if (deployment_id or each["is_system_workflow"]) and each["status"] not in Execution.END_STATES:
                return False
        offset += len(page)
        if not len(page) or offset >= (page.metadata.pagination.total or 0):
            return True
