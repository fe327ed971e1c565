"""What the reference pages say in words: the steps of each workflow, and where it differs from Cloudify on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

STEPS: Mapping[str, str] = MappingProxyType(
    {
        "install": (
            "For each selected instance, after all that it depends on: state `initializing`; `validation.create`;"
            " `precreate`; `create` between the states `creating` and `created`; `preconfigure` of its relationships;"
            " `configure` between `configuring` and `configured`; `postconfigure`; state `starting` and `start`; on"
            " hosts `host.get_state` until it says yes, the agent's `create` (and `start`, for the install methods"
            " `plugin` and `init_script`) unless the install method is `none`, and `monitoring_agent.install` and"
            " `start`; `poststart`; `monitoring.start`; `establish`; state `started`. An instance that is already on"
            " the way goes on from its state. `depends_on_lifecycle_operation` waits only until the step after the"
            " named operation."
        ),
        "uninstall": (
            "For each selected instance, before all that it depends on: state `stopping`; `validation.delete`;"
            " `monitoring.stop`; `prestop`; on hosts `monitoring_agent.stop` and `uninstall`, the agent's `stop_amqp`"
            " or `stop` by its install method, and `delete`; `stop` and state `stopped`; `unlink` of its relationships,"
            " last one first; state `deleting` and `delete`; `postdelete`; state `deleted`. Runtime properties stay."
            " With `recursive`, a stage before this one uninstalls the deployments whose label `csys-obj-parent` names"
            " this one, side by side and with `recursive` in turn, and waits for them; those of which nothing is"
            " installed are passed over."
        ),
        "reinstall": "The selected instances are uninstalled in one stage, then installed in a second.",
        "start": "`start` on every selected instance that implements it, with an event before and after.",
        "stop": "`stop` on every selected instance that implements it, dependents first.",
        "restart": "`stop` on all selected instances in one stage, then `start` in a second.",
        "execute_operation": (
            "The operation on every selected instance that implements it, with an event before and after. With"
            " `run_by_dependency_order`, instances that do not implement it pass the order on."
        ),
        "pull": "`pull` on every selected instance that implements it.",
        "heal": (
            "On the instance's host and everything that the host contains: `check_status`, whose failures are what is"
            " looked for; `preheal`, `heal`, `postheal` on ill instances that implement `heal`; the others that are"
            " ill, those whose healing failed, and all that these contain are reinstalled."
        ),
        "scale": (
            "More: the new instances are added and installed, and existing instances establish their relationships"
            " with them; a failure undoes all of it. Fewer: the surplus is unlinked, uninstalled and removed; the"
            " youngest go first unless `include_instances` or `exclude_instances` say otherwise."
        ),
        "update": (
            "Everything that runs and stays is asked for its status; relationships and instances that the new blueprint"
            " does not have are unlinked and uninstalled; the new plan takes the old one's place; what stays is asked"
            " for drift; what is ill and implements `heal` runs `preheal`, `heal`, `postheal`; what has drifted runs"
            " `preupdate`, `update`, `postupdate`, `update_config`, `update_apply`, `update_postapply`, and its"
            " relationships `update`, and is then no longer known as drifted; what is still ill or drifted, because it"
            " implements none of these or one of them failed, what `reinstall_list` names, and what these contain, is"
            " reinstalled; new instances are installed and new relationships established. With `install_first` that"
            " last stage comes before the uninstallation, and old and new stand side by side meanwhile.\n\n"
            "With `workflow_id` none of this runs, but a workflow of the new blueprint: the new plan takes the old"
            " one's place, and what comes is in the model beside what goes; the workflow runs, and decides on every"
            " operation; then what the new plan does not have is removed from the model. A built-in workflow takes its"
            " own parameters; [one that a plugin brings](plugin-workflows.md#in-an-updates-place) is told what differs."
        ),
        "rollback": (
            "Instances in `creating` or `configuring` go through the second half of uninstall to `uninitialized`;"
            " instances in `starting` through its first half to `configured`. Failures are ignored."
        ),
        "check_status": "`validation.check_status` once on every selected instance; the answer is kept.",
        "check_drift": "`check_drift` on every selected instance, then on both sides of its relationships.",
        "install_new_agents": (
            "On every selected host that is started: `validate_amqp` of the present agent in one stage; then"
            " `create_amqp`, `validate_amqp` of the new one, `monitoring_agent.install` and `start`, and"
            " `monitoring.start` of all that the host contains."
        ),
        "validate_agents": "`validate_amqp` on every selected host that has an agent.",
    }
)

_SUBGRAPH = (
    "Failed subgraphs are replaced when `subgraph_retries` allows it, as in Cloudify; the replacement has a name of its"
    " own in the stored graph."
)

DIFFERENCES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "install": (
            (
                "Instances outside of the selection establish their relationships to the new ones only if they exist;"
                " one that was never created has nothing to connect."
            ),
            (
                "An instance that continues from a later state is not set back to `initializing`, so that an"
                " interruption at that moment cannot make the next run create its resource a second time."
            ),
            _SUBGRAPH,
        ),
        "uninstall": (
            "An instance that was never begun (`uninitialized`) is left alone instead of being stopped and deleted.",
            (
                "If the uninstallation of a deployment inside fails, the execution fails with its reason before"
                " anything of its own is touched, unless `ignore_failure` is set; resumed, it tries those again that"
                " stand. A cancel leaves what is being uninstalled inside to go on."
            ),
            _SUBGRAPH,
        ),
        "stop": (
            (
                "Dependents are stopped first. Following the dependencies as `start` does would stop a host before the"
                " software on it, whose `stop` could then not be delivered any more."
            ),
        ),
        "restart": ("The stop half runs in the order of [stop](stop.md).",),
        "heal": (
            (
                "`preheal`, `heal` and `postheal` are stages of their own: all instances finish one before any begins"
                " the next."
            ),
            "An instance that was never checked, cannot be checked and is started is believed to be well.",
            "A failed or cancelled heal can be resumed.",
        ),
        "update": (
            (
                "The status is asked before anything changes, by the old blueprint's operations: asked later, an"
                " instance that has yet to be updated would seem ill."
            ),
            (
                "An update operation that fails, and a heal operation that does, leads to a reinstallation. With"
                " `skip_reinstall` nothing would make up for a failed update operation, so it fails the update, unless"
                " `ignore_failure` is set."
            ),
            (
                "What an update that failed had added or taken down is brought up by the next update, unless everything"
                " was taken down since. What was uninstalled on purpose stays so."
            ),
            (
                "An update fails if the workflow that `workflow_id` names fails. Cloudify takes the update for"
                " successful nevertheless."
            ),
            "A failed or cancelled update can be resumed.",
        ),
        "scale": (
            (
                "A failed scale-out uninstalls everything that it added, also what had reached `started`, before the"
                " records are removed. Cloudify drops these records and leaves the resources behind."
            ),
            "`min_instances` and `max_instances` are enforced.",
            "`abort_started` uninstalls what an earlier, unfinished scale-out added before it removes the records.",
        ),
    }
)
