"""The table of a relay's rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from egtunnel.errors import Refused
from egtunnel.guard import Asked, Denial
from egtunnel.interfaces import Visitor
from egtunnel.relay.addresses import Addresses
from egtunnel.relay.guards import Post
from egtunnel.relay.rules import rules
from egtunnel.relay.settings import RelaySettings
from egtunnel.relay.sharing import Sharing

SETTINGS = RelaySettings(Addresses("localhost", "http", 7070), Path("nowhere"))
GUARDS = rules(Clock(), SETTINGS, Sharing(None, Clock(), SETTINGS))
WEB = Post("http", "app")
HASH = "$2b$04$" + "a" * 53
WHOLE: dict[str, Any] = {
    "allow": ["10.0.0.0/8"],
    "deny": ["10.0.0.7"],
    "basic": {"ali": HASH},
    "api-keys": ["0" * 64],
    "webhook": {"kind": "github", "header": "", "secrets": ["a-long-secret"]},
    "jwt": {"jwks": "https://login.test/keys", "issuer": "i", "audience": "a"},
}
LOGIN: dict[str, Any] = {
    "issuer": "https://login.test",
    "client_id": "a",
    "client_secret": "s",
    "allow": ["*"],
    "scopes": [],
}


def status(access: dict[str, Any], host: str) -> int | None:
    """What a visitor without any header is answered."""
    guard = GUARDS.make(GUARDS.check("http", access), WEB)
    assert guard is not None
    verdict = guard.judge(Asked(b"GET", b"/"), Visitor("http", host, 4711, "app"))
    return verdict.status if isinstance(verdict, Denial) else None


def test_every_rule_has_to_agree_and_addresses_come_first() -> None:
    """Who may not come from there is not asked for a password."""
    assert status(WHOLE, "11.0.0.1") == 403
    assert status(WHOLE, "10.0.0.7") == 403
    assert status(WHOLE, "10.0.0.8") == 401
    assert status({"allow": ["10.0.0.0/8"]}, "10.0.0.8") is None


@pytest.mark.parametrize("name", ["basic", "api-keys", "webhook", "jwt", "oidc"])
def test_a_tcp_tunnel_has_rules_about_addresses_only(name: str) -> None:
    """Any other is refused, not ignored."""
    with pytest.raises(Refused, match=f"{name} is a rule for HTTP") as caught:
        GUARDS.check("tcp", {name: (WHOLE | {"oidc": LOGIN})[name]})
    assert caught.value.reason == "bad-access"
    guard = GUARDS.make(GUARDS.check("tcp", {"allow": ["10.0.0.0/8"]}), Post("tcp", "20000"))
    assert guard is not None and guard.admits(Visitor("tcp", "10.0.0.1", 1, "20000"))
    assert not guard.admits(Visitor("tcp", "192.0.2.1", 1, "20000"))
