"""The rule ``visitor-ca``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from egtunnel.access.certificates import ANOTHER, WANTED, visitor_ca
from egtunnel.guard import AccessError, Asked
from egtunnel.interfaces import Visitor
from tests.client.certificates import Authority

ASKED = Asked(b"GET", b"/", host=b"app.example.com", scheme="https")


@pytest.fixture
def authority(tmp_path: Path) -> str:
    """As PEM."""
    return Authority(tmp_path).file.read_text()


def visitor(**facts: str) -> Visitor:
    return Visitor("http", "192.0.2.7", 4711, "app", **facts)


def test_who_has_shown_a_certificate(authority: str) -> None:
    """Of just these authorities; what another connection has shown, or an earlier rule has asked for, is not enough."""
    rule = visitor_ca(authority)
    assert rule.judge(ASKED, visitor(tls_name="app.example.com", certified_by=authority)) is None
    assert rule.judge(ASKED, visitor(tls_name="app.example.com", certified_by=authority + authority)) is ANOTHER
    assert rule.judge(ASKED, visitor(tls_name="other.example.com")) is ANOTHER
    assert rule.judge(ASKED, visitor()) is WANTED
    assert rule.judge(Asked(b"GET", b"/", prefix=b"/app"), visitor(tls_name="example.com")) is WANTED
    assert not rule.admits(visitor())


@pytest.mark.parametrize("value", [None, "", [], "-----BEGIN CERTIFICATE-----\n", "\u00e4", "x" * 30_000])
def test_what_is_no_authority(value: Any) -> None:
    """Refuses the rule."""
    with pytest.raises(AccessError):
        visitor_ca(value)


def test_too_many_authorities(authority: str) -> None:
    """Ten are enough."""
    visitor_ca(authority * 10)
    with pytest.raises(AccessError):
        visitor_ca(authority * 11)
