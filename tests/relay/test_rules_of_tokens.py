"""Rules that a token brings for all its tunnels."""

from __future__ import annotations

import json
from typing import Any

import pytest

from egtunnel.access.scope import Scope
from egtunnel.errors import ConfigurationError
from egtunnel.relay.addresses import Addresses
from egtunnel.relay.claims import Claims
from egtunnel.relay.guards import Guards
from egtunnel.relay.reservations import Owner
from egtunnel.session.messages import Claim, Claimed, RefusedMessage
from tests.guards import Decided
from tests.relay.house import House


class Session:
    """Takes what a client is told."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.id = "s1"

    def send(self, message: Any) -> None:
        self.sent.append(message)


def claimed(scope: Scope, **access: Any) -> tuple[Any, dict[str, Any]]:
    """The answer to a claim, and the rules that the tunnel has then."""
    house = House()
    house.table.guards = Guards({name: lambda value, post: Decided() for name in ("allow", "deny", "private")})
    session: Any = Session()
    claims = Claims(session, Owner("t", "c"), house.table, Addresses("example.com", "http", 80), scope=scope)
    claims.message(Claim(1, "http", name="app", access=access))
    tunnel = claims.tunnels.get(1)
    return session.sent[-1], json.loads(tunnel.manner.access or "{}") if tunnel is not None else {}


def test_a_tokens_rules_are_its_tunnels() -> None:
    """Beside those of the client; of the same rule the token's holds."""
    scope = Scope.from_json({"access": {"allow": ["10.0.0.0/8"], "private": True}})
    answer, rules = claimed(scope, allow=["0.0.0.0/0"], deny=["10.1.0.0/16"])
    assert isinstance(answer, Claimed) and answer.guarded
    assert rules == {"allow": ["10.0.0.0/8"], "deny": ["10.1.0.0/16"], "private": {"owner": ""}}
    assert claimed(Scope.from_json({"access": {"allow": ["10.0.0.0/8"]}}))[1] == {"allow": ["10.0.0.0/8"]}


def test_a_rule_that_cannot_be_refuses_the_claim() -> None:
    """It is never ignored."""
    answer, _ = claimed(Scope.from_json({"access": {"colours": 7}}))
    assert isinstance(answer, RefusedMessage) and answer.code == "bad-access"


@pytest.mark.parametrize("wrong", [[], "allow", {"allow": "x" * 20_000}], ids=["list", "text", "too large"])
def test_what_is_no_set_of_rules(wrong: Any) -> None:
    """It is said when the token is made."""
    with pytest.raises(ConfigurationError):
        Scope.from_json({"access": wrong})
