"""What may be asked of a share."""

from __future__ import annotations

from typing import Any

import pytest

from egtunnel.access.passphrases import passphrase_fits
from egtunnel.errors import ConfigurationError
from egtunnel.sharing.making import LINK, create_share, digest_of_link, read_wish


def test_a_share_of_all_that_can_be_said() -> None:
    """The record holds no secret: neither the link nor the passphrase."""
    wish = read_wish(
        {
            "tunnels": ["App.example.com"],
            "services": ["/mail", {"name": "files", "prefix": "/files/"}],
            "permissions": ["read", "POST"],
            "expires_in": "2h",
            "uses": 3,
            "passphrase": "open sesame",
            "note": "for Bea",
        }
    )
    made = create_share(wish, "ann", 1000.0)
    record = made.record
    assert LINK.fullmatch(made.token)
    assert record.digest == digest_of_link(made.token)
    assert record.tunnels == ("app.example.com",)
    assert [service["prefix"] for service in record.services] == ["/mail", "/files"]
    assert (record.created, record.expires, record.uses_left, record.note) == (1000.0, 8200.0, 3, "for Bea")
    assert passphrase_fits("open sesame", record.passphrase)
    assert made.token not in repr(made) and "open sesame" not in repr(wish) + repr(made)


def test_what_is_not_said() -> None:
    """A week, reading alone, everything of the tunnels that were named outside."""
    made = create_share(read_wish({}, ["app.example.com"]), "ann", 0.0)
    assert (made.record.expires, made.record.permissions, made.record.services) == (604_800.0, ("read",), ())
    assert create_share(read_wish({"expires_in": "never"}, ["a.example"]), "ann", 0.0).record.expires is None


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {"colour": "red"},
        {"tunnels": []},
        {"tunnels": ["a.example"] * 33},
        {"tunnels": ["http://a.example/"]},
        {"tunnels": [7]},
        {"tunnels": "a.example"},
        {"services": "/mail"},
        {"services": [7]},
        {"services": ["/mail"] * 33},
        {"services": ["/../etc"]},
        {"services": [{"name": "x", "tunnel": "other.example"}]},
        {"permissions": []},
        {"permissions": ["fly high"]},
        {"permissions": [7]},
        {"expires_in": "soon"},
        {"expires_in": 7},
        {"uses": 0},
        {"uses": True},
        {"uses": "3"},
        {"passphrase": "x" * 257},
        {"note": "x" * 501},
        {"note": 7},
    ],
    ids=repr,
)
def test_what_cannot_be(wrong: Any) -> None:
    """Each is named, and nothing is made."""
    value = {"tunnels": ["a.example"], **wrong} if isinstance(wrong, dict) else wrong
    with pytest.raises(ConfigurationError):
        read_wish(value)
