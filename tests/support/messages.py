"""One filled-in example of every message, for tests and for the recorded samples of the wire form."""

from __future__ import annotations

from outrider.messaging.messages import (
    AgentHeartbeat,
    ControlKind,
    ControlReply,
    ControlRequest,
    Durations,
    EventRecord,
    FilesRef,
    InstanceContext,
    LogRecord,
    Message,
    Mode,
    OperationContext,
    OperationError,
    OperationResult,
    OperationTask,
    OperationUpdate,
    PluginRef,
    Proof,
    PropertyChange,
    RelatedInstance,
    Usage,
    Verdict,
    WagonRef,
)

_HIERARCHY = ("cloudify.nodes.Root", "cloudify.nodes.Compute", "cloudify.nodes.aws.ec2.Instances")


def operation_task(attempt_id: str = "a-1") -> OperationTask:
    """Return a task of a typical size (about 2 kB)."""
    return OperationTask(
        attempt_id=attempt_id,
        task_id="t-1",
        execution_id="e-1",
        attempt_number=2,
        operation="cloudify_aws.ec2.resources.instances.create",
        plugin=PluginRef(
            name="cloudify-aws-plugin",
            version="3.1.7",
            wagons=(
                WagonRef(
                    filename="cloudify_aws_plugin-3.1.7-py311-none-linux_x86_64.wgn",
                    sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    size_bytes=52_428_800,
                    tags=("cp311-cp311-manylinux_2_17_x86_64",),
                ),
            ),
            mode=Mode.SPAWN,
            details={"package_name": "cloudify-aws-plugin", "executor": "central_deployment_agent"},
        ),
        context=OperationContext(
            operation="cloudify.interfaces.lifecycle.create",
            workflow="install",
            deployment="shop",
            blueprint="shop-blueprint",
            retry_number=1,
            node=InstanceContext(
                node="vm",
                type=_HIERARCHY[-1],
                type_hierarchy=_HIERARCHY,
                properties={"image_id": "ami-0abc", "instance_type": "t3.small", "count": 1, "tags": ["a", "b"]},
                instance="vm_x1y2z3",
                runtime_properties={"aws_resource_id": "i-0123456789", "ünïcode": "☃", "nested": {"deep": [1, 2.5]}},
                version=3,
                host_instance="vm_x1y2z3",
                host_ip="10.0.0.7",
                relationships=(
                    RelatedInstance(
                        type="cloudify.relationships.connected_to",
                        type_hierarchy=("cloudify.relationships.depends_on", "cloudify.relationships.connected_to"),
                        target_node="group",
                        target_instance="group_q9w8e7",
                        target_node_type="cloudify.nodes.aws.ec2.SecurityGroup",
                        target_runtime_properties={"aws_resource_id": "sg-0123"},
                    ),
                ),
                scaling_groups=({"name": "web"},),
            ),
            deployment_details={"display_name": "Shop"},
            workflow_parameters={"ignore_failure": False},
        ),
        inputs={"client_config": {"region_name": "eu-west-1", "aws_secret_access_key": {"$secret": "aws_key"}}},
        token="token-1",
        files=FilesRef(url="https://manager:53229/files", token="files-token"),
        secrets=("aws_key",),
        timeout_seconds=600.0,
        previous_attempt_id="a-0",
        journal_epoch="epoch-1",
        resources="3c9909afec25354d551dae21590bb26e38d53f2173b8d3dc3eee4c047e7ab1c1",
        namespaces={"shared": "0263829989b6fd954f72baaf2fc64bc2e2f01d692d4de72986ea808f6e99813f"},
    )


_CHANGE = PropertyChange(
    instance="vm_x1y2z3", set={"ip": "10.0.0.7"}, delete=("old",), base_version=3, sequence=2, replace=True
)


def one_of_each() -> tuple[Message, ...]:
    """Return one example of every message."""
    attempt = {"attempt_id": "a-1", "task_id": "t-1", "execution_id": "e-1", "agent_id": "web-1", "token": "token-1"}
    return (
        operation_task(),
        OperationResult(
            **attempt,
            verdict=Verdict.FAILED,
            value={"any": ["thing", None, 1]},
            error=OperationError(
                type="builtins.ValueError",
                message="no such image",
                traceback="Traceback …",
                causes=({"type": "KeyError", "message": "'ami'", "traceback": ""},),
                retry_after_seconds=30.0,
            ),
            durations=Durations(queued=0.001, start=0.002, run=1.5),
            usage=Usage(cpu_seconds=0.25, peak_memory_bytes=73_400_320),
            last_sequence=2,
            properties=(_CHANGE,),
            proof=Proof.CGROUP,
            stdout_tail="out",
            stderr_tail="err",
            journal_epoch="epoch-1",
        ),
        OperationUpdate(
            **attempt,
            logs=(LogRecord(sequence=1, time=1_700_000_000.25, level="INFO", logger="ctx", message="creating"),),
            events=(EventRecord(sequence=3, time=1_700_000_000.5, event_type="plugin_event", message="half way"),),
            properties=(_CHANGE,),
        ),
        AgentHeartbeat(
            agent_id="web-1",
            machine_id="machine",
            boot_id="boot",
            process_id="process",
            version="0.1.0",
            python="3.11.7",
            platform="linux-x86_64",
            clock_seconds=1234.5,
            interval_seconds=5.0,
            journal_epoch="epoch-1",
            journal_sequence=42,
            accepted=("a-2",),
            running=("a-1",),
            reporting=("a-0",),
            slots=4,
            state="draining",
            doing={"a-2": "waiting for a slot"},
            load={"one": 0.5},
            tags=("cp311-cp311-manylinux_2_36_x86_64",),
            host={"name": "web-1"},
        ),
        ControlRequest(
            request_id="r-1",
            kind=ControlKind.CANCEL,
            agent_id="web-1",
            reply_to="web-1.dispatcher-1",
            attempt_id="a-1",
            token="token-1",
            payload={"force": True},
        ),
        ControlReply(request_id="r-1", agent_id="web-1", ok=False, payload={"state": "running"}, error="still running"),
    )
