"""What a token may do: each rule refuses by its name; JSON there and back; strict reading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egtunnel.access.scope import KINDS, RULES, PortRange, Scope
from egtunnel.errors import ConfigurationError, Refused

ROOT = Path(__file__).resolve().parents[2]
DEMO = Scope(
    kinds=frozenset({"http", "tcp", "udp"}),
    names=("demo-*",),
    hosts=("*.example.org",),
    tcp_ports=(PortRange(20000, 20009), PortRange(2222, 2222)),
    udp_ports=(),
    tunnels=2,
    private=False,
    sharing=False,
    visits=("demo-*",),
)
CASES: list[tuple[str, dict[str, Any]]] = [
    ("kinds", {"kind": "tls", "name": "demo-a"}),
    ("names", {"kind": "http", "name": "other"}),
    ("names", {"kind": "http", "name": "a-demo-"}),
    ("names", {"kind": "http"}),
    ("hosts", {"kind": "http", "host": "example.org"}),
    ("hosts", {"kind": "http", "host": "a.example.org.evil.example"}),
    ("tcp-ports", {"kind": "tcp", "port": 20010}),
    ("udp-ports", {"kind": "udp", "port": 2222}),
    ("udp-ports", {"kind": "udp"}),
    ("tunnels", {"kind": "http", "name": "demo-c", "held": 2}),
    ("private", {"kind": "http", "name": "demo-a", "private": True}),
    ("sharing", {"kind": "http", "name": "demo-a", "sharing": True}),
    ("visits", {"name": "other"}),
]


@pytest.mark.parametrize(("rule", "claim"), CASES)
def test_a_refusal_names_its_rule(rule: str, claim: dict[str, Any]) -> None:
    """In the reason, for programs, and in the text, for a person; asking again does not help."""
    with pytest.raises(Refused) as caught:
        (DEMO.check_visit if rule == "visits" else DEMO.check_claim)(**claim)
    assert caught.value.reason == f"scope-{rule}"
    assert f"rule '{rule}'" in caught.value.text
    assert not caught.value.retry


def test_visits_that_are_named_and_those_that_are_not() -> None:
    """Without the rule nothing is said: then it is the owner that counts."""
    assert DEMO.check_visit("demo-db")
    assert not Scope().check_visit("demo-db")


def test_every_rule_is_tried() -> None:
    """In the table above; and stands in the reference."""
    assert {rule for rule, _ in CASES} == set(RULES)
    reference = (ROOT / "docs" / "reference.md").read_text()
    assert not [rule for rule in RULES if f"| `scope-{rule}` |" not in reference]


@pytest.mark.parametrize(
    "claim",
    [
        {"kind": "http", "name": "demo-a", "held": 1},
        {"kind": "http", "name": "DEMO-A"},
        {"kind": "http", "host": "a.example.org."},
        {"kind": "tcp", "port": 2222},
        {"kind": "tcp", "port": 20009},
        {"kind": "tcp"},
    ],
)
def test_what_the_scope_allows_passes(claim: dict[str, Any]) -> None:
    """Case and a trailing dot change nothing; port 0 is chosen by the relay, from these."""
    DEMO.check_claim(**claim)


@given(st.sampled_from(sorted(KINDS)), st.text(max_size=20), st.integers(0, 65_535), st.integers(0, 1_000))
def test_a_scope_without_rules_refuses_nothing(kind: str, name: str, port: int, held: int) -> None:
    """Whatever is asked for."""
    Scope().check_claim(kind, name=name, host=name, port=port, held=held, private=True, sharing=True)


PORTS = st.tuples(st.integers(1, 65_535), st.integers(1, 65_535)).map(lambda pair: PortRange(*sorted(pair)))
PATTERNS = st.lists(st.from_regex(r"[a-z0-9*.-]{1,20}", fullmatch=True), max_size=4).map(tuple)
SCOPES = st.builds(
    Scope,
    kinds=st.none() | st.frozensets(st.sampled_from(sorted(KINDS))),
    names=st.none() | PATTERNS,
    hosts=st.none() | PATTERNS,
    tcp_ports=st.none() | st.lists(PORTS, max_size=3).map(tuple),
    udp_ports=st.none() | st.lists(PORTS, max_size=3).map(tuple),
    tunnels=st.none() | st.integers(0, 1_000),
    private=st.booleans(),
    sharing=st.booleans(),
)


@given(SCOPES)
def test_a_scope_comes_back_from_json(scope: Scope) -> None:
    """As text, as the store keeps it."""
    assert Scope.from_json(json.loads(json.dumps(scope.to_json()))) == scope


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"name": ["demo"]},
        {"names": "demo-*"},
        {"names": ["demo/*"]},
        {"names": ["[a-z]"]},
        {"names": [""]},
        {"names": ["a" * 254]},
        {"names": ["a"] * 101},
        {"names": None},
        {"kinds": ["ftp"]},
        {"tcp_ports": ["2-1"]},
        {"tcp_ports": ["0"]},
        {"tcp_ports": ["1-65536"]},
        {"tcp_ports": [2222]},
        {"tcp_ports": ["²"]},
        {"tunnels": True},
        {"tunnels": -1},
        {"tunnels": 1.5},
        {"requests": 5},
        {"private": 1},
    ],
)
def test_anything_else_is_not_read(value: object) -> None:
    """A rule that was misspelt would otherwise be no rule."""
    with pytest.raises(ConfigurationError):
        Scope.from_json(value)
