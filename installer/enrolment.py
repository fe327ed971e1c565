"""The dispatcher's answer to a host that brings its agent itself: which bundle, which configuration, and an account."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from outrider.installer.access import InstallerAccess
from outrider.installer.broker import AgentAccount, account_name, enrol_account
from outrider.installer.bundle import Bundle, Target, platform_name
from outrider.installer.configuration import render_configuration
from outrider.installer.onhost.bootstrap import PASSWORD
from outrider.installer.plugin.wishes import INIT_SCRIPT, Wish
from outrider.messaging.transport import Transport


def offer_upgrade(wanted: Mapping[str, Any], *, bundle: Bundle, store: Callable[[bytes], str]) -> dict[str, Any]:
    """Put what an agent that is there already needs of the bundle where it can fetch it, and return the hashes.

    `wanted` names the host's python and platform. Raises `InstallerError`; `KeyError` for one that does not.
    """
    host = bundle.select(Target(str(wanted["python"]), str(wanted["platform"])))
    return {"version": host.version, "sha256": store(host.data), "program": store(bundle.host_program)}


def answer_enrolment(
    agent_id: str,
    said: Mapping[str, Any],
    *,
    access: InstallerAccess,
    transport: Transport,
    bundle: Bundle,
    store: Callable[[bytes], str],
    config: Mapping[str, Any],
) -> dict[str, Any]:
    """Make the agent's account and queues, and return what `onhost.bootstrap` needs.

    `store` puts the host's part of the bundle where the host can fetch it, and returns its hash; `config` is what the
    blueprint's agent_config says of the agent's settings and service. Raises `InstallerError`; `KeyError` for a host
    that does not say what is needed.
    """
    wish = Wish(INIT_SCRIPT, config=config)
    host = bundle.select(Target(str(said["python"]), platform_name(str(said["machine"]), str(said["libc"]))))
    sha256 = store(host.data)
    enrol_account(access.management, transport, agent_id, vhost=access.vhost, password_hash=str(said["password_hash"]))
    account = AgentAccount(agent_id, account_name(agent_id), PASSWORD)
    spec = access.spec(agent_id, tuple(account.url(address) for address in access.addresses), wish.settings)
    return {
        "version": host.version,
        "filename": host.filename,
        "sha256": sha256,
        "service": wish.service,
        "configuration": render_configuration(spec, state_dir=str(said["state_dir"]), ca_file=str(said["ca_file"])),
        "ca_pem": access.broker_ca_pem,
    }
