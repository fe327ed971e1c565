"""The commands of `outrider`: where each is, and the line that lists show of it. See `lazy`."""

from __future__ import annotations

from collections.abc import Mapping

from outrider.cli.lazy import Command, Group

COMMANDS: Mapping[str, Command | Group] = {
    "run": Command("run:run", "Run a workflow of a blueprint, here and now."),
    "init": Command("init:init", "Write a runnable blueprint with a one-file plugin."),
    "blueprint": Group(
        "Blueprints: check them, see what they mean.",
        {
            "validate": Command(
                "blueprint:validate", "Say whether a blueprint is sound; every mistake at once, with its place."
            ),
            "show": Command("blueprint:show", "Print a stage of the blueprint's way to a deployment, as JSON."),
            "plan": Command(
                "blueprint:plan",
                "Show the operations that a workflow would run: in which order, where, with which plugin.",
            ),
            "lint": Command(
                "blueprint:lint_",
                "Warn about what is sound but probably not meant: unused inputs, plain secrets, unpinned plugins …",
            ),
            "graph": Command("blueprint:graph", "Draw the topology: nodes and their relationships."),
            "schema": Command(
                "blueprint:schema",
                "Print the language as a JSON Schema, with which editors complete and check blueprints.",
            ),
        },
    ),
    "plugin": Group(
        "Plugins: build, check and install wagons.",
        {
            "build": Command(
                "plugin:build", "Build a wagon: the plugin with all its dependencies, to be installed offline."
            ),
            "show": Command("plugin:show", "Show what a wagon holds."),
            "verify": Command(
                "plugin:verify", "Check an archive and every file in its wheels against the hashes that they carry."
            ),
            "check": Command(
                "plugin_check:check",
                "Tell whether a wagon installs on this host, or on those of agents, with all reasons if it does not.",
            ),
            "install": Command(
                "plugin:install",
                "Make a plugin known: blueprints may import it as plugin:NAME, agents fetch it when a task needs it.",
            ),
            "list": Command("plugin:list_plugins", "List the plugins that are known."),
            "delete": Command(
                "plugin:delete", "Forget a plugin's version; environments on agents stay until they are collected."
            ),
            "new": Command(
                "plugin_new:new", "Write a working plugin to start from: operations, types, a blueprint, tests."
            ),
            "run": Command(
                "plugin_bench:run",
                "Run one operation here, with a made-up context: no blueprint, no dispatcher, no agent.",
            ),
            "test": Command(
                "plugin_bench:run_tests",
                "Run a plugin's tests in an environment as agents make it: its own requirements, and the SDK.",
            ),
            "env": Group(
                "Environments of plugins, of the agent in this home: see them, collect them.",
                {
                    "list": Command(
                        "plugin_environments:list_environments",
                        "List environments: one per version and archive of a plugin, side by side.",
                    ),
                    "gc": Command(
                        "plugin_environments:gc",
                        "Remove environments that no known plugin, deployment or process uses, and unused wheels.",
                    ),
                },
            ),
        },
    ),
    "deployment": Group(
        "Deployments: what was made from blueprints.",
        {
            "list": Command("deployment:list_deployments", "List deployments with the states of their instances."),
            "show": Command("deployment:show", "Show a deployment's instances with their runtime properties."),
            "outputs": Command("deployment:outputs", "Print a deployment's outputs, evaluated now."),
            "delete": Command(
                "deployment:delete", "Delete a deployment's record; what it installed has to be uninstalled before."
            ),
            "update": Command(
                "updating:update",
                "Move a deployment to another blueprint or to other inputs: only what differs is touched.",
            ),
        },
    ),
    "execution": Group(
        "Executions: runs of a workflow.",
        {
            "list": Command("execution:list_executions", "List executions, the newest last."),
            "show": Command(
                "execution:show",
                "Show one execution: where the time of its operations went, and what those that failed left behind.",
            ),
            "watch": Command("execution:watch", "Follow an execution until it ends; the exit code is the execution's."),
            "cancel": Command(
                "execution:cancel", "Ask for a cancel: nothing new starts, running operations are ended."
            ),
            "resume": Command(
                "resuming:resume", "Let a failed or cancelled execution go on at its operations, and follow it."
            ),
            "why": Command("resuming:why", "Say what exactly an execution waits for, or what a person has to decide."),
            "decide": Command(
                "resuming:decide",
                "Decide about an operation that failed or may have run: retry it, take it as done, or skip it.",
            ),
        },
    ),
    "exec": Command("exec:exec_", "Run one operation, or a shell command, on an agent now, or on many at once."),
    "agent": Group(
        "Agents: run one here, see the known ones.",
        {
            "run": Command(
                "agent:run",
                "Run an agent in the foreground: what the service on a host runs. Further options are its settings.",
                passes_on=True,
            ),
            "list": Command("agent:list_agents", "List the agents that were heard of."),
            "show": Command(
                "agent_show:show",
                "Show everything that is known of one agent: version, host, lease, operations, what waits for it.",
            ),
            "bundle": Command(
                "hosts:bundle",
                "Make the archive that brings the agent to hosts without internet: wheels, virtualenv, hashes.",
            ),
            "doctor": Command(
                "hosts:doctor", "Look whether a host is ready for an agent, or how its agent is; changes nothing."
            ),
            "install": Command(
                "hosts:install_agents",
                "Put agents on hosts as services; running it again continues, or changes nothing.",
            ),
            "upgrade": Command(
                "hosts:upgrade_agents",
                "Bring a new version beside the old one and switch; one that does not work is rolled back.",
            ),
            "uninstall": Command(
                "hosts:uninstall_agents",
                "End what runs, remove service and files from the hosts, and account and queues from the broker.",
            ),
            "drain": Command(
                "agent_control:drain",
                "Have an agent take nothing new, and wait until all that it has in hand is done and reported.",
            ),
            "logs": Command(
                "agent_control:logs",
                "Print the end of an agent's log: by its control queue what it logged since its start, or all by SSH.",
            ),
        },
    ),
    "broker": Group(
        "Brokers: set RabbitMQ up, check it.",
        {
            "setup": Command(
                "broker:setup",
                "Make the virtual host, queues, exchanges and policies; running it again changes nothing.",
            ),
            "check": Command("broker:check", "Say what the broker lacks, each with its remedy; changes nothing."),
        },
    ),
    "up": Command("up:up", "Start the manager; Ctrl-C stops it, and what runs goes on at the next start."),
    "ca": Group(
        "TLS: a certificate authority of your own.",
        {
            "create": Command("ca:create", "Make the authority: ca.pem to hand to clients and agents, ca.key to keep."),
            "issue": Command(
                "ca:issue", "Make a certificate for a server; the authority is made first if there is none."
            ),
        },
    ),
    "dispatcher": Group(
        "Dispatchers: run one.",
        {
            "run": Command(
                "dispatcher:run",
                "Sequence executions until told to end. Another dispatcher takes over whatever is open then.",
            ),
        },
    ),
    "secret": Group(
        "Secrets: values that operations may use.",
        {
            "set": Command(
                "secret:set_secret",
                "Store a value, asked for or read from a pipe or a file: never an argument, which everybody could see.",
            ),
            "list": Command("secret:list_secrets", "List names; values are never shown."),
            "delete": Command("secret:delete", "Remove a secret."),
        },
    ),
    "config": Group(
        "Settings: see them, and where each came from.",
        {
            "show": Command("config:show", "Print every setting with its origin; passwords in addresses are left out."),
        },
    ),
    "events": Command("events:events", "Print an execution's events and log lines; with --follow, until it ends."),
    "profile": Group(
        "Profiles: managers to work with.",
        {
            "add": Command("profile:add", "Get to know a manager, and use it from now on."),
            "use": Command("profile:use", "Work with a manager from now on, or with this machine's own store."),
            "list": Command("profile:list_profiles", "List the managers that are known; tokens are not shown."),
            "remove": Command(
                "profile:remove", "Forget a manager. Its token stays good there until it is deleted or expires."
            ),
        },
    ),
}
