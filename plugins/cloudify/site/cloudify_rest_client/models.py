"""Objects of the REST API: dicts whose fields are attributes too; a field that the manager did not send is None."""


class Model(dict):
    """An object of the REST API."""

    def __init__(self, values=None):
        super().__init__(values or {})

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self.get(name)


class Secret(Model):
    """A secret; `value` is there when a single one is read."""


class Node(Model):
    """A node of a deployment."""


class NodeInstance(Model):
    """An instance of a node."""


class Deployment(Model):
    """A deployment."""


class DeploymentGroup(Model):
    """A group of deployments."""


class Execution(Model):
    """An execution of a workflow."""

    PENDING, STARTED, SCHEDULED, QUEUED = "pending", "started", "scheduled", "queued"
    CANCELLING, FORCE_CANCELLING, KILL_CANCELLING = "cancelling", "force_cancelling", "kill_cancelling"
    TERMINATED, FAILED, CANCELLED = "terminated", "failed", "cancelled"
    END_STATES = (TERMINATED, FAILED, CANCELLED)


class ExecutionGroup(Model):
    """A group of executions."""


class Blueprint(Model):
    """A blueprint."""


class Plugin(Model):
    """A plugin."""


class Site(Model):
    """A site."""


class DeploymentUpdate(Model):
    """An update of a deployment."""


class Event(Model):
    """An event or a log line."""


class Tenant(Model):
    """A tenant."""
