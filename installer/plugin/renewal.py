"""Upgrading an agent that nobody logs in to, for the built-in plugin `agent`: over its control queue.

The dispatcher offers this release's bundle in its files (`outrider.installer.enrolment`), the agent fetches it and
starts a program that replaces it (`outrider.agent.upgrade`). It keeps the new version once that answers over the
broker and is told to; otherwise the old one comes back by itself.
"""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from outrider.installer.bundle import target_of
from outrider.installer.errors import AgentRefuses, NoHeartbeat, OfferRefused, UpgradeRolledBack
from outrider.messaging.messages import AgentHeartbeat, ControlKind
from outrider.messaging.questions import Questions

#: The dispatcher may have to make its first bundle.
OFFER_SECONDS = 300.0
#: For fetching the bundle, for making an environment of it and starting that, and for the word about it.
BEGIN_SECONDS, SWITCH_SECONDS, GATE_SECONDS = 300.0, 600.0, 180.0
_ANSWER_SECONDS = 10.0
_POLL_SECONDS = 0.5
_PAUSE_SECONDS = 5.0
_REQUEST_SECONDS = 60.0
_UNDER_WAY = frozenset({"installing", "switched"})
_FAILED = frozenset({"failed", "rolled back", "stuck"})

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Offer:
    """What the dispatcher has for an agent: contents of its files, by hash."""

    version: str
    sha256: str
    program: str


@dataclass(frozen=True)
class Renewed:
    """How an upgrade ended."""

    before: str
    version: str

    @property
    def changed(self) -> bool:
        """Whether another version runs than before."""
        return self.before != self.version


def ask_for_offer(files: Json, token: str, beat: AgentHeartbeat) -> Offer:
    """Have the dispatcher put the bundle where the agent can fetch it. Raises `OfferRefused`."""
    target = target_of(beat.python, beat.tags)
    body = json.dumps({"upgrade": {"python": target.python, "platform": target.platform}}).encode()
    asked = urllib.request.Request(  # noqa: S310 - the dispatcher's own address
        f"{str(files['url']).rstrip('/')}/agents",
        data=body,
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    context = ssl.create_default_context(cadata=files["ca_pem"]) if files.get("ca_pem") else None
    deadline = time.monotonic() + OFFER_SECONDS
    while True:
        try:
            with urllib.request.urlopen(asked, timeout=_REQUEST_SECONDS, context=context) as answer:  # noqa: S310 - as above
                return Offer(**json.loads(answer.read()))
        except urllib.error.HTTPError as error:
            with error:
                failure = error.read(2000).decode(errors="replace").strip()
            passing = error.code in (429, 502, 503, 504)
        except OSError as error:
            failure, passing = str(error), True
        if not passing or time.monotonic() + _PAUSE_SECONDS > deadline:
            raise OfferRefused(f"the dispatcher at {files['url']} offers no bundle: {failure}")
        time.sleep(_PAUSE_SECONDS)


class BrokerUpgrade:
    """One agent's way to the offered version."""

    def __init__(self, asking: Questions, agent_id: str, *, of: str) -> None:
        """`of` names whoever wants it: an upgrade that an interrupted try began is gone on with."""
        self._asking = asking
        self._agent_id = agent_id
        self._of = of

    def run(self, offer: Offer, files: Json) -> Renewed:
        """Upgrade. Raises `AgentRefuses`, `NoHeartbeat` (it does not answer), `UpgradeRolledBack`."""
        note = self._ask({"step": "status"})
        if not self._is_mine(note) or note.get("phase") not in _UNDER_WAY:
            note = self._begin(offer, files)
        upgrade_id = str(note["id"])
        note = self._awaited(upgrade_id, {"switched", "done"}, SWITCH_SECONDS + GATE_SECONDS)
        if note["phase"] == "switched":
            # It answers, as the new version and over the broker: that is what an agent is for.
            self._ask({"step": "decide", "id": upgrade_id, "keep": True})
            note = self._awaited(upgrade_id, {"done"}, GATE_SECONDS)
        return Renewed(str(note["before"]), str(note["version"]))

    def _begin(self, offer: Offer, files: Json) -> Json:
        upgrade_id = f"{self._of}-{uuid.uuid4().hex}"
        begin = {
            "step": "begin",
            "id": upgrade_id,
            "sha256": offer.sha256,
            "program": offer.program,
            "version": offer.version,
            "gate_seconds": GATE_SECONDS,
            "files": dict(files),
        }
        # Asked once: a second question would be answered that the first is being done.
        self._ask(begin, limit_seconds=BEGIN_SECONDS, again_seconds=BEGIN_SECONDS)
        return {"id": upgrade_id}

    def _awaited(self, upgrade_id: str, phases: set[str], limit_seconds: float) -> Json:
        """Return the agent's note once it is in one of the phases and told by the version that it names."""
        deadline = time.monotonic() + limit_seconds
        said = "nothing"
        while time.monotonic() < deadline:
            try:
                note = self._ask({"step": "status"})
            except NoHeartbeat:  # between two versions
                continue
            said = str(note.get("phase", said))
            if note.get("id") == upgrade_id and said in _FAILED:
                raise UpgradeRolledBack(f"agent {self._agent_id}: {said}: {note.get('error')}")
            if note.get("id") == upgrade_id and said in phases and note["running"] == note["version"]:
                return note
            time.sleep(_POLL_SECONDS)
        raise UpgradeRolledBack(
            f"agent {self._agent_id} is not known to be upgraded after {limit_seconds:g} s (last heard of it: {said}); "
            "unless it is told otherwise it goes back to its old version by itself"
        )

    def _is_mine(self, note: Json) -> bool:
        return str(note.get("id", "")).startswith(f"{self._of}-")

    def _ask(self, payload: Json, *, limit_seconds: float = _ANSWER_SECONDS, again_seconds: float = 2.0) -> Json:
        reply = self._asking.ask(
            self._agent_id, ControlKind.UPGRADE, payload, timeout_seconds=limit_seconds, again_seconds=again_seconds
        )
        if reply is None:
            raise NoHeartbeat(f"agent {self._agent_id} did not answer within {limit_seconds:g} s")
        if not reply.ok:
            raise AgentRefuses(f"agent {self._agent_id} refuses: {reply.error}")
        return reply.payload
