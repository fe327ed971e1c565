"""The agent's own process leaves out what it never uses; a program that imports the agent's parts keeps everything."""

from __future__ import annotations

import subprocess
import sys


def _after(imports: str) -> list[str]:
    """Return, for a fresh interpreter after these imports, whether asyncio is loaded, and which adapters pika has."""
    program = f"{imports}\nimport sys, pika\nprint('asyncio' in sys.modules, pika.BlockingConnection.__name__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.split()


def test_the_agents_process_has_the_amqp_library_without_asyncio() -> None:
    assert _after("import outrider.agent.__main__") == ["False", "BlockingConnection"]


def test_a_program_that_uses_the_agent_as_a_library_keeps_the_whole_amqp_library() -> None:
    assert _after("import outrider.agent.agent, outrider.messaging.amqp") == ["True", "BlockingConnection"]


def test_a_program_that_had_the_amqp_library_before_keeps_its_adapters() -> None:
    had = "import pika.adapters.asyncio_connection as before\nimport outrider.agent.__main__\nassert before.asyncio"
    assert _after(had) == ["True", "BlockingConnection"]
