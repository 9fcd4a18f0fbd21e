"""The cookie of a share: for one share, one host, one time; a changed one is worth nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egtunnel.access.cookies import ShareCookie, read_cookie, set_cookie, sign_cookie

KEY = bytes(range(32))
HOST = "ann.example.com"
COOKIE = ShareCookie("s1", 1_000)
TEXT = sign_cookie(KEY, HOST, COOKIE)


def test_a_cookie_is_read_where_it_was_made() -> None:
    """The host in any case, until its moment."""
    assert read_cookie(KEY, "ANN.example.com.", TEXT, 999.9) == COOKIE
    assert read_cookie(KEY, HOST, TEXT, 1_000.0) is None


@pytest.mark.parametrize("host", ["bob.example.com", "example.com", "", "ann.example.com:80"])
def test_a_cookie_of_one_tunnel_is_useless_on_another(host: str) -> None:
    """The host is signed, though it does not stand in the cookie."""
    assert read_cookie(KEY, host, TEXT, 0.0) is None


@given(st.integers(0, len(TEXT) - 1), st.characters())
def test_one_changed_letter_ends_it(place: int, letter: str) -> None:
    """Anywhere. The last letter of the signature is compared as text, so it has no spare bits to play with."""
    changed = TEXT[:place] + letter + TEXT[place + 1 :]
    assert (read_cookie(KEY, HOST, changed, 0.0) is None) == (changed != TEXT)


@given(st.text(max_size=100))
def test_any_text_can_be_asked_about(text: str) -> None:
    """What a visitor sends raises nothing."""
    assert read_cookie(KEY, HOST, text, 0.0) is None


@pytest.mark.parametrize(
    "text", ["s1.01000.", "s1.1000", "..", "s1.\u0661.x", "a" * 600, "s1.-1.x", "s1.1000." + "\u00e9"]
)
def test_other_shapes_are_no_cookies(text: str) -> None:
    """Nor is a second spelling of the same one."""
    assert read_cookie(KEY, HOST, text, 0.0) is None


def test_another_key_signs_otherwise() -> None:
    """And a short one not at all; nor what is no id."""
    assert read_cookie(bytes(32), HOST, TEXT, 0.0) is None
    for key, share in ((b"short", "s1"), (KEY, "a.b"), (KEY, "")):
        with pytest.raises(ValueError, match=r"key|id"):
            sign_cookie(key, HOST, ShareCookie(share, 1))


def test_the_header_keeps_it_on_its_host() -> None:
    """No Domain; the prefix where browsers take it."""
    header = set_cookie("x", secure=True, max_age=60)
    assert header == "__Host-egtunnel-share=x; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
    assert set_cookie("x", secure=False, max_age=60).startswith("egtunnel-share=x; Path=/;")
