"""The metrics in Prometheus' text format, read by Prometheus' own parser."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from outrider.dispatcher.store import agents
from outrider.dispatcher.store.agents import Agent
from tests.support.managers import manager_here


def test_the_metrics_are_what_the_operations_guide_alerts_on(tmp_path: Path) -> None:
    odd = 'an "agent" \\ of\nodd name'
    with manager_here(tmp_path) as (running, manager):
        with manager.database.begin() as connection:
            agents.save(connection, Agent(id=odd, last_seen_at=1_700_000_000.5, created_at=1))
        assert running.call("GET", "/outrider/v1/metrics", user=None).status_code == 401
        assert running.call("GET", "/deployments").status_code == 200
        answer = running.call("GET", "/outrider/v1/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    families = {each.name: each for each in text_string_to_metric_families(answer.text)}
    types = {name: family.type for name, family in families.items()}
    assert types["outrider_http_requests"] == "counter"
    assert types["outrider_http_request_seconds"] == "histogram"
    seen = families["outrider_agent_last_seen_timestamp_seconds"].samples
    assert [(each.labels, each.value) for each in seen] == [({"agent": odd}, 1_700_000_000.5)]
    opened = {each.labels["state"]: each.value for each in families["outrider_open_attempts"].samples}
    assert opened == {"sending": 0, "sent": 0, "started": 0}, "an alert needs the zero that it waits for"
    requests = [each for each in families["outrider_http_requests"].samples if each.labels["route"] == "/deployments"]
    assert [(each.labels["status"], each.value) for each in requests] == [("200", 1.0)]
