"""The JSON bodies that routes read. Unknown members are ignored: clients of all ages send some.

Texts like ``"true"`` are taken for booleans, as `executions start` sends them.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import to_json

Json = dict[str, Any]


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("holds a NUL character")
    return text


NO_TEXT = "holds half of a character (a surrogate, \\ud800 to \\udfff, without its other half), which is no text"


TOO_DEEP = "is nested too deeply to be answered with: up to 200 levels are taken"
#: Answers put what was sent into objects and lists of their own; their writer ends at 255 levels.
_DEEPER = 50


def unusable(value: Any) -> str | None:
    """Return why decoded JSON could be taken in, but not be given back; None: it can be."""
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
        for _ in range(_DEEPER):
            value = [value]
        to_json(value)
    except UnicodeEncodeError:
        return NO_TEXT
    except (RecursionError, ValueError):
        return TOO_DEEP
    return None


#: A text that databases can hold, of a length that people write.
Text = Annotated[str, AfterValidator(_no_nul), Field(max_length=4096)]


class Body(BaseModel):
    """What all bodies have in common."""

    model_config = ConfigDict(extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _text_only(cls, sent: Any) -> Any:
        """Refuse what JSON can write and no store, file or answer can hold."""
        problem = unusable(sent) if isinstance(sent, dict) else None
        if problem is not None:
            raise ValueError(problem)
        return sent


class TokenBody(Body):
    """`POST /tokens`."""

    description: Text | None = None
    expiration_date: Text | None = None


class VisibilityBody(Body):
    """`PATCH …/set-visibility`."""

    visibility: Literal["private", "tenant", "global"]


class SiteBody(Body):
    """`POST /deployments/{id}/set-site`."""

    site_name: Text | None = None
    detach_site: bool = False


class ForceBody(Body):
    """`DELETE /plugins/{id}`."""

    force: bool = False


class PluginBody(Body):
    """`PATCH /plugins/{id}`."""

    creator: Text | None = None
    labels: Json | None = None
    blueprint_labels: Json | None = None
    resource_tags: Json | None = None


class PluginStateBody(Body):
    """`PUT /plugins/{id}`: an agent tells how an install stands."""

    state: Text
    agent: Text | None = None
    manager: Text | None = None
    error: str | None = None


class PluginActionBody(Body):
    """`POST /plugins/{id}`."""

    action: Literal["install"]
    managers: list[Text] | None = None
    agents: list[Text] | None = None


class MetadataBody(Body):
    """`PATCH` of a blueprint or a deployment: what people may change of its record."""

    creator: Text | None = None
    labels: list[Json] | None = None
    description: Text | None = None
    display_name: Text | None = None
    visibility: Literal["private", "tenant", "global"] | None = None


class DeploymentBody(Body):
    """`PUT /deployments/{id}`."""

    blueprint_id: Text
    inputs: Json | None = None
    visibility: Literal["private", "tenant", "global"] | None = None
    display_name: Text | None = None
    labels: list[Json] | None = None
    site_name: Text | None = None
    runtime_only_evaluation: bool = False


class UpdateBody(Body):
    """`POST /deployment-updates/{id}/update/initiate`."""

    blueprint_id: Text | None = None
    inputs: Json | None = None
    preview: bool = False
    skip_install: bool = False
    skip_uninstall: bool = False
    skip_reinstall: bool = False
    skip_drift_check: bool = False
    skip_heal: bool = False
    force_reinstall: bool = False
    install_first: bool = False
    ignore_failure: bool = False
    force: bool = False
    auto_correct_types: bool = False
    workflow_id: Text | None = None
    reinstall_list: list[Text] | None = None


class ExecutionBody(Body):
    """`POST /executions`."""

    deployment_id: Text
    workflow_id: Text
    parameters: Json | None = None
    allow_custom_parameters: bool = False
    force: bool = False
    dry_run: bool = False
    queue: bool = False
    scheduled_time: Text | None = None
    wait_after_fail: float | None = Field(default=None, ge=0, le=31_536_000)
    #: Not null: the workflow runs elsewhere, and the others of these may tell how it stands.
    force_status: Text | None = None
    id: Text | None = None
    error: str | None = None
    created_by: Text | None = None
    created_at: Text | None = None
    started_at: Text | None = None
    ended_at: Text | None = None


class ActionBody(Body):
    """`POST /executions/{id}`."""

    action: Literal["cancel", "force-cancel", "kill", "resume", "force-resume", "requeue"]


class ExecutionStateBody(Body):
    """`PATCH /executions/{id}`."""

    status: Text
    error: str | None = None


class InstanceBody(Body):
    """`PATCH /node-instances/{id}`."""

    version: int | None = Field(default=None, ge=0, le=2**31 - 1)
    runtime_properties: Json | None = None
    system_properties: Json | None = None
    relationships: list[Json] | None = None
    state: Text | None = None


class EventsBody(Body):
    """`POST /events`."""

    events: list[Json] | None = None
    logs: list[Json] | None = None
    execution_id: Text | None = None

    @model_validator(mode="before")
    @classmethod
    def _text_only(cls, sent: Any) -> Any:
        """Mend what is no text: an operation must not fail for a file's name that it logs."""
        if not isinstance(sent, dict) or unusable(sent) != NO_TEXT:
            return sent
        return json.loads(json.dumps(sent, ensure_ascii=False).encode("utf-8", "replace"))


class EvaluateBody(Body):
    """`POST /evaluate/functions`."""

    deployment_id: Text
    context: Json = Field(default_factory=dict)
    payload: Json


class SecretBody(Body):
    """`PUT /secrets/{key}`."""

    value: Any
    update_if_exists: bool = False
    is_hidden_value: bool = False
    visibility: Literal["private", "tenant", "global"] | None = None
    schema_: Json | None = Field(default=None, alias="schema")


class SecretChangeBody(Body):
    """`PATCH /secrets/{key}`."""

    value: Any = None
    is_hidden_value: bool | None = None
    visibility: Literal["private", "tenant", "global"] | None = None


class MemberBody(Body):
    """`PUT`, `PATCH` and `DELETE /tenants/users`."""

    username: Text
    tenant_name: Text
    role: Text = "user"


class UserBody(Body):
    """`PUT /users`."""

    username: Text
    password: str = Field(min_length=1, max_length=1024)
    role: Text = "default"


class UserChangeBody(Body):
    """`POST /users/{name}`."""

    password: str | None = Field(default=None, min_length=1, max_length=1024)
    role: Text | None = None


class ActivateBody(Body):
    """`POST /users/active/{name}`."""

    action: Literal["activate", "deactivate"]


class AgentBody(Body):
    """`PUT` and `PATCH /agents/{name}`."""

    node_instance_id: Text | None = None
    state: Text | None = None
    ip: Text | None = None
    install_method: Text | None = None
    system: Text | None = None
    version: Text | None = None


#: The id of an operation or a graph, which clients choose.
OwnId = Annotated[str, AfterValidator(_no_nul), Field(min_length=1, max_length=256)]
#: States of operations, as the ecosystem's workflows name them.
OperationState = Literal["pending", "sending", "sent", "started", "response-sent", "rescheduled", "succeeded", "failed"]


class OperationBody(Body):
    """`PATCH /operations/{id}`."""

    state: OperationState | None = None
    result: Any = None
    exception: Any = None
    exception_causes: Any = None
    agent_name: Text | None = None
    manager_name: Text | None = None


class NewOperationBody(Body):
    """`PUT /operations/{id}`."""

    graph_id: OwnId
    name: Text
    type: Annotated[str, AfterValidator(_no_nul), Field(max_length=80)]
    dependencies: list[OwnId] = Field(default_factory=list)
    parameters: Json = Field(default_factory=dict)


class GraphOperation(Body):
    """One operation of a `GraphBody`."""

    id: OwnId
    name: Text
    type: Annotated[str, AfterValidator(_no_nul), Field(max_length=80)]
    dependencies: list[OwnId] = Field(default_factory=list)
    parameters: Json = Field(default_factory=dict)
    state: OperationState = "pending"


class GraphBody(Body):
    """`POST /tasks_graphs/tasks_graphs`."""

    name: Annotated[str, AfterValidator(_no_nul), Field(max_length=256)]
    execution_id: OwnId
    operations: list[GraphOperation] = Field(default_factory=list, max_length=100_000)
    graph_id: OwnId | None = None


class NodesBody(Body):
    """`POST /nodes`: records as plans have them."""

    deployment_id: Text
    nodes: list[Json] = Field(max_length=10_000)


class NewInstancesBody(Body):
    """`POST /node-instances`."""

    deployment_id: Text
    node_instances: list[Json] = Field(max_length=10_000)


class NodeBody(Body):
    """`PATCH /nodes/{deployment}/{node}`: what a node's record may be given anew."""

    type: Text | None = None
    type_hierarchy: list[Text] | None = None
    properties: Json | None = None
    operations: Json | None = None
    relationships: list[Json] | None = None
    plugins: list[Json] | None = None
    plugins_to_install: list[Json] | None = None
    capabilities: Json | None = None


class DeleteExecutionsBody(Body):
    """`DELETE /executions`."""

    keep_last: int | None = Field(default=None, ge=0, le=2**31 - 1)
    to_datetime: Text | None = None


class SearchBody(Body):
    """`POST /searches/…`."""

    filter_rules: list[Json] | None = None
    constraints: Json | None = None


class DecideBody(Body):
    """`POST /outrider/v1/operations/{id}/decide`."""

    decision: Literal["retry", "done", "skip"]
    inputs: Json | None = None
    #: Send also inputs that the plan does not have for the operation.
    allow_new_inputs: bool = False
