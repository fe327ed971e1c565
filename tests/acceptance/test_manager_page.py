"""The page in headless Chromium: a login, an install that is watched, a failure that is resumed, a cancel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.browser import Page, browser
from tests.support.managers import Running, manager_process
from tests.support.wagons import tar_bytes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

BLUEPRINT = b"""
tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml]
inputs:
  flag: {default: /}
  pause: {default: 0}
node_templates:
  database:
    type: cloudify.nodes.Root
  web:
    type: cloudify.nodes.Root
    interfaces:
      cloudify.interfaces.lifecycle:
        create:
          implementation: create.sh
          max_retries: 0
          inputs: {flag: {get_input: flag}, pause: {get_input: pause}}
    relationships:
      - {type: cloudify.relationships.depends_on, target: database}
outputs:
  greeting: {value: {get_attribute: [web, greeting]}}
"""
SCRIPT = b"""#!/bin/bash
ctx logger info "<b>looking for $flag</b>"
test -e "$flag" || { echo "$flag is missing" >&2; exit 3; }
sleep "$pause"
ctx instance runtime-properties greeting "hello from the web"
"""


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with manager_process(tmp_path_factory.mktemp("manager") / "home") as running:
        archive = tar_bytes({"app/blueprint.yaml": BLUEPRINT, "app/create.sh": SCRIPT})
        files = {"params": (None, "{}"), "blueprint_archive": ("filename", archive)}
        answer = running.call("PUT", "/blueprints/app", files=files)
        assert answer.status_code == 201, answer.text
        yield running


@pytest.fixture
def page(manager: Running, tmp_path: Path) -> Iterator[Page]:
    with browser(tmp_path) as opened:
        opened.login(manager.url, "admin", manager.password)
        opened.wait("document.querySelector('nav a') !== null")
        yield opened
        assert opened.errors == []


def make(manager: Running, deployment_id: str, **inputs: object) -> None:
    answer = manager.call("PUT", f"/deployments/{deployment_id}", json={"blueprint_id": "app", "inputs": inputs})
    assert answer.status_code == 201, answer.text


def go(page: Page, place: str) -> None:
    page.evaluate(f"location.hash = {json.dumps(place)}")


def run_install(page: Page, deployment_id: str) -> None:
    go(page, f"#/deployments/{deployment_id}")
    page.wait("document.querySelectorAll('g.node').length === 2")
    page.evaluate("[...document.querySelectorAll('button')].find((each) => each.innerText === 'Run').click()")
    page.wait("location.hash.startsWith('#/executions/')")


def shows(page: Page, text: str) -> None:
    page.wait(f"document.body?.innerText.includes({json.dumps(text)})", seconds=60)


def click(page: Page, text: str) -> None:
    button = f"[...document.querySelectorAll('button')].find((each) => each.innerText === {json.dumps(text)})"
    page.wait(f"{button} !== undefined")
    page.evaluate(f"{button}.click()")


def test_an_install_is_started_and_watched_until_it_is_done(manager: Running, page: Page, tmp_path: Path) -> None:
    make(manager, "good")
    run_install(page, "good")
    shows(page, "'install' workflow execution succeeded")
    shows(page, "<b>looking for /</b>")
    assert page.evaluate("document.querySelector('.log b')") is None, "texts of operations are never markup"
    page.wait("document.querySelectorAll('.track i.st-run').length > 0")
    go(page, "#/deployments/good")
    page.wait("document.querySelectorAll('g.node.good').length === 2")
    shows(page, "hello from the web")
    page.screenshot(tmp_path / "deployment.png")
    assert (tmp_path / "deployment.png").stat().st_size > 10_000


def test_a_failure_says_why_and_goes_on_after_a_resume(manager: Running, page: Page, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    make(manager, "needy", flag=str(flag))
    run_install(page, "needy")
    shows(page, "'install' workflow execution failed")
    assert page.evaluate("document.querySelector('.error').innerText") != ""
    flag.touch()
    click(page, "Resume")
    shows(page, "'install' workflow execution succeeded")


def test_a_running_execution_is_cancelled(manager: Running, page: Page) -> None:
    make(manager, "slow", pause=200)
    run_install(page, "slow")
    shows(page, "looking for /")
    page.wait("document.querySelector('.track i.st-open') !== null")
    click(page, "Cancel")
    page.wait("document.querySelector('.head .pill')?.innerText === 'cancelled'", seconds=60)


#: Draws a topology with relationships over several levels, and returns the lines that run through a node of others.
CROSSINGS = """
import("/topology.js").then(({ topology }) => {
  const of = { net: [], disk: [], a: ["net"], b: ["net"], db: ["b", "disk"], cache: ["b"], api: ["a", "db", "cache"],
               web: ["a", "api", "net"] };
  const nodes = Object.entries(of).map(([id, targets]) => ({ id, type: "T", relationships: targets.map((target_id) =>
    ({ target_id, type: "r", type_hierarchy: ["r"] })) }));
  const svg = topology(nodes, []);
  document.body.append(svg);
  const boxes = [...svg.querySelectorAll("g.node rect:first-of-type")].map((each) => each.getBBox());
  const within = (at, from, size) => at > from + 1 && at < from + size - 1;
  const inside = (p, box) => within(p.x, box.x, box.width) && within(p.y, box.y, box.height);
  const lines = [...svg.querySelectorAll("path.edge")];
  const crossing = lines.filter((line) => {
    for (let at = 0; at <= line.getTotalLength(); at += 2)
      if (boxes.some((box) => inside(line.getPointAtLength(at), box))) return true;
    return false;
  });
  const corner = ({ x, y }) => ({ x: x + 2, y: y + 2 });
  const overlaps = boxes.filter((one) => boxes.some((two) => one !== two && inside(corner(two), one)));
  const outside = boxes.filter((box) => box.x < 0 || box.x + box.width > Number(svg.getAttribute("width")));
  svg.remove();
  return [lines.length, crossing.length, overlaps.length, outside.length];
})
"""


def test_lines_of_a_topology_pass_between_the_nodes(page: Page) -> None:
    assert page.evaluate(CROSSINGS) == [11, 0, 0, 0]


def test_a_narrow_window_shows_everything_that_a_wide_one_does(manager: Running, page: Page) -> None:
    make(manager, "narrow")
    page.send("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=False)
    places = {"#/": "Deployments", "#/deployments/narrow": "narrow", "#/executions": "Executions", "#/agents": "Agents"}
    for place, title in places.items():
        go(page, place)
        page.wait(f"document.querySelector('h1')?.innerText === {json.dumps(title)}")
        page.wait("document.querySelector('table, .empty, g.node') !== null")
        shown = "[...document.querySelectorAll('main td, main h1, header')]"
        edge = page.evaluate(f"Math.max(...{shown}.map((each) => each.getBoundingClientRect().right))")
        assert edge <= 390, f"{place} is cut"
    assert page.evaluate("getComputedStyle(document.querySelector('td'), '::before').content") == '"Agent"'


@pytest.mark.parametrize("place", ["#/executions", "#/blueprints", "#/plugins", "#/agents"])
def test_every_list_is_shown(page: Page, place: str) -> None:
    go(page, place)
    page.wait(f"document.querySelector('h1')?.innerText.toLowerCase() === {json.dumps(place[2:])}")
    page.wait("document.querySelector('table, .empty') !== null")


def test_a_wrong_password_is_refused_in_the_page(manager: Running, tmp_path: Path) -> None:
    with browser(tmp_path) as page:
        page.login(manager.url, "admin", "wrong")
        page.wait("document.querySelector('.error') !== null")
        assert page.evaluate("sessionStorage.length") == 0
