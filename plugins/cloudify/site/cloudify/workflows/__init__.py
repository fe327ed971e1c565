"""The workflow side of the interface: `ctx` and `parameters` of the current workflow."""

from outrider_facade import fall_through, missing_from
from outrider_facade.workflows import current_workflow

from cloudify.state import Proxy
from outrider.plugins.sdk.current import current

__path__ = fall_through(__path__, __name__)
__getattr__ = missing_from(__name__)

# How the SDK makes the context of a workflow function.
current.begin_workflow = current_workflow.begin

ctx = Proxy(current_workflow.get_ctx)
workflow_ctx = ctx
parameters = Proxy(current_workflow.get_parameters)
workflow_parameters = parameters

__all__ = ["ctx", "parameters", "workflow_ctx", "workflow_parameters"]
