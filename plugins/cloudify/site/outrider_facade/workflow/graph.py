"""Graphs as workflow functions build them: tasks, subgraphs, sequences. Nothing here talks to anybody.

`TaskDependencyGraph.submission` turns what was built into the dispatcher's form. Ids follow the order in which tasks
are added, so the same function builds the same ids when it is called again.
"""

from outrider.plugins.sdk.errors import NonRecoverableError

PENDING, SUCCEEDED, FAILED = "pending", "succeeded", "failed"


class forkjoin:  # noqa: N801 - the name that plugins import
    """Tasks of a sequence that run side by side."""

    def __init__(self, *tasks):
        self.tasks = tasks


class WorkflowTask:
    """One task: an operation, a state, an event, a function of the workflow's own, or nothing."""

    def __init__(self, name, fields, *, info=None, function=None):
        self.name = name
        self.info = info
        #: What the dispatcher gets.
        self.fields = fields
        #: For a local task: what is called in the workflow's process.
        self.function = function
        self.id = None
        #: What tells it from the others of its subgraph, however often that is copied.
        self.key = None
        self.graph = None
        self.containing_subgraph = None
        self.on_success = None
        self.on_failure = None
        self.total_retries = None
        self.retry_interval = None
        self.current_retries = 0
        self.error = None
        self._state = PENDING
        self.async_result = TaskResult(self)

    def __repr__(self):
        return f"<task {self.id or self.name}>"

    @property
    def workflow_context(self):
        """The context of the workflow that the task belongs to."""
        return self.graph.ctx if self.graph is not None else None

    @property
    def cloudify_context(self):
        """What is known here of the operation's context."""
        return {"operation": {"name": self.fields.get("operation")}, "node_id": self.fields.get("instance")}

    @property
    def ids(self):
        """The ids of the first and the last step that stand for this task."""
        return self.id, f"{self.id}.on_success" if self.on_success is not None else self.id

    def copied(self, key, subgraph):
        """Return a task that does the same, in another subgraph of the graph."""
        copy = type(self)(self.name, self.fields, info=self.info, function=self.function)
        return self._furnished(copy, key, subgraph)

    def _furnished(self, copy, key, subgraph):
        copy.on_success, copy.on_failure = self.on_success, self.on_failure
        copy.total_retries, copy.retry_interval = self.total_retries, self.retry_interval
        self.graph.place(copy, key, subgraph)
        copy.key = self.key
        return copy

    def is_nop(self):
        """Say whether the task does nothing."""
        return self.fields["kind"] == "join"

    def is_local(self):
        """Say whether the task runs on no agent."""
        return self.fields["kind"] != "operation"

    def get_state(self):
        """Return the state, in the words of `cloudify.workflows.tasks`."""
        return self._state

    def set_state(self, state):
        """Note a state."""
        self._state = state

    def steps(self):
        """Return the tasks that the dispatcher gets for this one, and the dependencies between them."""
        own = {**self.fields, "id": self.id}
        if self.containing_subgraph is not None:
            own["subgraph"] = self.containing_subgraph.id
        if self.on_failure is not None:
            own["handled"] = True
        if self.total_retries is not None:
            own["max_retries"] = self.total_retries
        if self.retry_interval is not None:
            own["retry_interval_seconds"] = self.retry_interval
        first, last = self.ids
        if first == last:
            return [own], {}
        # The handler runs before anything that waits for the task.
        gate = {"id": last, "kind": "local", "subgraph": own.get("subgraph")}
        return [own, gate], {last: [first]}


class TaskResult:
    """What a task ends with."""

    def __init__(self, task):
        self._task = task

    def get(self, retry_on_failure=True):  # noqa: ARG002 - the interface's argument
        """Wait for the task and return its result."""
        task = self._task
        if task.graph is None:
            raise NonRecoverableError(f"task {task.name} was not added to a graph, so it never ends")
        return task.graph.ctx.following.result_of(task)


class Container:
    """What graphs and subgraphs have in common: tasks can be added, and wait for each other."""

    def sequence(self):
        """Return a sequence that adds to this graph."""
        return TaskSequence(self)

    def subgraph(self, name):
        """Return a new subgraph; it is a task of this graph."""
        return self.add_task(SubgraphTask(name))

    def add_task(self, task):
        """Add a task, and return it."""
        if task.graph is None:
            self.root.register(task, None if self is self.root else self)
        return task

    def add_dependency(self, src_task, dst_task):
        """Let `src_task` wait for `dst_task`."""
        for task in (src_task, dst_task):
            if task.graph is not self.root:
                raise RuntimeError(f"a dependency names {task!r}, which is not in the graph: add it first")
        self.root.dependencies.setdefault(src_task, []).append(dst_task)

    def remove_dependency(self, src_task, dst_task):
        """Let `src_task` wait for `dst_task` no longer."""
        waits = self.root.dependencies.get(src_task, [])
        self.root.dependencies[src_task] = [each for each in waits if each is not dst_task]


class SubgraphTask(WorkflowTask, Container):
    """A group of tasks: they begin when it begins, and it ends when all of them have ended."""

    def __init__(self, name, planned=None):
        super().__init__(name, {"kind": "join"})
        self.failed_task = None
        #: The id of the one that it is a copy of, or its own, and how many copies of that came before it.
        self.origin, self.number = None, 0
        #: Which of the dispatcher's planners fills it, and with what.
        self.planned = planned

    def again(self):
        """Return a new subgraph with tasks that do the same, to take this one's place after a failure."""
        copy = SubgraphTask(self.name, self.planned)
        copy.number = self.number + 1
        self._furnished(copy, f"{self.origin or self.id}~{copy.number}", self.containing_subgraph)
        copy.origin = self.origin or self.id
        copy.info, copy.current_retries = self.info, self.current_retries
        copies = {}
        self._copy_tasks(copy, f"{copy.id}:", copies)
        for task, new in copies.items():
            for each in self.graph.dependencies.get(task, ()):
                # What it waited for outside of the subgraph has ended.
                if each in copies:
                    self.graph.add_dependency(new, copies[each])
        return copy

    def copied(self, key, subgraph):
        """Return a subgraph with the same settings, and without its tasks."""
        copy = SubgraphTask(self.name, self.planned)
        copy.info = self.info
        return self._furnished(copy, key, subgraph)

    def _copy_tasks(self, into, prefix, copies):
        for task in self.tasks.values():
            copies[task] = task.copied(f"{prefix}{task.key}", into)
            if isinstance(task, SubgraphTask):
                task._copy_tasks(copies[task], prefix, copies)

    def everything(self):
        """Return it and all tasks in it, directly or not."""
        found = [self]
        for task in self.tasks.values():
            found.extend(task.everything() if isinstance(task, SubgraphTask) else [task])
        return found

    @property
    def root(self):
        """The graph that it belongs to."""
        return self.graph

    @property
    def tasks(self):
        """Its tasks by id."""
        return {each.id: each for each in self.graph.tasks if each.containing_subgraph is self}

    @property
    def ids(self):
        """The ids of the steps that begin and end it."""
        return f"{self.id}.begin", f"{self.id}.end"

    def is_nop(self):
        """Say whether it is without tasks."""
        return not self.tasks and self.planned is None

    def steps(self):
        """Return the steps that begin and end it."""
        begin, end = self.ids
        kind = "local" if self.on_success is not None else "join"
        last = {step for each in self.tasks.values() for step in (each.ids[1],)}
        return (
            [{"id": begin, "kind": "join", "subgraph": self.id}, {"id": end, "kind": kind, "subgraph": self.id}],
            {end: [begin, *sorted(last)]},
        )


class TaskSequence:
    """Adds tasks one after another."""

    def __init__(self, container):
        self._container = container
        self._last = []

    def add(self, *tasks):
        """Append tasks; a `forkjoin` among them runs its own side by side."""
        for item in tasks:
            group = list(item.tasks) if isinstance(item, forkjoin) else [item]
            for task in group:
                self._container.add_task(task)
                for before in self._last:
                    self._container.add_dependency(task, before)
            self._last = group or self._last


class TaskDependencyGraph(Container):
    """The graph of a workflow; `execute` has the dispatcher run what was added since the last time."""

    def __init__(self, ctx):
        self.ctx = ctx
        self.name = None
        self.tasks = []
        self.dependencies = {}
        self._added = 0

    def __getattr__(self, name):
        raise AttributeError(
            f"task graphs of Outrider's cloudify interface have no {name}: the dispatcher runs them, see ctx.graph_mode"
        )

    @property
    def root(self):
        """Itself."""
        return self

    @property
    def id(self):
        """The name that it is, or will be, stored under."""
        return self.name

    def register(self, task, subgraph):
        """Take a task in, and give it its id."""
        self._added += 1
        self.place(task, f"{self._added}.{task.name}".replace("/", "-"), subgraph)

    def place(self, task, id_, subgraph):
        """Take a task in under an id."""
        task.id = task.key = id_
        task.graph, task.containing_subgraph = self, subgraph
        self.tasks.append(task)

    def get_task(self, task_id):
        """Return the task of this id, None if there is none."""
        return next((each for each in self.tasks if each.id == task_id), None)

    def remove_task(self, task):
        """Take a task out, with what waits for it and what it waits for."""
        self.tasks.remove(task)
        self.dependencies.pop(task, None)
        for waits in self.dependencies.values():
            while task in waits:
                waits.remove(task)
        task.graph = task.containing_subgraph = None

    def _is_execution_cancelled(self):
        """Say whether the execution is to be cancelled."""
        return self.ctx.talk.cancel_kind() is not None

    def tasks_iter(self):
        """Return an iterator over the tasks."""
        return iter(list(self.tasks))

    def linearize(self):
        """Return the tasks so that each comes after those that it waits for."""
        ordered, seen = [], set()

        def visit(task):
            if task in seen:
                return
            seen.add(task)
            for each in self.dependencies.get(task, ()):
                visit(each)
            ordered.append(task)

        for task in self.tasks:
            visit(task)
        return ordered

    def optimize(self):
        """Do nothing: the dispatcher passes over empty tasks at no cost."""

    def store(self, name, optimize=True):  # noqa: ARG002 - the interface's argument
        """Name the graph: when the function is called again, the dispatcher goes on with the graph of this name."""
        self.name = name.replace("/", "-")
        return self

    def execute(self):
        """Have the graph run, and wait for it; raises if a task failed and no handler decided otherwise."""
        self.ctx.following.execute(self)

    def submission(self, only=None):
        """Return the graph, or a subgraph of it by itself, in the dispatcher's form."""
        chosen = self.tasks if only is None else only.everything()
        tasks, dependencies = [], {}
        for task in chosen:
            steps, between = task.steps()
            tasks.extend(steps)
            dependencies.update(between)
        for task in chosen:
            waits = [each.ids[1] for each in self.dependencies.get(task, ()) if only is None or each in chosen]
            if task.containing_subgraph is not None and task is not only:
                waits.append(task.containing_subgraph.ids[0])
            if waits:
                dependencies.setdefault(task.ids[0], []).extend(waits)
        parents = {
            each.id: None if each.containing_subgraph is None else each.containing_subgraph.id
            for each in chosen
            if isinstance(each, SubgraphTask)
        }
        planned = {each.id: each.planned for each in chosen if getattr(each, "planned", None) is not None}
        return {"tasks": tasks, "dependencies": dependencies, "subgraphs": parents, "planned": planned}
