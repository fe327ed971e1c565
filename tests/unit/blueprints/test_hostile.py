"""Input that wants to stop a dispatcher: each is refused with a clear error, in bounded time and memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

#: Runs in a process of its own: loads a blueprint, and prints the findings, the seconds and the peak memory.
PROGRAM = """
import json, re, sys, time
from pathlib import Path
from outrider.dispatcher.blueprint import BlueprintInvalid, Settings, load, prepare_deployment
started, findings = time.process_time(), []
try:
    prepare_deployment(load(sys.argv[1], settings=Settings(confine=True)).plan)
except BlueprintInvalid as error:
    findings = [item.kind.label for item in error.errors]
seconds = time.process_time() - started
# Not `getrusage`: its maximum includes the process that this one was started from.
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text()).group(1)) / 1024
print(json.dumps([findings, seconds, peak]))
"""
HEAD = "tosca_definitions_version: cloudify_dsl_1_5\nimports: [cloudify/types/types.yaml]\n"
MOST_SECONDS = 2.0
MOST_MEBIBYTES = 500


def alias_bomb() -> str:
    lines = ["dsl_definitions:", "  a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    return HEAD + "\n".join(lines) + "\n"


def merge_bomb() -> str:
    lines = ["dsl_definitions:", "  a0: &a0 {k: {x: 1}}"]
    lines += [f"  a{n}: &a{n} {{p: *a{n - 1}, q: *a{n - 1}, <<: *a{n - 1}}}" for n in range(1, 40)]
    return HEAD + "\n".join(lines) + "\n"


def deep_functions() -> str:
    return HEAD + "outputs: {o: {value: " + "{concat: [" * 60 + "x" + "]}" * 60 + "}}\n"


def property_ring(size: int) -> str:
    nodes = [f"  n{i}: {{type: T, properties: {{z: {{get_property: [n{(i + 1) % size}, z]}}}}}}" for i in range(size)]
    return HEAD + "node_types: {T: {properties: {z: {}}}}\nnode_templates:\n" + "\n".join(nodes) + "\n"


def contained_chain(size: int, each: int) -> str:
    link = "relationships: [{type: cloudify.relationships.contained_in, target: n%d}]"
    nodes = [f"  n0: {{type: cloudify.nodes.Root, instances: {{deploy: {each}}}}}"]
    nodes += [
        f"  n{i}: {{type: cloudify.nodes.Root, instances: {{deploy: {each}}}, {link % (i - 1)}}}"
        for i in range(1, size)
    ]
    return HEAD + "node_templates:\n" + "\n".join(nodes) + "\n"


ATTACKS = {
    "alias bomb": (alias_bomb(), "too-large"),
    "merge bomb": (merge_bomb(), "too-large"),
    "deep nesting": (HEAD + "metadata: " + "[" * 100_000 + "]" * 100_000 + "\n", "too-large"),
    "deep blocks": (HEAD + "metadata:\n" + "".join(f"{' ' * n}a:\n" for n in range(1, 3000)), "too-large"),
    "hundred megabytes": (HEAD + "description: '" + "x" * 100_000_000 + "'\n", "too-large"),
    "huge number": (HEAD + "metadata: {a: " + "9" * 100_000 + "}\n", "yaml"),
    "nested functions": (deep_functions(), "function-cycle"),
    "ring of properties": (property_ring(300), "function-evaluation"),
    "billion instances": (
        HEAD + "node_templates: {a: {type: cloudify.nodes.Root, instances: {deploy: 1000000000}}}\n",
        "scalable",
    ),
    "multiplied instances": (contained_chain(30, 10), "too-large"),
    "python object": (HEAD + "metadata: !!python/object/apply:os.system [id]\n", "yaml"),
    "escape": ("tosca_definitions_version: cloudify_dsl_1_5\nimports: [../../../../etc/passwd]\n", "import-forbidden"),
    "types that derive in a ring": (
        HEAD + "node_types:\n" + "\n".join(f"  T{n}: {{derived_from: T{(n + 1) % 5000}}}" for n in range(5000)) + "\n",
        "type-cycle",
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_ends_in_a_clear_error_within_bounds(name: str, tmp_path: Path) -> None:
    text, kind = ATTACKS[name]
    path = tmp_path / "blueprint.yaml"
    path.write_text(text, encoding="utf-8")
    findings, seconds, mebibytes = run(path)
    assert kind in findings
    assert seconds <= MOST_SECONDS
    assert mebibytes <= MOST_MEBIBYTES


def test_a_loop_of_imports_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "blueprint.yaml"
    path.write_text("tosca_definitions_version: cloudify_dsl_1_5\nimports: [f0.yaml]\n", encoding="utf-8")
    for number in range(100):
        (tmp_path / f"f{number}.yaml").write_text(f"imports: [f{(number + 1) % 100}.yaml, blueprint.yaml]\n")
    findings, seconds, _ = run(path)
    assert findings == []
    assert seconds <= MOST_SECONDS


def test_endless_namespaces_end(tmp_path: Path) -> None:
    path = tmp_path / "blueprint.yaml"
    path.write_text("tosca_definitions_version: cloudify_dsl_1_5\nimports: [a--f.yaml, b--f.yaml]\n", encoding="utf-8")
    (tmp_path / "f.yaml").write_text("imports: [a--f.yaml, b--f.yaml]\n", encoding="utf-8")
    findings, seconds, mebibytes = run(path)
    assert "too-large" in findings
    assert seconds <= MOST_SECONDS
    assert mebibytes <= MOST_MEBIBYTES


def test_a_link_out_of_an_uploaded_blueprint_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret.yaml"
    secret.write_text("inputs: {password: {default: hunter2}}\n", encoding="utf-8")
    folder = tmp_path / "uploaded"
    folder.mkdir()
    (folder / "innocent.yaml").symlink_to(secret)
    path = folder / "blueprint.yaml"
    path.write_text("tosca_definitions_version: cloudify_dsl_1_5\nimports: [innocent.yaml]\n", encoding="utf-8")
    findings, _, _ = run(path)
    assert findings == ["import-forbidden"]


def run(path: Path) -> tuple[list[str], float, float]:
    """Load a blueprint in a process of its own; return findings, CPU seconds and peak memory in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True, timeout=60, check=True
    )
    findings, seconds, mebibytes = json.loads(done.stdout)
    return findings, seconds, mebibytes
