"""The tables, as SQLAlchemy sees them. The truth of an existing database is made by `migrations`; a test compares them.

Conventions: times are seconds since the epoch by the *database's* clock (`Float`); mappings are JSON text in columns
of type `Text`, because the engine writes thousands a second and encodes once; `tenant` is in every table that a user
can list.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

METADATA = MetaData()

#: SQLite counts only INTEGER PRIMARY KEY by itself.
SERIAL = BigInteger().with_variant(Integer, "sqlite")

TENANTS = Table(
    "tenants",
    METADATA,
    Column("name", String(256), primary_key=True),
    Column("created_at", Float, nullable=False),
)

BLUEPRINTS = Table(
    "blueprints",
    METADATA,
    Column("tenant", String(256), primary_key=True),
    Column("id", String(256), primary_key=True),
    Column("main_file", Text, nullable=False),
    Column("state", String(40), nullable=False),
    Column("plan", Text),
    Column("description", Text),
    Column("error", Text),
    Column("error_traceback", Text),
    #: Hash of the manifest of the blueprint's resources, and of the archive as uploaded (see `dispatcher.files`).
    Column("resources", String(64)),
    Column("archive", String(64)),
    #: Visibility, labels, creator, upload execution …: what only the REST API shows.
    Column("details", Text, nullable=False, server_default="{}"),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
)

DEPLOYMENTS = Table(
    "deployments",
    METADATA,
    Column("tenant", String(256), primary_key=True),
    Column("id", String(256), primary_key=True),
    Column("blueprint_id", String(256), nullable=False),
    Column("display_name", Text, nullable=False),
    #: The deployment plan without nodes and instances, which have tables of their own.
    Column("plan", Text, nullable=False),
    Column("inputs", Text, nullable=False),
    Column("outputs", Text, nullable=False),
    Column("capabilities", Text, nullable=False),
    Column("scaling_groups", Text, nullable=False),
    Column("details", Text, nullable=False, server_default="{}"),
    #: Rises with every change of a node or an instance, whoever makes it: tells an engine to read them again.
    Column("model_version", Integer, nullable=False, server_default="1"),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
)
Index("deployments_list", DEPLOYMENTS.c.tenant, DEPLOYMENTS.c.created_at, DEPLOYMENTS.c.id)
Index("deployments_blueprint", DEPLOYMENTS.c.tenant, DEPLOYMENTS.c.blueprint_id)

#: Files that operations keep with their deployment, by content.
DEPLOYMENT_FILES = Table(
    "deployment_files",
    METADATA,
    Column("tenant", String(256), primary_key=True),
    Column("deployment_id", String(256), primary_key=True),
    Column("path", String(1024), primary_key=True),
    Column("sha256", String(64), nullable=False),
    #: When it was changed, in the words of who keeps it: clients compare the text.
    Column("modified", String(64), nullable=False),
    ForeignKeyConstraint(["tenant", "deployment_id"], ["deployments.tenant", "deployments.id"], ondelete="CASCADE"),
)

NODES = Table(
    "nodes",
    METADATA,
    Column("tenant", String(256), primary_key=True),
    Column("deployment_id", String(256), primary_key=True),
    Column("id", String(256), primary_key=True),
    #: Place in the plan's list.
    Column("position", Integer, nullable=False),
    Column("type", Text, nullable=False),
    #: The node's record in the plan, whole.
    Column("plan", Text, nullable=False),
)

NODE_INSTANCES = Table(
    "node_instances",
    METADATA,
    Column("tenant", String(256), primary_key=True),
    Column("deployment_id", String(256), primary_key=True),
    Column("id", String(256), primary_key=True),
    Column("node_id", String(256), nullable=False),
    Column("host_id", String(256)),
    Column("state", String(40), nullable=False),
    Column("index_in_node", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("relationships", Text, nullable=False),
    Column("scaling_groups", Text, nullable=False),
    Column("runtime_properties", Text, nullable=False),
    Column("system_properties", Text, nullable=False),
)
Index("node_instances_id", NODE_INSTANCES.c.tenant, NODE_INSTANCES.c.id)
Index(
    "node_instances_list",
    NODE_INSTANCES.c.tenant,
    NODE_INSTANCES.c.node_id,
    NODE_INSTANCES.c.deployment_id,
    NODE_INSTANCES.c.id,
)
Index("node_instances_state", NODE_INSTANCES.c.tenant, NODE_INSTANCES.c.deployment_id, NODE_INSTANCES.c.state)

EXECUTIONS = Table(
    "executions",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(256), nullable=False),
    #: None: a workflow that is about no deployment (one operation on an agent).
    Column("deployment_id", String(256)),
    Column("blueprint_id", String(256)),
    Column("workflow", String(256), nullable=False),
    Column("parameters", Text, nullable=False),
    Column("status", String(40), nullable=False),
    Column("error", Text),
    Column("dry_run", Boolean, nullable=False),
    #: Runs although another execution of the deployment runs.
    Column("force", Boolean, nullable=False),
    #: Waits for the other executions of the deployment instead of being refused.
    Column("queue", Boolean, nullable=False),
    #: ``cancel``, ``force-cancel`` or ``kill`` as asked for by anybody; the owner acts on it.
    Column("cancel", String(20)),
    Column("wait_after_fail_seconds", Float, nullable=False),
    Column("max_concurrency", Integer),
    Column("created_by", Text),
    Column("details", Text, nullable=False, server_default="{}"),
    Column("created_at", Float, nullable=False),
    Column("scheduled_for", Float),
    Column("started_at", Float),
    Column("ended_at", Float),
    Column("total_operations", Integer, nullable=False, server_default="0"),
    Column("finished_operations", Integer, nullable=False, server_default="0"),
    #: The dispatcher that runs it. Every write of an engine names owner and epoch; see `store.ownership`.
    Column("owner", String(64)),
    Column("owner_epoch", Integer, nullable=False, server_default="0"),
    #: Its workflow runs elsewhere and reports here (see `store.outside`): no dispatcher takes it.
    Column("outside", Boolean, nullable=False, server_default=false()),
)
Index("executions_status", EXECUTIONS.c.status)
Index("executions_list", EXECUTIONS.c.tenant, EXECUTIONS.c.created_at, EXECUTIONS.c.id)
Index("executions_deployment", EXECUTIONS.c.tenant, EXECUTIONS.c.deployment_id, EXECUTIONS.c.created_at)

GRAPHS = Table(
    "graphs",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("execution_id", String(64), ForeignKey("executions.id", ondelete="CASCADE"), nullable=False),
    #: The stage's name: a resumed execution finds its place by it.
    Column("name", String(256), nullable=False),
    Column("position", Integer, nullable=False),
    #: ``running``, ``succeeded``, ``failed`` or ``superseded`` (planned anew after a resume).
    Column("state", String(20), nullable=False),
    #: Id → parent, instance, recovery, recoveries used.
    Column("subgraphs", Text, nullable=False),
    #: Model changes to make when the stage ends.
    Column("after", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    UniqueConstraint("execution_id", "name", name="graphs_name"),
)

TASKS = Table(
    "tasks",
    METADATA,
    #: ``<graph id>.<position>``.
    Column("id", String(80), primary_key=True),
    Column("graph_id", String(64), ForeignKey("graphs.id", ondelete="CASCADE"), nullable=False),
    Column("execution_id", String(64), nullable=False),
    Column("position", Integer, nullable=False),
    #: The planner's id: readable, unique in the graph.
    Column("name", Text, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("operation", Text),
    Column("instance", String(256)),
    #: The rest of the planner's task.
    Column("spec", Text, nullable=False),
    #: Positions of the tasks that it waits for.
    Column("dependencies", Text, nullable=False),
    Column("state", String(20), nullable=False),
    #: Number of the current attempt; 0 = none yet.
    Column("attempt", Integer, nullable=False),
    #: Retries counted against the limit (a resume starts again at 0).
    Column("retries", Integer, nullable=False, server_default="0"),
    #: A retry is due at this time.
    Column("not_before", Float),
    Column("error", Text),
    #: What a person decided: kind and edited inputs.
    Column("decision", Text),
)
Index("tasks_graph", TASKS.c.graph_id, TASKS.c.position)

#: Task graphs of workflows that run elsewhere: clients of the REST API keep them here. The engine never reads them.
OUTSIDE_GRAPHS = Table(
    "outside_graphs",
    METADATA,
    Column("id", String(256), primary_key=True),
    Column("execution_id", String(64), ForeignKey("executions.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(256), nullable=False),
    Column("created_at", Float, nullable=False),
)
Index("outside_graphs_execution", OUTSIDE_GRAPHS.c.execution_id)

OUTSIDE_OPERATIONS = Table(
    "outside_operations",
    METADATA,
    Column("id", String(256), primary_key=True),
    Column("graph_id", String(256), ForeignKey("outside_graphs.id", ondelete="CASCADE"), nullable=False),
    Column("execution_id", String(64), nullable=False),
    Column("position", Integer, nullable=False),
    Column("name", Text, nullable=False),
    #: The client's word for the kind of task: ``RemoteWorkflowTask`` …
    Column("type", String(80), nullable=False),
    Column("state", String(20), nullable=False),
    Column("parameters", Text, nullable=False),
    #: Ids of operations that it waits for.
    Column("dependencies", Text, nullable=False),
    #: Result, exception, agent …: what was told last.
    Column("outcome", Text, nullable=False),
    Column("created_at", Float, nullable=False),
)
Index("outside_operations_graph", OUTSIDE_OPERATIONS.c.graph_id, OUTSIDE_OPERATIONS.c.position)

ATTEMPTS = Table(
    "attempts",
    METADATA,
    #: ``<task id>.<number>``.
    Column("id", String(100), primary_key=True),
    Column("task_id", String(80), nullable=False),
    Column("execution_id", String(64), nullable=False),
    Column("number", Integer, nullable=False),
    Column("agent_id", String(256), nullable=False),
    Column("token_hash", String(64), nullable=False),
    #: ``sending``, ``sent``, ``started`` or ``ended``.
    Column("state", String(20), nullable=False),
    Column("verdict", String(20)),
    #: The owner has drawn the consequences of the verdict.
    Column("applied", Boolean, nullable=False),
    #: The message as published, until the attempt ends.
    Column("body", LargeBinary),
    #: Names of the secrets that the agent may redeem for it.
    Column("secrets", Text),
    Column("created_at", Float, nullable=False),
    Column("sent_at", Float),
    Column("started_at", Float),
    Column("ended_at", Float),
    Column("proof", String(20)),
    #: Return value, error, durations, usage and output tails, as one JSON object.
    Column("result", Text),
    #: A result that came after the verdict.
    Column("late_result", Text),
    #: Number of the last update whose property changes are stored.
    Column("property_sequence", Integer, nullable=False, server_default="0"),
)
Index("attempts_execution", ATTEMPTS.c.execution_id)

EVENTS = Table(
    "events",
    METADATA,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    Column("tenant", String(256), nullable=False),
    Column("execution_id", String(64)),
    Column("deployment_id", String(256)),
    Column("workflow", String(256)),
    #: When it was stored, by the database's clock: rises with `id`, so that paging never skips.
    Column("stored_at", Float, nullable=False),
    #: When it happened, by the clock of where it happened.
    Column("happened_at", Float, nullable=False),
    #: ``task_started`` …; None for a log line.
    Column("event_type", String(40)),
    #: ``info`` …; None for an event.
    Column("level", String(20)),
    Column("logger", Text),
    Column("message", Text, nullable=False),
    Column("operation", Text),
    Column("node", String(256)),
    Column("instance", String(256)),
    Column("target_instance", String(256)),
    Column("causes", Text),
    Column("attempt_id", String(100)),
    #: Number of the record within its attempt: recorded once, however often it arrives.
    Column("sequence", Integer),
    UniqueConstraint("attempt_id", "sequence", name="events_sequence"),
    sqlite_autoincrement=True,
)
Index("events_execution", EVENTS.c.execution_id, EVENTS.c.id)

AGENTS = Table(
    "agents",
    METADATA,
    Column("id", String(256), primary_key=True),
    Column("tenant", String(256), nullable=False),
    #: As the REST API names it: creating, started, nonresponsive …
    Column("state", String(40), nullable=False),
    Column("deployment_id", String(256)),
    Column("instance", String(256)),
    #: Address, install method, broker account …: what an installer told.
    Column("details", Text, nullable=False, server_default="{}"),
    #: The last heartbeat, whole.
    Column("heartbeat", Text),
    Column("last_seen_at", Float),
    Column("journal_epoch", String(64)),
    Column("journal_sequence", Integer, nullable=False, server_default="0"),
    #: Why its journal is not trusted any more; None = it is.
    Column("fenced", Text),
    Column("created_at", Float, nullable=False),
)

PLUGINS = Table(
    "plugins",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(256), nullable=False),
    Column("package_name", String(256), nullable=False),
    Column("package_version", String(100), nullable=False),
    #: List of ``{filename, sha256, size_bytes, tags}``.
    Column("wagons", Text, nullable=False),
    #: DSL version → text of the plugin.yaml.
    Column("yamls", Text, nullable=False),
    Column("details", Text, nullable=False, server_default="{}"),
    Column("uploaded_at", Float, nullable=False),
    UniqueConstraint("tenant", "package_name", "package_version", name="plugins_version"),
)

DEPLOYMENT_UPDATES = Table(
    "deployment_updates",
    METADATA,
    Column("id", String(256), primary_key=True),
    Column("tenant", String(256), nullable=False),
    Column("deployment_id", String(256), nullable=False),
    Column("execution_id", String(64)),
    Column("state", String(40), nullable=False),
    #: Steps, old and new inputs, the new plan.
    Column("payload", Text, nullable=False),
    Column("created_at", Float, nullable=False),
)

SECRETS = Table(
    "secrets",
    METADATA,
    Column("tenant", String(256), primary_key=True),
    Column("name", String(256), primary_key=True),
    Column("ciphertext", LargeBinary, nullable=False),
    #: Schema, visibility, creator …; never the value.
    Column("details", Text, nullable=False, server_default="{}"),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
)

DECISIONS = Table(
    "decisions",
    METADATA,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    Column("execution_id", String(64), nullable=False),
    Column("task_id", String(80)),
    #: ``retry``, ``done``, ``skip``, ``edit``, ``cancel``, ``resume`` …
    Column("decision", String(20), nullable=False),
    Column("payload", Text, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("decided_at", Float, nullable=False),
    sqlite_autoincrement=True,
)
Index("decisions_execution", DECISIONS.c.execution_id)

DISPATCHERS = Table(
    "dispatchers",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("host", Text, nullable=False),
    Column("version", String(40), nullable=False),
    Column("started_at", Float, nullable=False),
    Column("lease_until", Float, nullable=False),
)

USERS = Table(
    "users",
    METADATA,
    Column("name", String(256), primary_key=True),
    #: See `store.passwords`; None: this account cannot log in with a password.
    Column("password_hash", Text),
    #: ``sys_admin`` or ``default``.
    Column("role", String(40), nullable=False),
    Column("active", Boolean, nullable=False),
    #: Wrong passwords in a row, and until when the account refuses all of them.
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("locked_until", Float),
    Column("last_login_at", Float),
    Column("created_at", Float, nullable=False),
)

MEMBERS = Table(
    "tenant_members",
    METADATA,
    Column("tenant", String(256), primary_key=True),
    Column("user", String(256), primary_key=True),
    #: ``manager``, ``user``, ``operations`` or ``viewer``.
    Column("role", String(40), nullable=False),
)

TOKENS = Table(
    "tokens",
    METADATA,
    Column("id", String(32), primary_key=True),
    #: SHA-256 of the secret part; the token itself is shown once and kept nowhere.
    Column("secret_hash", String(64), nullable=False),
    Column("user", String(256), nullable=False),
    #: None: a person's token. Otherwise it is good for this execution's affairs, and only while that runs.
    Column("execution_id", String(64)),
    #: Of an execution's token: it may also do what the execution's starter may, in the execution's tenant.
    Column("for_starter", Boolean, nullable=False, server_default=false()),
    Column("description", Text),
    Column("expires_at", Float),
    Column("last_used_at", Float),
    Column("created_at", Float, nullable=False),
)
Index("tokens_execution", TOKENS.c.execution_id)

AUDIT = Table(
    "audit_log",
    METADATA,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("user", String(256), nullable=False),
    Column("tenant", String(256)),
    Column("address", String(64), nullable=False),
    Column("method", String(10), nullable=False),
    Column("path", Text, nullable=False),
    Column("status", Integer, nullable=False),
    #: None: the user did it. Otherwise the token of this execution, which the user started.
    Column("execution_id", String(64)),
    sqlite_autoincrement=True,
)
Index("audit_log_at", AUDIT.c.at)

#: One row. Migrations only add, so that older processes keep working during a rolling upgrade; one that cannot
#: raises `floor` to the number of the first revision whose code may use the database.
SCHEMA_FLOOR = Table("schema_floor", METADATA, Column("floor", Integer, primary_key=True))
