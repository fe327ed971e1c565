"""Our plans beside those of the parser that the ecosystem publishes on the package index, as a black box.

The corpus of blueprints says what a plan holds; here the other parser is asked the same. Where it differs, the case is
named below with the reason, so that a new difference fails, and one that is gone, too.
"""

from __future__ import annotations

import json
import random
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.blueprint import prepare_peer
from outrider.dispatcher.blueprint import BlueprintInvalid, load, prepare_deployment
from outrider.dispatcher.blueprint.kinds import Kind
from tests.unit.blueprints.test_cases import CASES, at_path, lay_down

SECONDS = 240
TYPES = "imports: [cloudify/types/types.yaml]"
#: Reads a path and whether a deployment plan is wanted, line by line; writes the plan, or the error's number.
PROGRAM = """
import json, signal, sys
from dsl_parser.parser import parse_from_path
from dsl_parser.tasks import prepare_deployment_plan

def give_up(*_):
    raise TimeoutError("it does not come back")

signal.signal(signal.SIGALRM, give_up)
for line in sys.stdin:
    path, deploy = json.loads(line)
    signal.alarm(10)
    try:
        plan = parse_from_path(path, resources_base_path=path.rpartition("/")[0])
        answer = {"plan": prepare_deployment_plan(plan, inputs={}) if deploy else plan}
    except Exception as error:
        answer = {"error": type(error).__name__, "number": getattr(error, "err_code", None)}
    signal.alarm(0)
    print(json.dumps(answer, default=str))
"""

#: Cases that are about the built-in types although they do not name them.
NEED_TYPES = frozenset({"import_workflow_builtin", "lint_workflow_overridden", "workflow_builtin", "workflow_forms"})
#: Cases whose plan differs, or that the other parser refuses.
OTHER_PLAN = {
    "import_version_variant": "there, a file beside the importing one is looked up by its exact name",
    "operation_input_typed": "a key `type` that was given stays",
    "data_type_null_default": "null is a value of every type",
}
#: Cases with errors that the other parser lets through, or finds under another number.
OTHER_ERRORS = {
    "function_nested_too_deep": "there, it is found when a deployment is made",
    "import_properties_two_keys": "there, it has a number of its own",
    "property_item_type": "there, schemas of properties have no item_type",
    "workflow_availability_bad": "there, it has the number of constraints",
    "yaml_not_finite": "there, .inf and .nan are numbers; no reply of the REST API could hold them",
}


def ask(folder: Path, paths: list[tuple[Path, bool]]) -> list[dict[str, Any]]:
    """Return what the other parser says of blueprints; skips when it cannot be installed."""
    try:
        python = prepare_peer()
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"the other parser cannot be installed: {error}")
    questions = "".join(json.dumps([str(path), deploy]) + "\n" for path, deploy in paths)
    command = [str(python), "-W", "ignore", "-c", PROGRAM]
    done = subprocess.run(
        command, input=questions, capture_output=True, text=True, timeout=SECONDS, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def cases(*, with_errors: bool) -> dict[str, dict[str, Any]]:
    """Return the cases of the corpus that need nothing but files, without the built-in types, which are slow there."""
    outside = ("plugins", "blueprints", "inputs", "confine", "validate_version")
    chosen = {}
    for path in CASES:
        case = yaml.safe_load(path.read_text(encoding="utf-8"))
        case["files"] = {name: text.replace(TYPES, "#") for name, text in case["files"].items()}
        plain = not any(
            word in text for text in case["files"].values() for word in ("cloudify.", "types.yaml", "http:")
        )
        if (
            plain
            and path.stem not in NEED_TYPES
            and bool(case.get("errors")) is with_errors
            and not any(key in case for key in outside)
        ):
            chosen[path.stem] = case
    return chosen


def laid_down(chosen: Mapping[str, dict[str, Any]], folder: Path) -> list[tuple[Path, bool]]:
    paths = []
    for name, case in chosen.items():
        (folder / name).mkdir()
        paths.append((lay_down(case, folder / name), False))
    return paths


def same(plan: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    for path, value in expected.items():
        try:
            found = at_path(plan, path)
        except (KeyError, IndexError, ValueError):
            found = "(absent)"
        if found != value:
            return False
    return True


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_corpus_expects_what_the_other_parser_plans(tmp_path: Path) -> None:
    chosen = {name: case for name, case in cases(with_errors=False).items() if case.get("plan")}
    answers = ask(tmp_path, laid_down(chosen, tmp_path))
    differing = {
        name
        for (name, case), answer in zip(chosen.items(), answers, strict=True)
        if "plan" not in answer or not same(answer["plan"], case["plan"])
    }
    assert len(chosen) > 40
    assert differing == OTHER_PLAN.keys()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_other_parser_refuses_what_the_corpus_refuses_with_the_same_number(tmp_path: Path) -> None:
    numbers = {kind.label: kind.number for kind in Kind}
    chosen = cases(with_errors=True)
    answers = ask(tmp_path, laid_down(chosen, tmp_path))
    differing = set()
    for (name, case), answer in zip(chosen.items(), answers, strict=True):
        ours = {numbers[each["kind"]] for each in case["errors"]}
        numbered = answer.get("number") is not None and None not in ours
        if "error" not in answer or (numbered and answer["number"] not in ours):
            differing.add(name)
    assert len(chosen) > 80
    assert differing == OTHER_ERRORS.keys()


HEAD = """tosca_definitions_version: cloudify_dsl_1_5
relationships:
  cloudify.relationships.depends_on: {properties: {connection_type: {default: all_to_all}}}
  cloudify.relationships.connected_to: {derived_from: cloudify.relationships.depends_on}
  cloudify.relationships.contained_in: {derived_from: cloudify.relationships.depends_on}
node_types: {T: {}}
node_templates:
"""


def topology(seed: int) -> str:
    """Return a blueprint of some nodes, contained and connected at random, perhaps with a scaling group."""
    draw = random.Random(seed)
    names = [f"n{number}" for number in range(draw.randint(2, 6))]
    parents: dict[str, str] = {}
    lines = []
    for number, name in enumerate(names):
        links = []
        if number and draw.random() < 0.5:
            parents[name] = draw.choice(names[:number])
            links.append(f"{{type: cloudify.relationships.contained_in, target: {parents[name]}}}")
        for target in names[:number]:
            if draw.random() < 0.25 and parents.get(name) != target:
                how = draw.choice(["all_to_all", "all_to_one"])
                properties = f"properties: {{connection_type: {how}}}"
                links.append(f"{{type: cloudify.relationships.connected_to, target: {target}, {properties}}}")
        scalable = f"{{scalable: {{properties: {{default_instances: {draw.choice([1, 1, 2, 3])}}}}}}}"
        lines.append(f"  {name}: {{type: T, capabilities: {scalable}, relationships: [{', '.join(links)}]}}")
    if draw.random() < 0.6:
        roots = [name for name in names if name not in parents]
        members = ", ".join(draw.sample(roots, draw.randint(1, len(roots))))
        count = draw.randint(1, 3)
        lines.append(f"groups: {{g: {{members: [{members}]}}}}")
        scaling = f"type: cloudify.policies.scaling, targets: [g], properties: {{default_instances: {count}}}"
        lines.append(f"policies: {{s: {{{scaling}}}}}")
    return HEAD + "\n".join(lines) + "\n"


def shape(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return what two deployment plans have in common whose instances have different ids."""
    instances = plan["node_instances"]
    links = [link for each in instances for link in each["relationships"]]
    return {
        "links": Counter(
            (each["name"], tuple(sorted((link["type"], link["target_name"]) for link in each["relationships"])))
            for each in instances
        ),
        "fan in": Counter(Counter(link["target_id"] for link in links).values()),
        "groups": Counter(len(each.get("scaling_groups") or ()) for each in instances),
    }


def planned(path: Path) -> dict[str, Any] | None:
    """Return the shape of our deployment plan, None if the blueprint is refused."""
    try:
        return shape(prepare_deployment(load(path).plan))
    except BlueprintInvalid:
        return None


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_random_topologies_become_the_same_instances(tmp_path: Path) -> None:
    paths = []
    for seed in range(80):
        path = tmp_path / f"{seed}.yaml"
        path.write_text(topology(seed), encoding="utf-8")
        paths.append((path, True))
    refused = 0
    for (path, _), answer in zip(paths, ask(tmp_path, paths), strict=True):
        ours = planned(path)
        theirs = shape(answer["plan"]) if "plan" in answer else None
        assert theirs == ours, path.read_text()
        refused += ours is None
    assert refused < len(paths) / 2
