"""What people are shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from egtunnel.relay.addresses import Addresses, is_local, is_loopback, parse_public_url

FETCHED = "EGTUNNEL_TOKEN=$(ssh example.com cat "
FOUND = Path("/home/me/.local/state/egtunnel/relay/token")


@pytest.mark.parametrize(
    ("addresses", "name", "host"),
    [
        (Addresses("localhost", "http", 7070), "http://app.localhost:7070", "http://dev.example.org:7070"),
        (Addresses("example.com", "http", 80), "http://app.example.com", "http://dev.example.org"),
        (Addresses("example.com", "https", 443), "https://app.example.com", "https://dev.example.org"),
        (Addresses("example.com", "https", 80), "https://app.example.com:80", "https://dev.example.org:80"),
    ],
)
def test_public_urls_name_the_port_only_where_it_is_needed(addresses: Addresses, name: str, host: str) -> None:
    """As a browser would write them."""
    assert (addresses.name_url("app"), addresses.host_url("dev.example.org")) == (name, host)
    assert addresses.tcp_url("20001") == f"tcp://{addresses.domain}:20001"


@pytest.mark.parametrize(
    ("addresses", "token_file", "line"),
    [
        (Addresses("localhost", "http", 7070), FOUND, "twistd -n egclient --local 8080"),
        (
            Addresses("localhost", "http", 8000),
            Path("/my state/token"),
            "twistd -n egclient --relay ws://localhost:8000 --token-file '/my state/token' --local 8080",
        ),
        (
            Addresses("localhost", "http", 7070, "/link"),
            FOUND,
            "twistd -n egclient --relay ws://localhost:7070/link --local 8080",
        ),
        (
            Addresses("example.com", "https", 443),
            FOUND,
            f"{FETCHED}{FOUND}) twistd -n egclient --relay wss://example.com --local 8080",
        ),
        (
            Addresses("example.com", "http", 7070),
            Path("/s/token"),
            f"{FETCHED}/s/token) twistd -n egclient --relay ws://example.com:7070 --insecure --local 8080",
        ),
    ],
)
def test_the_line_that_connects_a_client_works_as_it_stands(addresses: Addresses, token_file: Path, line: str) -> None:
    """On this machine the token is found, for another it is fetched; it never is part of the line."""
    assert addresses.client_line(token_file, FOUND) == line


@pytest.mark.parametrize(
    ("scheme", "port", "relay"),
    [
        ("http", 80, "ws://example.com --insecure"),
        ("http", 7070, "ws://example.com:7070 --insecure"),
        ("https", 443, "wss://example.com"),
        ("https", 8443, "wss://example.com:8443"),
    ],
)
def test_the_line_for_everybody_says_nothing_of_the_token(scheme: str, port: int, relay: str) -> None:
    """Not even where it is."""
    assert Addresses("example.com", scheme, port).public_line() == f"twistd -n egclient --relay {relay} --local 8080"
    assert Addresses("localhost", "http", 7070).public_line() == "twistd -n egclient --local 8080"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("https://example.com", ("https", "example.com", 443)),
        ("https://Example.com/", ("https", "example.com", 443)),
        ("http://example.com:8080", ("http", "example.com", 8080)),
    ],
)
def test_a_public_url_is_scheme_host_and_port(text: str, parts: tuple[str, str, int]) -> None:
    """Defaults of the scheme included."""
    assert parse_public_url(text) == parts


@pytest.mark.parametrize("text", ["", "example.com", "wss://example.com", "https://", "https://a/b", "https://a?b", "https://u@a",
                                  "https://a:0", "https://a:99999", "https://a:x", "https://[::1"])  # fmt: skip
def test_anything_else_is_no_public_url(text: str) -> None:
    """Said with a reason."""
    with pytest.raises(ValueError, match=r"."):
        parse_public_url(text)


def test_what_is_local() -> None:
    """Names and addresses that mean this machine, and those that only look so."""
    assert [is_local(name) for name in ("localhost", "a.localhost", "notlocalhost", "localhost.com")] == [1, 1, 0, 0]
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "127.9.9.9", "", "::", "0.0.0.0")] == [1, 1, 1, 0, 0, 0]
