"""What a workflow function asks the manager, not the dispatcher: secrets, and executions other than its own.

Every call goes through `cloudify.manager.get_rest_client`, so it has the rights of the execution's token, and fails by
name where the workflow runs without a manager.
"""


class ManagerCalls:
    """The part of `WorkflowContext` that needs a manager."""

    def get_secret(self, secret_name):
        """Return a secret's value."""
        return self._manager().secrets.get(secret_name).value

    def start_execution(self, deployment_id, workflow_id, parameters=None, **options):
        """Start a workflow of a deployment; `options` are those of the REST client. Return the execution."""
        return self._manager().executions.start(deployment_id, workflow_id, parameters, **options)

    def _other_execution(self, execution_id):
        return self._manager().executions.get(execution_id)

    def _manager(self):
        from cloudify.manager import get_rest_client

        return get_rest_client()
