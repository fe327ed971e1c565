"""Uploads and downloads: what clients send, and what attackers send; nothing is ever left behind."""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outrider.manager_stub import Manager
from tests.support.managers import PASSWORD, Running, manager_here
from tests.support.wagons import WagonMaker, tar_bytes, zip_bytes
from tests.support.waiting import wait_until

MAIN = b"tosca_definitions_version: cloudify_dsl_1_3\nimports: [cloudify/types/types.yaml]\n"
LIMIT = 4_000_000


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Running, Manager]]:
    with manager_here(tmp_path, largest_plugin_bytes=LIMIT, largest_blueprint_bytes=LIMIT) as found:
        yield found
        folder = found[1].settings.work
        wait_until(lambda: not folder.exists() or not list(folder.iterdir()), 10, f"{folder} to be empty")


def wagon(tmp_path: Path, name: str = "demo", **fields: Any) -> bytes:
    return WagonMaker(name=name, **fields).write(tmp_path).read_bytes()


def link_archive(name: str, target: str) -> bytes:
    """An archive whose one member is a link to a file of the machine."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = tarfile.SYMTYPE, target
        archive.addfile(info)
    return stream.getvalue()


def put_blueprint(running: Running, archive: bytes, blueprint_id: str = "bp", **params: Any) -> Any:
    files = {
        "params": (None, json.dumps({"application_file_name": "blueprint.yaml", **params})),
        "blueprint_archive": ("filename", archive, "text/plain"),
    }
    return running.call("PUT", f"/blueprints/{blueprint_id}", files=files)


def test_a_zip_of_wagon_and_yaml_is_taken_in_and_the_bare_wagon_comes_back(
    served: tuple[Running, Manager], tmp_path: Path
) -> None:
    running, _manager = served
    content = wagon(tmp_path)
    body = zip_bytes({"demo-1.0.wgn": content, "plugin.yaml": b"plugins: {}\n"})
    chunks = iter([body[:100], body[100:]])  # an iterator is sent chunked, as the ecosystem's client does
    headers = {"Content-Type": "application/json"}
    answer = running.call("POST", "/plugins?visibility=tenant", data=chunks, headers=headers)
    assert answer.status_code == 201, answer.text
    record = answer.json()
    assert (record["package_name"], record["yaml_files_paths"]) == ("demo", ["plugin.yaml"])
    assert record["installation_state"] == []
    download = running.call("GET", f"/plugins/{record['id']}/archive")
    assert download.content == content
    assert download.headers["Content-Length"] == str(len(content))
    assert "filename=" in download.headers["Content-Disposition"]
    part = running.call("GET", f"/plugins/{record['id']}/archive", headers={"Range": "bytes=0-9"})
    assert (part.status_code, part.content) == (206, content[:10])
    whole = running.call("GET", f"/plugins/{record['id']}/archive?full_archive=true")
    assert whole.content[:2] == b"PK"
    assert running.call("GET", f"/plugins/{record['id']}/yaml").text == "plugins: {}\n"
    again = running.call("POST", "/plugins", data=body)
    assert (again.status_code, again.json()["error_code"]) == (409, "conflict_error")


@pytest.mark.parametrize("tar", [False, True])
def test_a_bare_wagon_is_taken_in(served: tuple[Running, Manager], tmp_path: Path, *, tar: bool) -> None:
    content = WagonMaker().write(tmp_path, tar=tar).read_bytes()
    answer = served[0].call("POST", "/plugins", data=content)
    assert answer.status_code == 201, answer.text
    assert answer.json()["archive_name"].endswith(".wgn")


HOSTILE_PLUGINS = {
    "empty": b"",
    "not an archive": b"this is no archive",
    "a damaged zip": zip_bytes({"a/package.json": b"{}"})[:-10],
    "a traversal": zip_bytes({"../../etc/evil.wgn": b"x"}),
    "an absolute path": zip_bytes({"/etc/evil.wgn": b"x"}),
    "a wagon that is none": zip_bytes({"demo.wgn": b"no wagon", "plugin.yaml": b""}),
    "a zip without a wagon": zip_bytes({"readme.txt": b"hello"}),
    "a link": link_archive("demo.wgn", "/etc/passwd"),
    "a bomb": zip_bytes({"demo.wgn": b"\0" * 200_000_000}),
    "wrong metadata": zip_bytes({"demo/package.json": b"[1, 2"}),
    "too large": b"x" * (LIMIT + 1),
}


@pytest.mark.parametrize("body", HOSTILE_PLUGINS.values(), ids=HOSTILE_PLUGINS)
def test_a_hostile_plugin_is_refused_with_a_reason(served: tuple[Running, Manager], body: bytes) -> None:
    answer = served[0].call("POST", "/plugins", data=body)
    assert 400 <= answer.status_code < 500, answer.text
    assert len(answer.json()["message"]) > 20
    assert served[0].call("GET", "/plugins").json()["items"] == []


def test_a_body_that_lies_about_its_length_ends_at_the_limit(served: tuple[Running, Manager]) -> None:
    endless = (b"x" * 65536 for _ in range(LIMIT // 65536 + 10))
    answer = served[0].call("POST", "/plugins", data=endless)
    assert answer.status_code == 413


#: How much of an upload arrives before its sender is gone, or before its archive ends.
CUTS = (0.0, 0.02, 0.3, 0.6, 0.9, 0.999)


def broken_off(running: Running, method: str, path: str, body: bytes, content_type: str) -> None:
    """Announce a body, send nearly all of it, and hang up."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
    connection.putrequest(method, f"/api/v3.1{path}")
    connection.putheader("Authorization", "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode())
    connection.putheader("Content-Type", content_type)
    connection.putheader("Content-Length", str(len(body) + 1))
    connection.endheaders()
    connection.send(body)
    connection.close()


@pytest.mark.parametrize("cut", CUTS)
def test_an_upload_that_breaks_off_leaves_nothing(served: tuple[Running, Manager], tmp_path: Path, cut: float) -> None:
    running, _manager = served
    body = zip_bytes({"demo-1.0.wgn": wagon(tmp_path), "plugin.yaml": b"plugins: {}\n"})
    broken_off(running, "POST", "/plugins", body[: int(len(body) * cut)], "application/json")
    boundary = "frontier"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="blueprint_archive"; filename="f"\r\n\r\n'
    form = head.encode() + tar_bytes({"app/blueprint.yaml": MAIN}) + f"\r\n--{boundary}--\r\n".encode()
    broken_off(
        running, "PUT", "/blueprints/bp", form[: int(len(form) * cut)], f"multipart/form-data; boundary={boundary}"
    )
    assert running.call("GET", "/plugins").json()["items"] == []
    assert running.call("GET", "/blueprints").json()["items"] == []


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("tar", [False, True])
def test_an_archive_that_ends_too_early_is_refused_with_a_reason(
    served: tuple[Running, Manager], tmp_path: Path, cut: float, *, tar: bool
) -> None:
    running, _manager = served
    whole = WagonMaker().write(tmp_path, tar=tar).read_bytes()
    plugin = running.call("POST", "/plugins", data=whole[: int(len(whole) * cut)])
    assert 400 <= plugin.status_code < 500, plugin.text
    assert len(plugin.json()["message"]) > 20
    archive = tar_bytes({"app/blueprint.yaml": MAIN, "app/big": os.urandom(5000)})
    blueprint = put_blueprint(running, archive[: int(len(archive) * cut)])
    assert 400 <= blueprint.status_code < 500, blueprint.text
    assert running.call("GET", "/plugins").json()["items"] == []
    assert running.call("GET", "/blueprints").json()["items"] == []


def test_a_blueprint_is_read_while_it_is_uploaded(served: tuple[Running, Manager]) -> None:
    running, _manager = served
    archive = tar_bytes(
        {"app/blueprint.yaml": MAIN + b"node_templates: {a: {type: cloudify.nodes.Root}}\n", "app/x": b"y"}
    )
    answer = put_blueprint(running, archive, async_upload=True, labels=[{"env": "prod"}])
    assert answer.status_code == 201, answer.text
    record = running.call("GET", "/blueprints/bp").json()
    assert record["state"] == "uploaded"
    assert [each["id"] for each in record["plan"]["nodes"]] == ["a"]
    assert record["labels"][0]["value"] == "prod"
    upload = running.call("GET", f"/executions/{record['upload_execution']['id']}").json()
    assert upload["status"] == "terminated"
    assert running.call("GET", "/blueprints/bp/archive").content == archive
    assert running.call("GET", "/resources/blueprints/default_tenant/bp/x").content == b"y"
    assert running.call("GET", "/resources/blueprints/default_tenant/bp/none").status_code == 404
    assert running.call("GET", "/executions").json()["items"] == []
    assert put_blueprint(running, archive).status_code == 409
    made = running.call("PUT", "/deployments/d", json={"blueprint_id": "bp", "inputs": {}})
    assert made.status_code == 201, made.text
    refused = running.call("DELETE", "/blueprints/bp?force=False")
    assert (refused.status_code, refused.json()["error_code"]) == (400, "dependent_exists_error")
    unknown = running.call("PUT", "/deployments/e", json={"blueprint_id": "bp", "inputs": {"no": 1}})
    assert unknown.json()["error_code"] == "unknown_deployment_input_error"
    assert running.call("DELETE", "/deployments/d").status_code == 204
    assert running.call("DELETE", "/blueprints/bp").status_code == 204


def test_an_archive_of_everything_in_a_folder_is_taken_in(served: tuple[Running, Manager]) -> None:
    """What ``tar -C FOLDER -c .`` makes: the folder is called ``.``, and its files ``./name``."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        folder = tarfile.TarInfo(".")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        content = MAIN + b"node_templates: {a: {type: cloudify.nodes.Root}}\n"
        info = tarfile.TarInfo("./blueprint.yaml")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    assert put_blueprint(served[0], stream.getvalue()).status_code == 201


HOSTILE_BLUEPRINTS = {
    "empty": b"",
    "not an archive": b"no archive",
    "a link": link_archive("app/blueprint.yaml", "/etc/passwd"),
    "a traversal": tar_bytes({"../evil": b"x"}),
    "a bomb": tar_bytes({"app/blueprint.yaml": b"\0" * 40_000_000}),
    "no main file": tar_bytes({"app/other.yaml": MAIN}),
    "not YAML": tar_bytes({"app/blueprint.yaml": b"{{{"}),
    "an import from outside": tar_bytes(
        {"app/blueprint.yaml": MAIN.replace(b"cloudify/types/types.yaml", b"/etc/passwd")}
    ),
}


@pytest.mark.parametrize("body", HOSTILE_BLUEPRINTS.values(), ids=HOSTILE_BLUEPRINTS)
def test_a_hostile_blueprint_is_refused_with_a_reason(served: tuple[Running, Manager], body: bytes) -> None:
    answer = put_blueprint(served[0], body)
    assert 400 <= answer.status_code < 500, answer.text
    assert len(answer.json()["message"]) > 20
    assert "uploads/" not in answer.json()["message"]
    assert served[0].call("GET", "/blueprints").json()["items"] == []


def test_for_clients_that_wait_a_blueprint_with_mistakes_is_kept_as_invalid(served: tuple[Running, Manager]) -> None:
    answer = put_blueprint(served[0], tar_bytes({"app/blueprint.yaml": b"{{{"}), async_upload=True)
    assert answer.status_code == 201
    record = served[0].call("GET", "/blueprints/bp").json()
    assert record["state"] == "invalid"
    assert record["error"]
    good = tar_bytes({"app/blueprint.yaml": MAIN + b"node_templates: {a: {type: cloudify.nodes.Root}}\n"})
    assert put_blueprint(served[0], good, async_upload=True).status_code == 201, "a failed upload may be repeated"
    assert served[0].call("GET", "/blueprints/bp").json()["state"] == "uploaded"
