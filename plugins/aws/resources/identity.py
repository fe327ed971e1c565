"""Rows: IAM role, policy, inline policy of a role, instance profile."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Optional

from outrider.plugins.aws.resources import types
from outrider.plugins.aws.row import Call, Description, Fill, Link, Read, Row, Tagging

if TYPE_CHECKING:
    from outrider.plugins.aws.work import Work

SERVICE = "iam"
ABSENT = ("NoSuchEntity",)
TAGS = Tagging("Tags")
#: Arguments that IAM takes as JSON texts; blueprints write them as they are.
_DOCUMENTS = ("AssumeRolePolicyDocument", "PolicyDocument")


def documents_as_text(_work: Work, config: dict[str, Any]) -> dict[str, Any]:
    """Write policy documents as IAM takes them."""
    texts = {key: config[key] for key in _DOCUMENTS if config.get(key) is not None}
    return {
        **config,
        **{key: value if isinstance(value, str) else json.dumps(value, default=str) for key, value in texts.items()},
    }


def attach_given_policies(work: Work) -> None:
    """Attach the managed policies of the property `policy_arns`; one that is attached stays."""
    for arn in _given_policies(work):
        work.call("attach_role_policy", {"RoleName": work.id, "PolicyArn": arn})


def detach_given_policies(work: Work) -> None:
    """Detach them again."""
    for arn in _given_policies(work):
        work.call("detach_role_policy", {"RoleName": work.id, "PolicyArn": arn}, absent=ABSENT)


def _given_policies(work: Work) -> list[str]:
    given = work.properties.get("policy_arns") or []
    return [each["PolicyArn"] if isinstance(each, dict) else str(each) for each in given]


def look_for_policy(work: Work) -> Optional[Description]:
    """Return the policy by its ARN, else by its name among the account's own."""
    arn = work.noted.get("aws_resource_arn")
    name = work.id or work.config.get("PolicyName")
    if not arn and str(name).startswith("arn:"):
        arn = name
    if arn:
        answer = work.call("get_policy", {"PolicyArn": arn}, absent=ABSENT)
        return dict(answer["Policy"]) if answer else None
    policies = (work.call("list_policies", {"Scope": "Local"}) or {}).get("Policies") or [] if name else []
    return next((dict(policy) for policy in policies if policy["PolicyName"] == name), None)


ROWS = (
    Row(
        type_name=types.ROLE,
        noun="role",
        service=SERVICE,
        create=Call("create_role"),
        answer="Role",
        named_by="RoleName",
        name_length=64,
        arn="Arn",
        read=Read(Call("get_role", {"RoleName": "$id"}), "Role", absent=ABSENT),
        delete=Call("delete_role", {"RoleName": "$id"}),
        tagging=TAGS,
        prepare=documents_as_text,
        start=attach_given_policies,
        stop=detach_given_policies,
        links=(
            Link(
                targets=(types.POLICY,),
                take="aws_resource_arn",
                attach=Call("attach_role_policy", {"RoleName": "$id", "PolicyArn": "$target"}),
                detach=Call("detach_role_policy", {"RoleName": "$id", "PolicyArn": "$target"}),
                listing=Call("list_attached_role_policies", {"RoleName": "$id"}),
                ties="AttachedPolicies[].{target: PolicyArn}",
                at="relationship",
            ),
        ),
        drift={"AssumeRolePolicyDocument": ""},
    ),
    Row(
        type_name=types.POLICY,
        noun="policy",
        service=SERVICE,
        create=Call("create_policy"),
        answer="Policy",
        named_by="PolicyName",
        name_length=128,
        arn="Arn",
        read=None,
        delete=Call("delete_policy", {"PolicyArn": "$arn"}),
        tagging=TAGS,
        prepare=documents_as_text,
        look=look_for_policy,
    ),
    Row(
        type_name=f"{types.IAM}RolePolicy",
        noun="inline policy",
        service=SERVICE,
        create=Call("put_role_policy"),
        named_by="PolicyName",
        name_length=128,
        read=Read(
            Call("get_role_policy", {"RoleName": "$config.RoleName", "PolicyName": "$config.PolicyName"}),
            "@",
            absent=ABSENT,
        ),
        delete=Call("delete_role_policy", {"RoleName": "$config.RoleName", "PolicyName": "$config.PolicyName"}),
        replaces=True,
        fills=(Fill("RoleName", (types.ROLE,)),),
        prepare=documents_as_text,
        drift={"PolicyDocument": ""},
    ),
    Row(
        type_name=types.INSTANCE_PROFILE,
        noun="instance profile",
        service=SERVICE,
        create=Call("create_instance_profile"),
        answer="InstanceProfile",
        named_by="InstanceProfileName",
        name_length=128,
        arn="Arn",
        read=Read(Call("get_instance_profile", {"InstanceProfileName": "$id"}), "InstanceProfile", absent=ABSENT),
        delete=Call("delete_instance_profile", {"InstanceProfileName": "$id"}),
        tagging=TAGS,
        links=(
            Link(
                targets=(types.ROLE,),
                attach=Call("add_role_to_instance_profile", {"InstanceProfileName": "$id", "RoleName": "$target"}),
                detach=Call("remove_role_from_instance_profile", {"InstanceProfileName": "$id", "RoleName": "$target"}),
                ties="Roles[].{target: RoleName}",
                at="create",
            ),
        ),
    ),
)
