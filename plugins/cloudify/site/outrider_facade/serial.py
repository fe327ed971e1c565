"""``serial_operation``: the instances of a node run an operation one after the other, in the order of their indexes."""

from functools import wraps

from cloudify.exceptions import CloudifySerializationRetry

#: Where an instance is over an operation of the install workflow.
DONE_STATES = ("started",)


def serial(function, *, threshold, workflows, states):
    """Return the operation that waits for its turn: it asks to be called again as long as an earlier one is not done.

    `threshold`: instances up to this index do not wait. `workflows`: only in these (None = all). `states`: an earlier
    instance is done in one of these. Who is done is asked of the manager.
    """

    @wraps(function)
    def in_turn(*args, **kwargs):
        ctx = kwargs.get("ctx") or _current()
        if ctx.instance.index > threshold and (not workflows or ctx.workflow_id in workflows):
            waits_for = _earlier(ctx, states or DONE_STATES)
            if waits_for:
                raise CloudifySerializationRetry(f"{ctx.instance.id} waits for {', '.join(waits_for)}")
        return function(*args, **kwargs)

    return in_turn


def _earlier(ctx, done):
    from cloudify.manager import get_rest_client

    instances = get_rest_client().node_instances.list(deployment_id=ctx.deployment.id, node_id=ctx.node.id)
    found = [each for each in instances if each.index < ctx.instance.index and each.state not in done]
    return [each.id for each in sorted(found, key=lambda each: each.index)]


def _current():
    from cloudify.state import current_ctx

    return current_ctx.get_ctx()
