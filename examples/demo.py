"""Installs the word count example, checks it by HTTP requests, removes it, and looks whether anything is left.

Run it with ``make demo``, or ``python -m examples.demo`` where Outrider is installed. It uses the embedded default: no
broker, no database server, nothing outside of a temporary folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

BLUEPRINT = Path(__file__).resolve().parent / "wordcount" / "blueprint.yaml"
TEXT = b"An outrider rides ahead of the coach and clears its way."
WAIT_SECONDS = 15.0


def say(text: str) -> None:
    """Print a heading."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def outrider(*arguments: str, capture: bool = False) -> str:
    """Run the `outrider` command, shown as a person would type it; ends the demo if it fails."""
    shown = [argument.replace(str(BLUEPRINT.parent.parent), "examples") for argument in arguments]
    print(f"$ outrider {' '.join(shown)}", flush=True)
    command = [sys.executable, "-m", "outrider.cli", *arguments]
    done = subprocess.run(command, check=False, text=True, stdout=subprocess.PIPE if capture else None)
    if done.returncode != 0:
        sys.exit(f"outrider ended with code {done.returncode}")
    return done.stdout or ""


def get(url: str) -> dict[str, object]:
    """Return the service's state."""
    with urllib.request.urlopen(url, timeout=5) as answer:
        state: dict[str, object] = json.load(answer)
        return state


def use_the_service(url: str) -> None:
    """Send a text, wait until the worker has counted its words."""
    print(f"$ curl --data '{TEXT.decode()}' {url}motto")
    with urllib.request.urlopen(urllib.request.Request(f"{url}motto", data=TEXT), timeout=5) as answer:
        print(answer.read().decode())
    deadline = time.monotonic() + WAIT_SECONDS
    while not get(url)["counted"]:
        if time.monotonic() > deadline:
            sys.exit(f"the worker has not counted the text within {WAIT_SECONDS:.0f} s")
        time.sleep(0.05)
    print(f"$ curl {url}\n{json.dumps(get(url))}")


def check_nothing_is_left(folder: Path) -> None:
    """End the demo with an error if files or processes of the application are left."""
    if folder.exists():
        sys.exit(f"{folder} is left")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in words:
            sys.exit(f"process {process.name} is left: {words!r}")
    print(f"no process runs, {folder} is gone")


def main() -> None:
    """Run the demo."""
    began = time.monotonic()
    home = Path(tempfile.mkdtemp(prefix="outrider-demo-"))
    os.environ.setdefault("OUTRIDER_HOME", str(Path(tempfile.gettempdir()) / f"outrider-demo-home-{os.getuid()}"))
    data = home / "data"
    deployment = f"demo-{os.getpid()}"
    try:
        say("1. Install: a folder, a configuration file, a web service and a worker, each by operations on an agent")
        inputs = ["--deployment", deployment, "-i", f"data_folder={data}", "-i", "title=Outrider's demo"]
        outrider("run", str(BLUEPRINT), "install", *inputs)
        say("2. Use it")
        shown = json.loads(outrider("deployment", "outputs", deployment, "--json", capture=True))
        use_the_service(shown["url"])
        say("3. Uninstall, without a trace")
        outrider("run", str(BLUEPRINT), "uninstall", "--deployment", deployment)
        check_nothing_is_left(data)
        say("4. Where the time went")
        listed = json.loads(outrider("execution", "list", "--deployment", deployment, "--json", capture=True))
        outrider("execution", "show", listed[0]["id"])
        outrider("deployment", "delete", deployment)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    say(f"Done in {time.monotonic() - began:.1f} s. Read on: README.md, examples/wordcount, docs/how-it-works.md")


if __name__ == "__main__":
    main()
