"""The operations of ``cloudify.interfaces.cloudify_agent``, for the central agent. Each may be run again at any point.

=============  ==============================================  ========================================================
install method  `create`, then `start`                          `stop`, then `delete`
=============  ==============================================  ========================================================
remote         waits for SSH, installs, waits for a heartbeat  drains, removes service and files; account and queues
init_script    notes the name; waits for the agent to report   the host removed itself; account and queues
provided       waits for the agent to report                   forgets it; it stays as it is
none           nothing                                         nothing
=============  ==============================================  ========================================================
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

from outrider.installer import (
    BrokerAccount,
    InstalledAgent,
    broker_heartbeats,
    install_agent,
    remove_account,
    restart_agent,
    uninstall_agent,
)
from outrider.installer.access import InstallerAccess
from outrider.installer.broker import account_name
from outrider.installer.bundle.kept import ensure_bundle
from outrider.installer.errors import AgentNameTaken, NoHeartbeat
from outrider.installer.plan import Step
from outrider.installer.plugin.failures import translated
from outrider.installer.plugin.login import Login, login_of, wait_for_ssh
from outrider.installer.plugin.renewal import BrokerUpgrade, ask_for_offer
from outrider.installer.plugin.talking import AGAIN_SECONDS, wait_until_gone, wait_until_idle
from outrider.installer.plugin.wishes import INIT_SCRIPT, NONE, PLUGIN, PROVIDED, REMOTE, Wish, read_wish
from outrider.installer.progress import StepEvent, StepState
from outrider.messaging.messages import AgentHeartbeat, ControlKind
from outrider.messaging.questions import questions
from outrider.plugins.sdk import NonRecoverableError, RecoverableError, ctx, operation

#: Runtime property of a host's instance: what is known of its agent.
RECORD = "cloudify_agent"
DRAIN_SECONDS = 60.0
#: A second try of the operation goes on waiting.
REPORT_SECONDS = 20.0
GONE_SECONDS = 30.0
ANSWER_SECONDS = 20.0


@operation(resumable=True)
def create(agent_config: Optional[dict[str, Any]] = None, **_: Any) -> None:
    """Bring the agent onto the host, by SSH where that is the method."""
    with translated(retry_number=ctx.operation.retry_number):
        wish = _wish(agent_config)
        if wish.method == REMOTE:
            _install(wish)
        elif wish.method == PROVIDED:
            _note(wish, _reported())
        elif wish.method != NONE:
            _note(wish, None)


@operation(resumable=True)
def configure(agent_config: Optional[dict[str, Any]] = None, **_: Any) -> None:
    """Have the agent as the blueprint says: as `create`, which changes nothing where all is right."""
    create(agent_config)


@operation(resumable=True)
def start(agent_config: Optional[dict[str, Any]] = None, **_: Any) -> None:
    """Wait for the agent that a script on the host brings."""
    with translated(retry_number=ctx.operation.retry_number):
        wish = _wish(agent_config)
        if wish.method in (INIT_SCRIPT, PLUGIN, PROVIDED):
            _note(wish, _reported())


@operation(resumable=True)
def stop(agent_config: Optional[dict[str, Any]] = None, **_: Any) -> None:
    """Let the agent finish what it has in hand, then remove it from the host, by SSH."""
    with translated(retry_number=ctx.operation.retry_number, patient=False):
        wish = _wish(agent_config)
        if wish.method != REMOTE or not _recorded().get("reached") or _is_anothers():
            # Nobody ever got onto the host: there is nothing on it, and it may not even exist.
            return
        if ctx.operation.retry_number == 0:
            _drain(_access(), _name())
        login = _login(wish)
        bundle = ensure_bundle(Path(_access().bundle))
        removed = uninstall_agent(login.target, bundle.host_program, observer=_tell)
        ctx.logger.info("the agent is gone from %s: %s", login.target.host, removed.proof)
        _note_reached(reached=False)


@operation(resumable=True)
def delete(agent_config: Optional[dict[str, Any]] = None, **_: Any) -> None:
    """Remove what the agent had at the broker, and forget it."""
    with translated(retry_number=ctx.operation.retry_number):
        wish = _wish(agent_config)
        own = wish.method in (REMOTE, INIT_SCRIPT, PLUGIN) and not _is_anothers()
        if own and RECORD in ctx.instance.runtime_properties:
            access, name = _access(), _name()
            # Where `stop` did not get, it still runs, or died with its host: it will not go by being waited for.
            left_there = wish.method == REMOTE and _recorded().get("reached")
            if not wait_until_gone(access.management, name, timeout_seconds=0.0 if left_there else GONE_SECONDS):
                ctx.logger.warning("agent %s still has a connection to the broker; it is closed", name)
            with access.transport(_work_dir()) as transport:
                remove_account(access.management, transport, name)
        ctx.instance.runtime_properties.pop(RECORD, None)


@operation(resumable=True)
def restart(agent_config: Optional[dict[str, Any]] = None, **_: Any) -> None:
    """Start the agent anew, by SSH; its operations go on."""
    with translated(retry_number=ctx.operation.retry_number):
        wish = _wish(agent_config)
        if wish.method == NONE:
            return
        if wish.method != REMOTE or _is_anothers():
            raise NonRecoverableError(
                f"nobody logs in to the host of {ctx.instance.id} to start its agent anew: call "
                "cloudify.interfaces.cloudify_agent.restart_amqp, which the agent does itself"
            )
        access = _access()
        login, bundle = _login(wish), ensure_bundle(Path(access.bundle))
        with access.transport(_work_dir()) as transport, broker_heartbeats(transport) as heartbeats:
            beat = restart_agent(login.target, _name(), bundle.host_program, heartbeats=heartbeats, observer=_tell)
        _note(wish, beat)


@operation(resumable=True)
def renew(agent_config: Optional[dict[str, Any]] = None, **_: Any) -> None:
    """Bring the host's agent to this release; running operations go on.

    By SSH, with a new password, where it came that way. Others are upgraded over the broker and keep their accounts:
    a password that its host made has never left it. The workflow `install_new_agents` calls it.
    """
    with translated(retry_number=ctx.operation.retry_number):
        wish = _wish(agent_config)
        if wish.method == NONE:
            return
        if wish.method == REMOTE:
            _install(wish, new_password=True)
        else:
            _upgrade(wish)


@operation(resumable=True)
def validate(
    validate_agent_timeout: float = ANSWER_SECONDS, agent_config: Optional[dict[str, Any]] = None, **_: Any
) -> dict[str, Any]:
    """Ask the agent whether it is there, and return what it says of itself."""
    with translated(retry_number=ctx.operation.retry_number):
        if _wish(agent_config).method == NONE:
            return {}
        name, limit = _name(), float(validate_agent_timeout)
        with _access().transport(_work_dir()) as transport, questions(transport, asker="installer") as asking:
            reply = asking.ask(name, ControlKind.PING, timeout_seconds=limit, again_seconds=AGAIN_SECONDS)
        if reply is None:
            raise NonRecoverableError(
                f"agent {name} of {ctx.instance.id} did not answer within {limit:g} s: see `outrider agent list`, and "
                "its service on the host (journalctl -u outrider-agent)"
            )
        return {"agent": name, **reply.payload}


def _install(wish: Wish, *, new_password: bool = False) -> None:
    access, name = _access(), _name()
    login = _login(wish)
    wait_for_ssh(login.target, timeout_seconds=wish.ssh_seconds)
    bundle = ensure_bundle(Path(access.bundle))
    _claim(access, name, wish)
    with access.transport(_work_dir()) as transport, broker_heartbeats(transport) as heartbeats:
        account = BrokerAccount(access.management, transport, name, access.vhost, new_password=new_password)
        if account.known() is None:
            # Early, to have the name: what asks for it from now on finds it taken. One that is there keeps its
            # password until the host can be told another.
            account.renew()
        spec = access.spec(name, access.addresses, wish.settings, service=wish.service)
        installed = install_agent(
            login.target, spec, bundle, heartbeats=heartbeats, observer=_tell_of_arrival, account=account
        )
    for notice in installed.notices:
        ctx.logger.warning("%s: %s", login.target.host, notice)
    _note(wish, installed.heartbeat, installed=installed, login=login)


def _upgrade(wish: Wish) -> None:
    access, name = _access(), _name()
    if access.files is None:
        raise NonRecoverableError(f"the dispatcher serves no files: agent {name} cannot fetch this release")
    beat = _reported()
    offer = ask_for_offer(access.files, access.files_token, beat)
    with access.transport(_work_dir()) as transport, questions(transport, asker="installer") as asking:
        renewed = BrokerUpgrade(asking, name, of=ctx.execution_id).run(offer, access.files)
    if renewed.changed:
        ctx.logger.info("agent %s went from %s to %s", name, renewed.before, renewed.version)
    else:
        ctx.logger.info("agent %s has %s already", name, renewed.version)
    _note(wish, _reported())


def _claim(access: InstallerAccess, name: str, wish: Wish) -> None:
    """Take the name, before there is anything of it: another host's agent must not lose its account to ours."""
    if _recorded().get("name") == name:
        return
    if account_name(name) in access.management.users():
        raise AgentNameTaken(f"the broker has an account of an agent {name} already, which is not this host's")
    _note(wish, None)


def _reported() -> AgentHeartbeat:
    """Return a heartbeat of the host's agent; the operation is tried again while there is none."""
    name = _name()
    with _access().transport(_work_dir()) as transport, broker_heartbeats(transport) as heartbeats:
        try:
            return heartbeats.wait(name, lambda _beat: True, REPORT_SECONDS)
        except NoHeartbeat as error:
            raise RecoverableError(
                f"agent {name} of {ctx.instance.id} has not reported yet; on the host, see "
                "/var/log/cloud-init-output.log and `journalctl -u outrider-agent`"
            ) from error


def _drain(access: InstallerAccess, name: str) -> None:
    with (
        access.transport(_work_dir()) as transport,
        broker_heartbeats(transport) as heartbeats,
        questions(transport, asker="installer") as asking,
    ):
        if asking.ask(name, ControlKind.DRAIN, timeout_seconds=ANSWER_SECONDS, again_seconds=AGAIN_SECONDS) is None:
            ctx.logger.warning("agent %s does not answer; it is removed as it is", name)
        elif not wait_until_idle(heartbeats, name, timeout_seconds=DRAIN_SECONDS):
            ctx.logger.warning("agent %s is still at work after %g s; that is ended", name, DRAIN_SECONDS)


def _note(
    wish: Wish,
    heartbeat: Optional[AgentHeartbeat],
    *,
    installed: Optional[InstalledAgent] = None,
    login: Optional[Login] = None,
) -> None:
    """Keep what is known of the agent, durably: operations of contained nodes are sent by its name."""
    name = _name()
    record = _recorded()
    record.update({"name": name, "queue": name, "install_method": wish.method})
    if wish.ip:
        record["ip"] = wish.ip
    if heartbeat is not None:
        record.update(version=heartbeat.version, python=heartbeat.python, system=heartbeat.platform)
    if installed is not None:
        record["service"] = installed.service
    if login is not None and login.shown_key() is not None:
        record["host_key"] = login.shown_key()
    ctx.instance.runtime_properties[RECORD] = record
    ctx.instance.update()


def _login(wish: Wish) -> Login:
    record = _recorded()
    return login_of(wish, _work_dir(), pinned=record.get("host_key"), accept_new=_access().accept_new_host_keys)


def _wish(given: Optional[dict[str, Any]]) -> Wish:
    return read_wish(ctx.node.properties, ctx.instance.runtime_properties, given)


def _access() -> InstallerAccess:
    found = ctx.extras.get("installer_access")
    if not found:
        raise NonRecoverableError(
            f"{ctx.operation.name} needs a broker that the dispatcher manages: set broker_urls and "
            "broker_management_url, and run `outrider broker setup`"
        )
    return InstallerAccess.from_json(found)


def _name() -> str:
    return str(_recorded().get("name") or ctx.extras["agent_name"])


def _is_anothers() -> bool:
    """Tell whether the dispatcher knows the name as that of another host's agent."""
    return bool(ctx.extras.get("agent_name_taken"))


def _recorded() -> dict[str, Any]:
    return dict(ctx.instance.runtime_properties.get(RECORD) or {})


def _work_dir() -> Path:
    return Path(ctx.work_dir)


def _tell_of_arrival(event: StepEvent) -> None:
    """Tell as always, and remember, before anything is put there, that there may be something on the host."""
    if event.step == Step.CONNECT.value and event.state is StepState.DONE:
        _note_reached(reached=True)
    _tell(event)


def _note_reached(*, reached: bool) -> None:
    ctx.instance.runtime_properties[RECORD] = {**_recorded(), "reached": reached}
    ctx.instance.update()


def _tell(event: StepEvent) -> None:
    if event.state in (StepState.DONE, StepState.SKIPPED):
        ctx.logger.info("%s: %s %s %s", event.host, event.step, event.state.value, event.detail)
