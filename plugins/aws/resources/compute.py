"""Rows: instance, key pair, image, volume and its attachment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from outrider.plugins.aws.errors import POLL_SECONDS, Busy, RequestRefused, ResourceMissing
from outrider.plugins.aws.ownership import is_ours
from outrider.plugins.aws.resources import types
from outrider.plugins.aws.resources.types import described
from outrider.plugins.aws.row import Call, Description, Fill, Link, Read, Row, States, Tagging
from outrider.plugins.sdk import ctx

if TYPE_CHECKING:
    from outrider.plugins.aws.work import Work

#: Runtime property of a key pair, where the blueprint asks for the private key there.
KEY_MATERIAL = "KeyMaterial"


def prepare_instance(work: Work, config: dict[str, Any]) -> dict[str, Any]:
    """Put related interfaces in their places; they bring subnet and security groups with them."""
    if int(config["MaxCount"]) != 1 or int(config["MinCount"]) != 1:
        raise RequestRefused(
            f"{work}: MinCount and MaxCount have to be 1: for more machines, scale the node", code="MaxCount"
        )
    interfaces = [end.instance.runtime_properties.get("aws_resource_id") for end in work.related((types.INTERFACE,))]
    if interfaces and not config.get("NetworkInterfaces"):
        config["NetworkInterfaces"] = [
            {"NetworkInterfaceId": interface, "DeviceIndex": index} for index, interface in enumerate(interfaces)
        ]
    if config.get("NetworkInterfaces"):
        config.pop("SubnetId", None)
        config.pop("SecurityGroupIds", None)
    return config


def note_addresses(work: Work, description: Description) -> None:
    """Note `ip`, by which others reach the machine: the private address, unless the node's properties say else."""
    address = description.get("PrivateIpAddress")
    if work.properties.get("use_ipv6_ip"):
        address = work.noted.get("ipv6_address") or address
    if work.properties.get("use_public_ip"):
        address = description.get("PublicIpAddress") or address
    if address:
        work.noted["ip"] = address


def start_instance(work: Work) -> None:
    """Start a stopped machine; return when it runs."""
    state = _state_of(work)
    if state == "stopped":
        work.call("start_instances", {"InstanceIds": [work.id]})
    if state != "running":
        raise Busy(f"{work} is {state}", retry_after=POLL_SECONDS)


def stop_instance(work: Work) -> None:
    """Stop a running machine; return when it has stopped."""
    state = _state_of(work)
    if state in {"stopped", "terminated", "shutting-down"}:
        return
    if state == "running":
        try:
            work.call("stop_instances", {"InstanceIds": [work.id]})
        except RequestRefused as error:
            if error.code not in {"UnsupportedOperation", "OperationNotPermitted"}:
                raise
            ctx.logger.warning("%s cannot be stopped (%s): it runs until it is deleted", work, error)
            return
    raise Busy(f"{work} is stopping", retry_after=POLL_SECONDS)


def _state_of(work: Work) -> str:
    answer = work.call("describe_instances", {"InstanceIds": [work.id]}, absent=("InvalidInstanceID.NotFound",))
    if not answer or not answer["Reservations"]:
        raise ResourceMissing(f"{work} is gone")
    return str(answer["Reservations"][0]["Instances"][0]["State"]["Name"])


def make_key_pair(work: Work, config: dict[str, Any]) -> Description:
    """Make a key pair, or import its public key where the blueprint gives one."""
    method = "import_key_pair" if config.get("PublicKeyMaterial") else "create_key_pair"
    return work.call(method, config, once=True) or {}


def keep_private_key(work: Work, description: Description) -> None:
    """Note the private key, which AWS shows only once, where the blueprint asks for it."""
    if _wants_private_key(work) and description.get("KeyMaterial"):
        work.noted[KEY_MATERIAL] = description["KeyMaterial"]


def look_for_key_pair(work: Work) -> Optional[Description]:
    """Return the key pair; one whose private key was lost on its way to us is removed, to be made again."""
    name = work.values()["id"]
    if not name:
        return None
    answer = work.call("describe_key_pairs", {"KeyNames": [name]}, absent=("InvalidKeyPair.NotFound",))
    if not answer or not answer["KeyPairs"]:
        return None
    description = dict(answer["KeyPairs"][0])
    lost = _wants_private_key(work) and not work.noted.get(KEY_MATERIAL) and not work.noted.get("aws_resource_id")
    if lost and is_ours(work, description):
        ctx.logger.warning("the private key of %s was lost before it was stored: the key pair is made again", name)
        work.call("delete_key_pair", {"KeyName": name})
        return None
    return description


def _wants_private_key(work: Work) -> bool:
    return bool(work.properties.get("store_in_runtime_properties")) and not work.config.get("PublicKeyMaterial")


def look_for_image(work: Work) -> Optional[Description]:
    """Return the image by its id, by the blueprint's filters (the newest of them), or by our tags."""
    if work.id:
        arguments: dict[str, Any] = {"ImageIds": [work.id]}
    elif work.properties.get("use_external_resource"):
        arguments = {key: value for key, value in work.config.items() if key in {"Filters", "Owners", "ImageIds"}}
        if not arguments:
            raise RequestRefused(
                f"{work}: name the image as resource_id, or by resource_config.kwargs.Filters", code=""
            )
    else:
        filters = [{"Name": "tag:outrider:instance", "Values": [work.instance.id]}]
        arguments = {"Filters": [*filters, {"Name": "tag:outrider:deployment", "Values": [ctx.deployment.id]}]}
    answer = work.call("describe_images", arguments, absent=("InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"))
    images = sorted((answer or {}).get("Images") or [], key=lambda image: str(image.get("CreationDate")))
    return images[-1] if images else None


ROWS = (
    Row(
        type_name=types.INSTANCES,
        noun="instance",
        service="ec2",
        create=Call("run_instances", {"MinCount": 1, "MaxCount": 1}),
        answer="Instances[0]",
        id="InstanceId",
        **described(
            "describe_instances",
            ids="InstanceIds",
            found="Reservations[].Instances[]",
            absent="InvalidInstanceID.NotFound",
        ),
        delete=Call("terminate_instances", {"InstanceIds": ["$id"]}),
        states=States(
            "State.Name",
            ready=("running", "stopping", "stopped"),
            ending=("shutting-down",),
            gone=("terminated",),
        ),
        tagging=Tagging("TagSpecifications", "instance"),
        idempotent_by="ClientToken",
        fills=(
            Fill("ImageId", (types.IMAGE,)),
            Fill("KeyName", (types.KEY_PAIR,)),
            Fill("SubnetId", (types.SUBNET,)),
            Fill("SecurityGroupIds", (types.SECURITY_GROUP,), many=True),
            Fill("IamInstanceProfile", (types.INSTANCE_PROFILE,), shape="{Name: @}"),
        ),
        notes={
            "state": "State.Name",
            "private_ip_address": "PrivateIpAddress",
            "public_ip_address": "PublicIpAddress",
            "private_dns_name": "PrivateDnsName",
            "public_dns_name": "PublicDnsName",
            "ipv6_address": "NetworkInterfaces[0].Ipv6Addresses[0].Ipv6Address",
            "availability_zone": "Placement.AvailabilityZone",
            "vpc_id": "VpcId",
        },
        prepare=prepare_instance,
        observed=note_addresses,
        start=start_instance,
        stop=stop_instance,
        modify=Call("modify_instance_attribute", {"InstanceId": "$id"}),
    ),
    Row(
        type_name=types.KEY_PAIR,
        noun="key pair",
        service="ec2",
        create=Call("create_key_pair"),
        read=None,
        delete=Call("delete_key_pair", {"KeyName": "$id"}),
        named_by="KeyName",
        name_length=255,
        tagging=Tagging("TagSpecifications", "key-pair"),
        make=make_key_pair,
        made=keep_private_key,
        look=look_for_key_pair,
        notes={"key_pair_id": "KeyPairId", "fingerprint": "KeyFingerprint"},
    ),
    Row(
        type_name=types.IMAGE,
        noun="image",
        service="ec2",
        create=Call("create_image"),
        read=None,
        delete=Call("deregister_image", {"ImageId": "$id"}),
        id="ImageId",
        states=States(
            "State",
            ready=("available",),
            broken=("failed", "error", "invalid"),
            gone=("deregistered",),
        ),
        tagging=Tagging("TagSpecifications", "image"),
        fills=(Fill("InstanceId", (types.INSTANCES,)),),
        look=look_for_image,
    ),
    Row(
        type_name=types.VOLUME,
        noun="volume",
        service="ec2",
        create=Call("create_volume"),
        id="VolumeId",
        **described("describe_volumes", ids="VolumeIds", found="Volumes[]", absent="InvalidVolume.NotFound"),
        delete=Call("delete_volume", {"VolumeId": "$id"}),
        states=States(
            "State",
            ready=("available", "in-use"),
            broken=("error",),
            ending=("deleting",),
            gone=("deleted",),
        ),
        tagging=Tagging("TagSpecifications", "volume"),
        idempotent_by="ClientToken",
        fills=(
            Fill("AvailabilityZone", (types.INSTANCES,), take="availability_zone"),
            Fill("AvailabilityZone", (types.SUBNET,), take="availability_zone"),
        ),
        notes={"availability_zone": "AvailabilityZone"},
        links=(
            Link(
                targets=(types.INSTANCES,),
                attach=Call(
                    "attach_volume",
                    {"VolumeId": "$id", "InstanceId": "$target", "Device": "$property.device_name"},
                ),
                detach=Call("detach_volume", {"VolumeId": "$id", "InstanceId": "$target"}),
                ties="Attachments[?State!='detached'].{target: InstanceId}",
                at="relationship",
            ),
        ),
    ),
    Row(
        type_name=f"{types.EC2}EBSAttachment",
        noun="volume attachment",
        service="ec2",
        create=Call("attach_volume"),
        id="VolumeId",
        read=Read(
            Call("describe_volumes", {"VolumeIds": ["$config.VolumeId"]}),
            "Volumes[].Attachments[?InstanceId=='$config.InstanceId'][]",
            absent=("InvalidVolume.NotFound", "InvalidAttachment.NotFound"),
        ),
        delete=Call("detach_volume", {"VolumeId": "$config.VolumeId", "InstanceId": "$config.InstanceId"}),
        states=States("State", ready=("attached", "busy"), ending=("detaching",), gone=("detached",)),
        fills=(Fill("VolumeId", (types.VOLUME,)), Fill("InstanceId", (types.INSTANCES,))),
    ),
)
