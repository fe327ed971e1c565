"""An existing plugin, unmodified, goes the whole way: `cloudify-aws-plugin` 3.1.7 as the package index has it.

Its wagon is built by our tooling; an agent installs it beside the compatible facade, and its operations make, attach,
detach and remove real resources on moto's HTTP endpoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outrider.cli.home import Home
from outrider.cli.local import Local, opened
from outrider.cli.settings import CommandSettings, ConnectionSettings
from outrider.dispatcher.blueprint import Settings as BlueprintSettings
from outrider.dispatcher.files import ContentStore
from outrider.dispatcher.plugin_uploads import register
from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.store import attempts
from outrider.dispatcher.store.executions import Execution, Status
from outrider.manager_stub.catalogue import TenantPlugins
from tests.support.aws import CREDENTIALS, Moto
from tests.support.aws_plugin_wagon import BLUEPRINT, PLUGIN_YAML, aws_plugin_wagon

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGS2rWv1rfKgE0XlNLYc1nWYvYtVXFqJQyqRrQ2UvYpM unmodified"
#: A loaded machine starts this plugin's import and its children slowly.
WORKFLOW_SECONDS = 400.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def wagon() -> Path:
    return aws_plugin_wagon()


@pytest.fixture
def local(tmp_path: Path, wagon: Path, moto: Moto, monkeypatch: pytest.MonkeyPatch) -> Iterator[Local]:
    """Dispatcher and agent in this process; boto3 is told by variable where the endpoint is: the plugin drops it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto.url)
    home = Home(tmp_path / "home")
    engine = EngineSettings(max_retries=20, retry_interval_seconds=1.0)
    with opened(CommandSettings(home, ConnectionSettings(), engine, {})) as running:
        yamls = {"plugin.yaml": PLUGIN_YAML.read_text(encoding="utf-8")}
        register(running.dispatcher.database, ContentStore(home.files), wagon, yamls=yamls)
        yield running


def run(local: Local, workflow: str) -> list[str]:
    """Run a workflow to its end; return what failed on the way, though a retry mended it."""
    ended: Execution = local.dispatcher.run(workflow, "site", timeout_seconds=WORKFLOW_SECONDS)
    assert ended.status is Status.TERMINATED, ended.error
    with local.dispatcher.database.read() as connection:
        made = attempts.of_execution(connection, ended.id)
    return [str(each.result) for each in made if each.verdict is not None and each.verdict.value == "failed"]


def test_what_the_unmodified_plugin_makes_comes_and_goes(local: Local, moto: Moto) -> None:
    ec2 = moto.client("ec2")
    dispatcher = local.dispatcher
    catalogue = TenantPlugins(dispatcher.database, dispatcher.tenant)
    dispatcher.create_blueprint("site", BLUEPRINT, settings=BlueprintSettings(plugins=catalogue))
    image = ec2.describe_images()["Images"][0]["ImageId"]
    inputs = {"client_config": CREDENTIALS, "image": image, "public_key": PUBLIC_KEY}
    dispatcher.create_deployment("site", "site", inputs=inputs)

    assert run(local, "install") == []
    _check(ec2, dispatcher.outputs("site"))
    assert "outrider-unmodified" in moto.inventory()

    assert run(local, "uninstall") == []
    assert moto.inventory() == []


def _check(ec2: Any, made: dict[str, str]) -> None:
    """Everything is there, and belongs together."""
    gateway = ec2.describe_internet_gateways(InternetGatewayIds=[made["gateway"]])["InternetGateways"][0]
    assert gateway["Attachments"][0]["VpcId"] == made["vpc"]
    table = ec2.describe_route_tables(RouteTableIds=[made["table"]])["RouteTables"][0]
    assert [each["SubnetId"] for each in table["Associations"]] == [made["subnet"]]
    assert made["gateway"] in {each.get("GatewayId") for each in table["Routes"]}
    group = ec2.describe_security_groups(GroupIds=[made["group"]])["SecurityGroups"][0]
    assert {each["FromPort"] for each in group["IpPermissions"]} == {22, 443}
    machine = ec2.describe_instances(InstanceIds=[made["vm"]])["Reservations"][0]["Instances"][0]
    assert machine["State"]["Name"] == "running"
    assert (machine["SubnetId"], machine["KeyName"]) == (made["subnet"], "unmodified")
    assert [each["GroupId"] for each in machine["SecurityGroups"]] == [made["group"]]
    volume = ec2.describe_volumes(VolumeIds=[made["volume"]])["Volumes"][0]
    assert [each["Device"] for each in volume["Attachments"]] == ["/dev/sdh"]
    addresses = ec2.describe_addresses()["Addresses"]
    assert [each["PublicIp"] for each in addresses] == [made["address"]]
