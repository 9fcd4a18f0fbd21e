"""The relay's URL, in the forms people write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egtunnel.client.relay_address import parse_relay
from egtunnel.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("ws://localhost:7070", "ws://localhost:7070/connect"),
        ("http://localhost:7070/", "ws://localhost:7070/connect"),
        ("https://example.com", "wss://example.com:443/connect"),
        ("wss://Example.COM./deep/path", "wss://example.com:443/deep/path"),
        ("http://[::1]:7070", "ws://[::1]:7070/connect"),
        ("http://192.0.2.1", "ws://192.0.2.1:80/connect"),
        ("wss://büro.example", "wss://xn--bro-hoa.example:443/connect"),
    ],
)
def test_urls_are_read(text: str, url: str) -> None:
    """http and ws are the same, https and wss too; the port and the path have defaults."""
    assert parse_relay(text).url == url


def test_a_path_in_the_url_wins_over_the_option() -> None:
    """--link-path speaks for URLs that name none."""
    assert parse_relay("wss://example.com", "/tunnel").path == "/tunnel"
    assert parse_relay("wss://example.com/own", "/tunnel").path == "/own"


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("ws://localhost", True),
        ("ws://relay.localhost", True),
        ("ws://127.9.9.9", True),
        ("ws://[::1]", True),
        ("ws://localhost.example.com", False),
        ("ws://127.0.0.1.example.com", False),
        ("ws://10.0.0.1", False),
        ("ws://notlocalhost", False),
    ],
)
def test_only_this_machine_is_loopback(text: str, loopback: bool) -> None:
    """The token goes in the clear to these and to no others."""
    assert parse_relay(text).loopback is loopback


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost:7070",
        "ftp://example.com",
        "ws://",
        "ws://example.com:0",
        "ws://example.com:99999",
        "ws://[::1",
        "ws://user:secret@example.com",
        "ws://example.com/?token=secret",
        "ws://example.com/#x",
        "ws://exa mple.com",
        "ws://example.com/pa th",
    ],
)
def test_other_urls_are_refused(text: str) -> None:
    """With the one error of configuration; a secret in the URL is not repeated in it."""
    with pytest.raises(ConfigurationError) as caught:
        parse_relay(text)
    assert "secret" not in caught.value.text


@given(st.text())
def test_no_text_raises_anything_else(text: str) -> None:
    """Any text is read or refused."""
    for prefix in ("", "ws://", "wss://[", "http://a:"):
        try:
            address = parse_relay(prefix + text)
        except ConfigurationError:
            continue
        assert address.url.isascii()
