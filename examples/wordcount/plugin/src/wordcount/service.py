"""Operations of the service node: start the web service as a process, wait until it answers, stop it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from outrider.plugins.sdk import NonRecoverableError, OperationRetry, ctx, operation


@operation(resumable=True)
def take_configuration(**_: Any) -> None:
    """Take over from the configuration (the target) where the rendered file lies."""
    target = ctx.target.instance.runtime_properties
    ctx.source.instance.runtime_properties["configuration"] = target["file"]
    ctx.source.instance.runtime_properties["data_folder"] = target["data_folder"]


@operation(resumable=True)
def introduce_worker(**_: Any) -> None:
    """Tell the worker (the source) where the service (the target) keeps its texts."""
    ctx.source.instance.runtime_properties["data_folder"] = ctx.target.instance.runtime_properties["data_folder"]


@operation
def start(**_: Any) -> None:
    """Start the web service; it lives on when the operation has ended."""
    properties = ctx.instance.runtime_properties
    folder = Path(properties["data_folder"])
    with (folder / "service.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "wordcount.web", properties["configuration"]],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    properties["pid"] = process.pid
    # Saved at once: whatever happens next, uninstall knows which process to end.
    ctx.instance.update()
    ctx.logger.info("service runs as process %d", process.pid)


@operation(resumable=True)
def wait_until_it_answers(**_: Any) -> str:
    """Ask the service for its state; asks for a retry until it answers. Returns its URL."""
    properties = ctx.instance.runtime_properties
    address = Path(properties["data_folder"]) / "address"
    if not address.exists():
        _check_process(properties)
        raise OperationRetry("the service has not told its address yet", retry_after=0.2)
    url = address.read_text(encoding="utf-8").strip()
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            state = json.load(answer)
    except (urllib.error.URLError, TimeoutError) as error:
        _check_process(properties)
        raise OperationRetry(f"{url} does not answer yet: {error}", retry_after=0.2) from error
    properties["url"] = url
    ctx.logger.info("%s answers: %s", url, state["title"])
    return url


@operation(resumable=True)
def stop(**_: Any) -> None:
    """End the web service; asks for a retry until it is gone."""
    properties = ctx.instance.runtime_properties
    pid = properties.get("pid")
    if pid is None or not _is_ours(pid):
        properties.pop("pid", None)
        return
    os.kill(pid, signal.SIGTERM)
    raise OperationRetry(f"process {pid} is ending", retry_after=0.2)


def _is_ours(pid: int) -> bool:
    """Tell whether the process lives and is our service (ids are used again)."""
    try:
        return b"wordcount.web" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _check_process(properties: dict[str, Any]) -> None:
    if not _is_ours(properties["pid"]):
        log = Path(properties["data_folder"]) / "service.log"
        raise NonRecoverableError(f"the service ended by itself: {log.read_text(encoding='utf-8')[-2000:]}")
