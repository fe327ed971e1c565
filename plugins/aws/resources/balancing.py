"""Rows: load balancer (application, network, gateway), target group, listener, listener rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from outrider.plugins.aws.arguments import of_blueprint
from outrider.plugins.aws.resources import types
from outrider.plugins.aws.row import Call, Fill, Link, Read, Row, States, Tagging

if TYPE_CHECKING:
    from outrider.plugins.aws.work import Work

SERVICE = "elbv2"
TAGS = Tagging("Tags")


def without_attributes(_work: Work, config: dict[str, Any]) -> dict[str, Any]:
    """The blueprint's `Attributes` are set by start; the create call does not take them."""
    config.pop("Attributes", None)
    # The ecosystem's data type calls a target group's port a string.
    if isinstance(config.get("Port"), str):
        config["Port"] = int(config["Port"])
    return config


def set_load_balancer_attributes(work: Work) -> None:
    """Set the blueprint's `Attributes`."""
    _set_attributes(work, "modify_load_balancer_attributes", "LoadBalancerArn")


def set_target_group_attributes(work: Work) -> None:
    """Set the blueprint's `Attributes`."""
    _set_attributes(work, "modify_target_group_attributes", "TargetGroupArn")


def _set_attributes(work: Work, method: str, arn: str) -> None:
    attributes = of_blueprint(work).get("Attributes")
    if attributes:
        work.call(method, {arn: work.noted["aws_resource_arn"], "Attributes": attributes})


ROWS = (
    Row(
        type_name=types.LOAD_BALANCER,
        noun="load balancer",
        service=SERVICE,
        create=Call("create_load_balancer"),
        answer="LoadBalancers[0]",
        named_by="Name",
        name_length=32,
        arn="LoadBalancerArn",
        read=Read(
            Call("describe_load_balancers", {"Names": ["$id"]}), "LoadBalancers[]", absent=("LoadBalancerNotFound",)
        ),
        delete=Call("delete_load_balancer", {"LoadBalancerArn": "$arn"}),
        states=States("State.Code", ready=("active", "active_impaired"), broken=("failed",)),
        tagging=TAGS,
        fills=(
            Fill("Subnets", (types.SUBNET,), many=True),
            Fill("SecurityGroups", (types.SECURITY_GROUP,), many=True),
        ),
        notes={"dns_name": "DNSName", "hosted_zone_id": "CanonicalHostedZoneId", "vpc_id": "VpcId"},
        prepare=without_attributes,
        start=set_load_balancer_attributes,
    ),
    Row(
        type_name=types.TARGET_GROUP,
        noun="target group",
        service=SERVICE,
        create=Call("create_target_group"),
        answer="TargetGroups[0]",
        named_by="Name",
        name_length=32,
        arn="TargetGroupArn",
        read=Read(
            Call("describe_target_groups", {"Names": ["$id"]}), "TargetGroups[]", absent=("TargetGroupNotFound",)
        ),
        delete=Call("delete_target_group", {"TargetGroupArn": "$arn"}),
        tagging=TAGS,
        fills=(Fill("VpcId", (types.VPC,)), Fill("VpcId", (types.SUBNET, types.INSTANCES), take="vpc_id")),
        prepare=without_attributes,
        start=set_target_group_attributes,
        links=(
            Link(
                targets=(types.INSTANCES,),
                attach=Call("register_targets", {"TargetGroupArn": "$arn", "Targets": [{"Id": "$target"}]}),
                detach=Call("deregister_targets", {"TargetGroupArn": "$arn", "Targets": [{"Id": "$target"}]}),
                listing=Call("describe_target_health", {"TargetGroupArn": "$arn"}),
                ties="TargetHealthDescriptions[?TargetHealth.State!='draining'].{target: Target.Id}",
            ),
        ),
    ),
    Row(
        type_name=types.LISTENER,
        noun="listener",
        service=SERVICE,
        create=Call("create_listener"),
        answer="Listeners[0]",
        id="ListenerArn",
        arn="ListenerArn",
        read=Read(Call("describe_listeners", {"ListenerArns": ["$id"]}), "Listeners[]", absent=("ListenerNotFound",)),
        search=Read(
            Call("describe_listeners", {"LoadBalancerArn": "$config.LoadBalancerArn"}),
            "Listeners[?Port==`$config.Port`]",
            absent=("LoadBalancerNotFound",),
        ),
        delete=Call("delete_listener", {"ListenerArn": "$id"}),
        tagging=TAGS,
        fills=(
            Fill("LoadBalancerArn", (types.LOAD_BALANCER,), take="aws_resource_arn"),
            Fill(
                "DefaultActions",
                (types.TARGET_GROUP,),
                take="aws_resource_arn",
                many=True,
                shape="{Type: 'forward', TargetGroupArn: @}",
            ),
        ),
        prepare=without_attributes,
    ),
    Row(
        type_name=f"{types.ELB}Rule",
        noun="listener rule",
        service=SERVICE,
        create=Call("create_rule"),
        answer="Rules[0]",
        id="RuleArn",
        arn="RuleArn",
        read=Read(Call("describe_rules", {"RuleArns": ["$id"]}), "Rules[]", absent=("RuleNotFound",)),
        search=Read(
            Call("describe_rules", {"ListenerArn": "$config.ListenerArn"}),
            "Rules[?Priority=='$config.Priority']",
            absent=("ListenerNotFound",),
        ),
        delete=Call("delete_rule", {"RuleArn": "$id"}),
        tagging=TAGS,
        fills=(Fill("ListenerArn", (types.LISTENER,), take="aws_resource_arn"),),
    ),
)
