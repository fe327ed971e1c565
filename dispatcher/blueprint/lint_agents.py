"""Warnings about fields of a host's ``agent_config`` that change nothing here; a part of `lint`.

They are valid, because existing blueprints have them; whoever writes one should learn that nothing comes of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from outrider.dispatcher.blueprint.lint_warning import LintWarning, is_own, warning_at
from outrider.dispatcher.blueprint.loading import Blueprint
from outrider.dispatcher.blueprint.located import key_mark

#: Field → why it has no effect, and what does.
_WITHOUT_EFFECT = {
    "network": "agents reach the broker at the setting hosts_broker_urls",
    "disable_requiretty": "sudo is used without a terminal; where it insists on one, change that on the host",
    "log_max_bytes": "the service's journal bounds the log; without one it is cut at 10 MiB",
    "log_max_history": "the service's journal bounds the log; without one the log before the last cut is kept",
    "proxy": "the agent of another node cannot serve this one; give `host_agent` operations to that node",
}
_FIELDS = frozenset(
    {
        *("install_method", "service_name", "user", "key", "password", "port", "process_management", "min_workers"),
        *("max_workers", "heartbeat", "env", "extra", "executable_temp_path", "log_level"),
    }
)
_EXTRA = frozenset(
    {
        *("host_key", "accept_new_host_key", "sudo", "sudo_password", "jump", "python", "wait_for_ssh"),
        *("key_passphrase",),
    }
)


def agent_warnings(blueprint: Blueprint) -> Iterator[LintWarning]:
    """Return the warnings for all node templates."""
    templates = blueprint.sections.get("node_templates") or {}
    for name, template in templates.items():
        config = ((template or {}).get("properties") or {}).get("agent_config")
        if not isinstance(config, Mapping):
            continue
        yield from _of(name, config)
        if isinstance(extra := config.get("extra"), Mapping):
            yield from _of(name, extra, below="extra.")


def _of(name: str, config: Mapping[str, Any], *, below: str = "") -> Iterator[LintWarning]:
    for field, value in config.items():
        at = key_mark(config, field)
        if not is_own(at):
            continue
        what = f"agent_config.{below}{field} of {name!r} has no effect"
        if field in _WITHOUT_EFFECT:
            if (field, value) != ("network", "default"):
                yield warning_at("agent-config", f"{what}: {_WITHOUT_EFFECT[field]}", at)
        elif below and field not in _FIELDS | _EXTRA:
            yield warning_at("agent-config", f"{what}: there is no such field", at)
