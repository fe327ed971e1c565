"""AWS for tests: moto's HTTP server in a process of its own, and a proxy before it that makes calls fail.

The server is the package `moto[server]`, on a free loopback port; it is ended by its own process id. What it lacks is
Cloud Control: `cloud_control_fake` serves the few calls of that API that the plugin makes.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Optional
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.ports import free_port
from tests.support.waiting import wait_until

REGION = "eu-west-1"
CREDENTIALS = {"aws_access_key_id": "AKIATEST", "aws_secret_access_key": "test", "region_name": REGION}


@dataclass(frozen=True)
class Moto:
    """A running server."""

    url: str
    pid: int

    @property
    def client_config(self) -> dict[str, Any]:
        """What a node's `client_config` says to reach it."""
        return {**CREDENTIALS, "endpoint_url": self.url}

    def client(self, service: str) -> Any:
        """Return a boto3 client, to look at what is really there."""
        import boto3  # this module is loaded for every test session, and boto3 takes its time

        return boto3.client(
            service,
            endpoint_url=self.url,
            aws_access_key_id=CREDENTIALS["aws_access_key_id"],
            aws_secret_access_key=CREDENTIALS["aws_secret_access_key"],
            region_name=REGION,
        )

    def reset(self) -> None:
        """Forget everything."""
        _post(f"{self.url}/moto-api/reset")

    def inventory(self) -> list[str]:
        """Return the ids and names of what there is and is not gone, without what every account has."""
        ec2, found = self.client("ec2"), []
        for method, items, identifier in _EC2_KINDS:
            found += [each[identifier] for each in getattr(ec2, method)()[items] if not _everybodys(each)]
        for group in ec2.describe_instances()["Reservations"]:
            found += [each["InstanceId"] for each in group["Instances"] if each["State"]["Name"] != "terminated"]
        found += [each["Name"] for each in self.client("s3").list_buckets()["Buckets"]]
        return sorted(found)

    @contextlib.contextmanager
    def checking_credentials(self) -> Iterator[None]:
        """Refuse credentials that the server does not know, for the time of the block."""
        _post(f"{self.url}/moto-api/reset-auth", b"0")
        try:
            yield
        finally:
            _post(f"{self.url}/moto-api/reset-auth", b"1000000")


@dataclass
class Fault:
    """What happens to the next calls of an action (``CreateVpc``), or of any if it is ``*``."""

    action: str
    #: AWS code of the answer; None to cut the connection.
    code: Optional[str] = None
    status: int = 400
    #: The call reaches the server all the same, and only its answer is lost.
    after: bool = False
    times: int = 1


@dataclass
class FaultyEndpoint:
    """A proxy before the server; calls that `faults` name go wrong."""

    url: str
    faults: list[Fault] = field(default_factory=list)
    #: Actions that reached the server, in order.
    calls: list[str] = field(default_factory=list)

    @property
    def client_config(self) -> dict[str, Any]:
        """What a node's `client_config` says to go through the proxy."""
        return {**CREDENTIALS, "endpoint_url": self.url}

    def take(self, action: str) -> Optional[Fault]:
        """Return the fault that is due for a call, and count it."""
        for fault in self.faults:
            if fault.times > 0 and fault.action in {action, "*"}:
                fault.times -= 1
                return fault
        return None


@pytest.fixture(scope="session")
def moto_process() -> Iterator[Moto]:
    """One server for all tests of the session."""
    with moto_server() as server:
        yield server


@pytest.fixture
def moto(moto_process: Moto) -> Iterator[Moto]:
    """The server, empty."""
    moto_process.reset()
    yield moto_process
    moto_process.reset()


@pytest.fixture
def faulty(moto: Moto) -> Iterator[FaultyEndpoint]:
    """The server behind a proxy that makes calls fail."""
    with faulty_endpoint(moto) as endpoint:
        yield endpoint


@contextlib.contextmanager
def moto_server() -> Iterator[Moto]:
    """Run a server for the time of the block."""
    port = free_port()
    environment = {**os.environ, "AWS_EC2_METADATA_DISABLED": "true"}
    command = [sys.executable, str(Path(__file__).with_name("moto_main.py"))]
    process = subprocess.Popen(
        [*command, "-H", "127.0.0.1", "-p", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    server = Moto(f"http://127.0.0.1:{port}", process.pid)
    try:
        wait_until(lambda: _answers(server, process), 60.0, "moto's server")
        yield server
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def faulty_endpoint(server: Moto) -> Iterator[FaultyEndpoint]:
    """Run the proxy for the time of the block."""
    upstream = urlsplit(server.url)
    endpoint = FaultyEndpoint("")

    class Handler(_Handler):
        def answer(self, body: bytes) -> None:
            action = _action(self.path, dict(self.headers), body)
            fault = endpoint.take(action)
            if fault is not None and not fault.after:
                self._fail(fault)
                return
            endpoint.calls.append(action)
            connection = http.client.HTTPConnection(upstream.hostname or "", upstream.port, timeout=30)
            with contextlib.closing(connection):
                connection.request(self.command, self.path, body, dict(self.headers))
                answer = connection.getresponse()
                content = answer.read()
                if fault is not None:
                    self._fail(fault)
                    return
                kept = {key: value for key, value in answer.getheaders() if key.lower() not in _PER_CONNECTION}
                self.reply(answer.status, content, kept)

        def _fail(self, fault: Fault) -> None:
            if fault.code is None:
                self.cut()
                return
            message = f"<Code>{fault.code}</Code><Message>as the test wants it</Message>"
            text = f"<Response><Errors><Error>{message}</Error></Errors><RequestID>1</RequestID></Response>"
            self.reply(fault.status, text.encode(), {"Content-Type": "text/xml"})

    with _serving(Handler) as url:
        endpoint.url = url
        yield endpoint


@dataclass
class CloudControl:
    """The fake of Cloud Control: what it has, and what was asked for."""

    url: str
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: Client token → request.
    requests: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: How often a request is still in progress before it is done.
    looks: int = 0
    #: ErrorCode with which the next create request ends.
    failure: Optional[str] = None

    @property
    def client_config(self) -> dict[str, Any]:
        """What a node's `client_config` says to reach it."""
        return {**CREDENTIALS, "endpoint_url": self.url}

    def handle(self, action: str, given: dict[str, Any]) -> dict[str, Any]:
        """Answer a call; raises LookupError for a resource that is not there."""
        if action == "CreateResource":
            return {"ProgressEvent": self._request("CREATE", given)}
        if action == "DeleteResource":
            if given["Identifier"] not in self.resources:
                raise LookupError(given["Identifier"])
            return {"ProgressEvent": self._request("DELETE", given)}
        if action == "GetResourceRequestStatus":
            return {"ProgressEvent": self._progress(given["RequestToken"])}
        found = self.resources[given["Identifier"]]
        described = {"Identifier": given["Identifier"], "Properties": json.dumps(found)}
        return {"TypeName": given["TypeName"], "ResourceDescription": described}

    def _request(self, kind: str, given: dict[str, Any]) -> dict[str, Any]:
        event = self.requests.setdefault(
            given["ClientToken"],
            {"RequestToken": uuid.uuid4().hex, "Operation": kind, "OperationStatus": "PENDING", "given": given},
        )
        event.setdefault("looks", self.looks)
        return {key: value for key, value in event.items() if key not in {"given", "looks"}}

    def _progress(self, token: str) -> dict[str, Any]:
        event = next(event for event in self.requests.values() if event["RequestToken"] == token)
        if event["looks"] > 0:
            event["looks"] -= 1
            event["OperationStatus"] = "IN_PROGRESS"
        elif event["OperationStatus"] in {"PENDING", "IN_PROGRESS"}:
            self._finish(event)
        return {key: value for key, value in event.items() if key not in {"given", "looks"}}

    def _finish(self, event: dict[str, Any]) -> None:
        if event["Operation"] == "DELETE":
            self.resources.pop(event["given"]["Identifier"], None)
        elif self.failure:
            event.update({"OperationStatus": "FAILED", "ErrorCode": self.failure, "StatusMessage": "as the test wants"})
            self.failure = None
            return
        else:
            event["Identifier"] = f"made-{len(self.requests)}"
            self.resources[event["Identifier"]] = json.loads(event["given"]["DesiredState"])
        event["OperationStatus"] = "SUCCESS"


@pytest.fixture
def cloud_control() -> Iterator[CloudControl]:
    """A fake of Cloud Control."""
    fake = CloudControl("")

    class Handler(_Handler):
        def answer(self, body: bytes) -> None:
            action = self.headers["X-Amz-Target"].rpartition(".")[2]
            try:
                status, content = 200, fake.handle(action, json.loads(body))
            except LookupError:
                status, content = 400, {"__type": "ResourceNotFoundException", "message": "no such resource"}
            self.reply(status, json.dumps(content).encode(), {"Content-Type": "application/x-amz-json-1.0"})

    with _serving(Handler) as url:
        fake.url = url
        yield fake


#: Describe method, key of its answer, key of the id.
_EC2_KINDS = (
    ("describe_vpcs", "Vpcs", "VpcId"),
    ("describe_subnets", "Subnets", "SubnetId"),
    ("describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    ("describe_nat_gateways", "NatGateways", "NatGatewayId"),
    ("describe_route_tables", "RouteTables", "RouteTableId"),
    ("describe_security_groups", "SecurityGroups", "GroupId"),
    ("describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"),
    ("describe_addresses", "Addresses", "PublicIp"),
    ("describe_volumes", "Volumes", "VolumeId"),
    ("describe_key_pairs", "KeyPairs", "KeyName"),
)


def _everybodys(item: dict[str, Any]) -> bool:
    """Tell whether AWS made it by itself: default networks, and what every VPC or instance has; or it is gone.

    An interface that nobody asked for came with an instance, and ends with it on AWS; moto keeps it.
    """
    if "MacAddress" in item and not item.get("TagSet"):
        return True
    main = any(association.get("Main") for association in item.get("Associations") or [])
    default = item.get("IsDefault") or item.get("DefaultForAz") or item.get("GroupName") == "default"
    return bool(main or default or item.get("State") == "deleted")


_PER_CONNECTION = {"connection", "content-length", "transfer-encoding", "date", "server"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body: bytes) -> None:
        raise NotImplementedError

    def reply(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def cut(self) -> None:
        """End the connection without an answer."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _any(self) -> None:
        self.answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _any

    def log_message(self, *_: Any) -> None:
        """Be quiet."""


@contextlib.contextmanager
def _serving(handler: type[_Handler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    # Kept-alive connections of botocore end with the client, not with the server.
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


def _action(path: str, headers: dict[str, str], body: bytes) -> str:
    """Return the API's name of a call: from the form, from the header, or method-less for S3's paths."""
    target = next((value for key, value in headers.items() if key.lower() == "x-amz-target"), "")
    if target:
        return target.rpartition(".")[2]
    form = parse_qs(body.decode("latin-1"))
    return form["Action"][0] if "Action" in form else path


def _answers(server: Moto, process: subprocess.Popen[bytes]) -> bool:
    if process.poll() is not None:
        pytest.fail(f"moto's server ended with code {process.returncode} at its start")
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{server.url}/moto-api/", timeout=2):
        return True
    return False


def _post(url: str, data: bytes = b"") -> None:
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "text/plain"}, method="POST")
    with urllib.request.urlopen(request, timeout=10):
        pass
