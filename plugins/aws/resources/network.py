"""Rows: VPC, subnet, internet gateway, NAT gateway, route table, route."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from outrider.plugins.aws.resources import types
from outrider.plugins.aws.resources.types import described
from outrider.plugins.aws.row import Call, Description, Fill, Link, Row, States, Tagging

if TYPE_CHECKING:
    from outrider.plugins.aws.work import Work

#: By which a route is known within its table.
_DESTINATIONS = ("DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId")

IN_VPC = (Fill("VpcId", (types.VPC,)), Fill("VpcId", (types.SUBNET,), take="vpc_id"))


def look_for_route(work: Work) -> Optional[Description]:
    """Return the route to the node's destination in its table."""
    table, destination = work.config.get("RouteTableId"), destination_of(work.config)
    if not table or not destination:
        return None
    answer = work.call("describe_route_tables", {"RouteTableIds": [table]}, absent=("InvalidRouteTableID.NotFound",))
    for route in (answer or {"RouteTables": [{"Routes": []}]})["RouteTables"][0]["Routes"]:
        if destination_of(route) == destination:
            return {**route, "RouteTableId": table, "RouteId": f"{table}_{destination}"}
    return None


def remove_route(work: Work) -> None:
    """Delete the route by its destination."""
    destination = {key: work.config[key] for key in _DESTINATIONS if work.config.get(key)}
    work.call("delete_route", {"RouteTableId": work.config["RouteTableId"], **destination})


def destination_of(route: dict[str, Any]) -> Optional[str]:
    """Return a route's destination, of whichever kind."""
    return next((str(route[key]) for key in _DESTINATIONS if route.get(key)), None)


def prepare_nat_gateway(_work: Work, config: dict[str, Any]) -> dict[str, Any]:
    """A private gateway takes no elastic IP, even if it is related to one."""
    if config.get("ConnectivityType") == "private":
        config.pop("AllocationId", None)
    return config


ROWS = (
    Row(
        type_name=types.VPC,
        noun="VPC",
        service="ec2",
        create=Call("create_vpc"),
        answer="Vpc",
        id="VpcId",
        **described("describe_vpcs", ids="VpcIds", found="Vpcs[]", absent="InvalidVpcID.NotFound"),
        delete=Call("delete_vpc", {"VpcId": "$id"}),
        states=States("State", ready=("available",)),
        tagging=Tagging("TagSpecifications", "vpc"),
        notes={"vpc_id": "VpcId"},
        modify=Call("modify_vpc_attribute", {"VpcId": "$id"}),
    ),
    Row(
        type_name=types.SUBNET,
        noun="subnet",
        service="ec2",
        create=Call("create_subnet"),
        answer="Subnet",
        id="SubnetId",
        arn="SubnetArn",
        **described("describe_subnets", ids="SubnetIds", found="Subnets[]", absent="InvalidSubnetID.NotFound"),
        delete=Call("delete_subnet", {"SubnetId": "$id"}),
        states=States("State", ready=("available",)),
        tagging=Tagging("TagSpecifications", "subnet"),
        fills=(Fill("VpcId", (types.VPC,)),),
        notes={"vpc_id": "VpcId", "availability_zone": "AvailabilityZone"},
        modify=Call("modify_subnet_attribute", {"SubnetId": "$id"}),
    ),
    Row(
        type_name=types.INTERNET_GATEWAY,
        noun="internet gateway",
        service="ec2",
        create=Call("create_internet_gateway"),
        answer="InternetGateway",
        id="InternetGatewayId",
        **described(
            "describe_internet_gateways",
            ids="InternetGatewayIds",
            found="InternetGateways[]",
            absent="InvalidInternetGatewayID.NotFound",
        ),
        delete=Call("delete_internet_gateway", {"InternetGatewayId": "$id"}),
        tagging=Tagging("TagSpecifications", "internet-gateway"),
        links=(
            Link(
                targets=(types.VPC,),
                attach=Call("attach_internet_gateway", {"InternetGatewayId": "$id", "VpcId": "$target"}),
                detach=Call("detach_internet_gateway", {"InternetGatewayId": "$id", "VpcId": "$target"}),
                ties="Attachments[?State!='detached'].{target: VpcId}",
            ),
        ),
    ),
    Row(
        type_name=types.NAT_GATEWAY,
        noun="NAT gateway",
        service="ec2",
        create=Call("create_nat_gateway"),
        answer="NatGateway",
        id="NatGatewayId",
        **described(
            "describe_nat_gateways",
            ids="NatGatewayIds",
            found="NatGateways[]",
            absent="NatGatewayNotFound",
            filters="Filter",
        ),
        delete=Call("delete_nat_gateway", {"NatGatewayId": "$id"}),
        states=States("State", ready=("available",), broken=("failed",), ending=("deleting",), gone=("deleted",)),
        tagging=Tagging("TagSpecifications", "natgateway"),
        idempotent_by="ClientToken",
        fills=(
            Fill("SubnetId", (types.SUBNET,)),
            Fill("AllocationId", (types.ELASTIC_IP,), take="allocation_id"),
        ),
        notes={
            "public_ip_address": "NatGatewayAddresses[0].PublicIp",
            "private_ip_address": "NatGatewayAddresses[0].PrivateIp",
        },
        prepare=prepare_nat_gateway,
    ),
    Row(
        type_name=types.ROUTE_TABLE,
        noun="route table",
        service="ec2",
        create=Call("create_route_table"),
        answer="RouteTable",
        id="RouteTableId",
        **described(
            "describe_route_tables",
            ids="RouteTableIds",
            found="RouteTables[]",
            absent="InvalidRouteTableID.NotFound",
        ),
        delete=Call("delete_route_table", {"RouteTableId": "$id"}),
        tagging=Tagging("TagSpecifications", "route-table"),
        idempotent_by="ClientToken",
        fills=IN_VPC,
        links=(
            Link(
                targets=(types.SUBNET,),
                attach=Call("associate_route_table", {"RouteTableId": "$id", "SubnetId": "$target"}),
                detach=Call("disassociate_route_table", {"AssociationId": "$handle"}),
                ties="Associations[?SubnetId].{target: SubnetId, handle: RouteTableAssociationId}",
            ),
        ),
    ),
    Row(
        type_name=f"{types.EC2}Route",
        noun="route",
        service="ec2",
        create=Call("create_route"),
        read=None,
        delete=None,
        id="RouteId",
        fills=(
            Fill("RouteTableId", (types.ROUTE_TABLE,)),
            Fill("GatewayId", (types.INTERNET_GATEWAY,)),
            Fill("NatGatewayId", (types.NAT_GATEWAY,)),
            Fill("NetworkInterfaceId", (types.INTERFACE,)),
            Fill("InstanceId", (types.INSTANCES,)),
        ),
        look=look_for_route,
        remove=remove_route,
    ),
)
