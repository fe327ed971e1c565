"""The step `configuration`: the agent's settings on its host, and its password there and at the broker, as one change.

Nobody can change two places at once. The broker is told first. Where the host then refuses, the broker gets the old
password back; where the line breaks, so that nobody knows whether the host has the new one, the next run compares the
two and renews both if they differ. Meanwhile, an agent that runs stays connected: the broker asks for a password only
when a connection is made.
"""

from __future__ import annotations

from typing import Optional

from outrider.installer.account import Account
from outrider.installer.broker import AgentAccount, account_name
from outrider.installer.configuration import AgentSpec, render_configuration
from outrider.installer.errors import BrokerError, HostRefused, NoAnswer
from outrider.installer.facts import HostFacts
from outrider.installer.onhost.bootstrap import PASSWORD
from outrider.installer.ssh.session import HostSession
from outrider.messaging.amqp.management import PasswordHash

#: Cause of the answer of an older release's host program, which came with its bundle and cannot compare.
UNKNOWN_ACTION = "defect"


def configure(session: HostSession, spec: AgentSpec, facts: HostFacts, account: Optional[Account]) -> bool:
    """Have the host configured for the agent, and return whether anything changed.

    `account` is what the agent logs in with; None if `spec` has that already.
    """
    if account is None:
        return write_configuration(session, spec, facts)
    known = account.known()
    if known is not None and not account.new_password and _is_right(session, spec, facts, known):
        account.keep()
        return False
    own = spec.with_account(account.renew())
    try:
        return write_configuration(session, own, facts)
    except NoAnswer:
        raise  # it may have been written
    except HostRefused as refused:
        if known is not None:
            _restore(account, known, refused)
        raise


def _restore(account: Account, known: PasswordHash, refused: HostRefused) -> None:
    try:
        account.restore(known)
    except BrokerError as error:
        text = f"{refused.message}; nor could the agent's account get its old password back: {error.message}"
        raise HostRefused(text, remedy=refused.remedy, cause=refused.cause) from error


def write_configuration(session: HostSession, spec: AgentSpec, facts: HostFacts) -> bool:
    """Write the agent's configuration; returns whether it changed."""
    text = render_configuration(spec, state_dir=facts.state_dir, ca_file=facts.ca_file)
    return bool(session.act("configure", {"text": text, "ca_pem": spec.broker.ca_pem})["changed"])


def _is_right(session: HostSession, spec: AgentSpec, facts: HostFacts, known: PasswordHash) -> bool:
    """Ask whether the host has this configuration, with the password that the broker knows."""
    if facts.agent_id != spec.agent_id:
        return False
    anonymous = spec.with_account(AgentAccount(spec.agent_id, account_name(spec.agent_id), PASSWORD))
    request = {
        "text": render_configuration(anonymous, state_dir=facts.state_dir, ca_file=facts.ca_file),
        "ca_pem": spec.broker.ca_pem,
        "password_hash": known.value,
        "hashing": known.algorithm,
    }
    try:
        return bool(session.act("compare", request)["same"])
    except HostRefused as error:
        if error.cause == UNKNOWN_ACTION:
            return False
        raise
