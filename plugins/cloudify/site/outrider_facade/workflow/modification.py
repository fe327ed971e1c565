"""Modifications of a deployment: ``ctx.deployment.start_modification`` and what it returns.

The dispatcher makes the change and keeps it under a name. Names follow the order of the calls, so a function that is
called again after a crash gets the modification that it had started, and finishing one twice changes nothing.
"""

ADDED, REMOVED = "added", "removed"


class Modifications:
    """The modifications that this workflow makes."""

    def __init__(self, ctx):
        self._ctx = ctx
        self._started = 0

    def start(self, nodes):
        """Change the numbers of instances; ``nodes``: name → ``instances`` and hints about what is to go."""
        self._started += 1
        found = self._ctx.talk.ask("start_modification", name=f"modification-{self._started}", nodes=nodes)
        return self._taken(found)

    def started(self):
        """Return the modifications that are neither finished nor rolled back."""
        return [self._taken(each) for each in self._ctx.talk.ask("list_modifications")["started"]]

    def _taken(self, record):
        self._ctx.forget()
        return Modification(self._ctx, record)


class Modification:
    """A change of the number of instances that was started."""

    def __init__(self, ctx, record):
        self._ctx = ctx
        self.id = record["id"]
        self.added = ModifiedInstances(ctx, ADDED, record["added"], record["added_related"])
        self.removed = ModifiedInstances(ctx, REMOVED, record["removed"], record["removed_related"])

    def finish(self):
        """Make it final: the instances that it removes are gone."""
        self._end("finish_modification")

    def rollback(self):
        """Take it back: the instances that it added are gone."""
        self._end("rollback_modification")

    def _end(self, request):
        self._ctx.talk.ask(request, id=self.id)
        self._ctx.forget()


class ModifiedInstances:
    """The instances on one side of a modification, and those that are related to them."""

    def __init__(self, ctx, kind, modified, related):
        self._ctx = ctx
        found = [ctx.get_node_instance(each) for each in [*modified, *related]]
        self._instances = [each for each in found if each is not None]
        for instance in self._instances:
            instance.modification = kind if instance.id in modified else None

    @property
    def node_instances(self):
        """The instances; ``modification`` tells those that change from those that are related to them."""
        return iter(self._instances)

    @property
    def nodes(self):
        """Their nodes."""
        names = {each.node_id for each in self._instances}
        return iter([each for each in self._ctx.nodes if each.id in names])
