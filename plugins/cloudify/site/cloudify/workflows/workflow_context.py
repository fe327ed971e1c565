"""Parts of the workflow context that plugins import by name."""

from outrider_facade import missing_from
from outrider_facade.workflow.context import WorkflowContext as CloudifyWorkflowContext

from cloudify.workflows.tasks import task_config

__all__ = ["CloudifyWorkflowContext", "task_config"]

__getattr__ = missing_from(__name__)
