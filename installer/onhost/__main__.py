"""``python3 host.pyz ACTION < request.json``: the last line of output is the answer, as JSON."""

from __future__ import annotations

import json
import sys
import traceback
from typing import Any

from .actions import ACTIONS
from .errors import HostError
from .layout import my_layout


def main(arguments: list[str]) -> int:
    """Run one action; the exit code is 0 also for an error that the answer describes."""
    action = arguments[0]
    # Says that whatever started us (sudo) has taken from the input what it wanted.
    print("outrider-ready", file=sys.stderr, flush=True)  # noqa: T201 - this is the protocol
    # One line, not until the end of input: the other end stays open.
    request: dict[str, Any] = json.loads(sys.stdin.readline() or "{}")
    try:
        answer = {"ok": True, **ACTIONS[action](my_layout(request.get("prefix")), request)}
    except HostError as error:
        answer = {"ok": False, "kind": error.kind, "message": error.message, "remedy": error.remedy}
    except Exception as error:  # noqa: BLE001 - whatever it is, the person at the other end must learn of it
        text = f"{type(error).__name__}: {error}"
        answer = {"ok": False, "kind": "defect", "message": text, "remedy": "", "traceback": traceback.format_exc()}
    print(json.dumps(answer), flush=True)  # noqa: T201 - this is the protocol
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
