"""Limits of a token with a real relay: over all its tunnels, in one process and in two."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from egtunnel.limits.quota import month_of
from tests.integration.daemons import Client, Daemon, Relay, until
from tests.integration.rawhttp import get
from tests.integration.token_store import TokenStore
from tests.integration.upstreams import Nginx

Start = Callable[[Daemon], Daemon]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_rate_and_quota_of_a_token(tmp_path: Path, start: Start, nginx: Nginx, workers: str) -> None:
    """Two tunnels together get what the token may; a month that is used up is 429, and other tokens go on."""
    tokens = TokenStore(tmp_path)
    limited, env = tokens.token(limits={"rate": "2/h", "quota": "10k"})
    _, other = tokens.token()
    relay = Relay(tmp_path, "--store", "sqlite", "--workers", workers)
    start(relay)
    relay.ready()
    for name, variables in (("one", env), ("two", env), ("free", other)):
        state = tmp_path / name
        state.mkdir()
        client = Client(relay, "--local", str(nginx.port), "--name", name, "--state", str(state), env=variables)
        start(client)
        client.url()
    names = ("one", "two") * 10
    statuses = [get(relay.port, relay.host(name), "/hello").status for name in names]
    # each worker lets its part through, and visitors come to either
    assert 1 <= statuses.count(200) <= int(workers) and set(statuses) == {200, 429}
    assert [get(relay.port, relay.host("free"), "/hello").status for _ in range(5)] == [200] * 5
    with until("what passed to be in the store") as deadline:
        while time.monotonic() < deadline:
            used = tokens.database.read(lambda rows: rows.usage.of(limited, month_of(time.time())))
            if used.requests and used.sent:
                break
            time.sleep(0.1)
    assert used.received > 0
    tokens.close()


def test_a_quota_is_kept_over_a_restart(tmp_path: Path, start: Start, nginx: Nginx) -> None:
    """What was used before counts."""
    tokens = TokenStore(tmp_path)
    _, env = tokens.token(limits={"quota": "20k"})
    relay = Relay(tmp_path, "--store", "sqlite")
    for turn in range(2):
        if turn:
            relay = Relay(tmp_path, "--store", "sqlite", port=relay.port)
        start(relay)
        relay.ready()
        client = Client(relay, "--local", str(nginx.port), "--name", "app", env=env)
        start(client)
        client.url()
        with until("the quota to be used up") as deadline:
            answer = get(relay.port, relay.host("app"), "/hello")
            while answer.status == 200 and time.monotonic() < deadline:
                answer = get(relay.port, relay.host("app"), "/hello")
                time.sleep(0.05 if turn else 0)
        assert answer.status == 429
        client.stop()
        relay.stop()
    tokens.close()
