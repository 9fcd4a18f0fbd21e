"""What ``--local`` may say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock

from egtunnel.client.targets import parse_target
from egtunnel.errors import ConfigurationError
from egtunnel.interfaces import Visitor

VISITOR = Visitor("http", "192.0.2.7", 50000)


def dialled(text: str) -> Any:
    """A reactor that was asked to reach the target, and has not answered."""
    reactor: Any = MemoryReactorClock()
    endpoint = parse_target(text).dialer(reactor)(VISITOR)
    endpoint.connect(Factory.forProtocol(Protocol)).addErrback(lambda _: None)
    return reactor


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("8080", "127.0.0.1", 8080),
        ("localhost:8080", "127.0.0.1", 8080),
        ("http://localhost:3000", "127.0.0.1", 3000),
        ("http://localhost", "127.0.0.1", 80),
        ("app.localhost:8080", "127.0.0.1", 8080),
        ("192.0.2.1:22", "192.0.2.1", 22),
        ("[::1]:8080", "::1", 8080),
        ("http://[2001:db8::1]:81/", "2001:db8::1", 81),
        ("https://192.0.2.1", "192.0.2.1", 443),
        ("h2c://localhost:50051", "127.0.0.1", 50051),
        ("H2C://192.0.2.1/", "192.0.2.1", 80),
        ("tcp:192.0.2.1:22", "192.0.2.1", 22),
        ("tcp:host=192.0.2.1:port=22:timeout=3", "192.0.2.1", 22),
        ("  8080 ", "127.0.0.1", 8080),
    ],
)
def test_addresses_are_dialled_at_once(text: str, host: str, port: int) -> None:
    """A numeric address, and this machine, need no name resolution."""
    assert [client[:2] for client in dialled(text).tcpClients] == [(host, port)]


def test_a_unix_socket_is_dialled_by_its_path() -> None:
    """``unix:/path``."""
    assert [client[0] for client in dialled("unix:/run/app.sock").unixClients] == ["/run/app.sock"]


@pytest.mark.parametrize(("text", "scheme"), [("8080", "http"), ("https://a.example", "https"), ("HTTP://a:1", "http")])
def test_the_scheme_is_known(text: str, scheme: str) -> None:
    """Only https:// means TLS."""
    assert parse_target(text).scheme == scheme


@pytest.mark.parametrize(
    ("text", "protocol"), [("8080", ""), ("http://a:1", ""), ("https://a:1", ""), ("unix:/a", ""), ("h2c://a:1", "h2c")]
)
def test_the_protocol_is_known(text: str, protocol: str) -> None:
    """Only h2c:// means HTTP/2 in the clear."""
    target = parse_target(text)
    assert (target.protocol, target.scheme) == (protocol, "https" if text.startswith("https") else "http")


def test_the_same_target_has_the_same_key_however_it_is_written() -> None:
    """The relay gives the same name again for the same key, so spelling must not matter."""
    same = ["8080", "localhost:8080", "LOCALHOST:8080", "http://localhost:8080", "http://localhost:8080/"]
    assert len({parse_target(text).key for text in same}) == 1
    assert (
        len(
            {
                parse_target(text).key
                for text in ["8080", "8081", "https://localhost:8080", "h2c://localhost:8080", "[::1]:8080"]
            }
        )
        == 5
    )


def test_the_key_stays_the_same_in_later_versions() -> None:
    """Changing it would change the public names of everybody."""
    assert parse_target("8080").key == "5abcc2310798d9534162d9086322c538ee9e46de4eeb88ee2399477a3234d7ff"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "65536",
        "99999999999999999999",
        "localhost",
        "example.com",
        ":8080",
        "::1:8080",
        "[::1]",
        "[::1:8080",
        "unix:",
        "-bad-:80",
        "http://",
        "http://host:0",
        "http://host:99999",
        "http://host:",
        "http://[::1",
        "http://user:pass@host:80",
        "http://host:80/path",
        "http://host:80/?query",
        "https://host/#fragment",
        "h2c://",
        "h2c://host:1/path",
        "8080\n8081",
        "x" * 1001,
    ],
)
def test_other_texts_are_refused_at_once(text: str) -> None:
    """With an error of configuration that repeats at most the beginning of the text."""
    with pytest.raises(ConfigurationError) as caught:
        parse_target(text)
    assert len(caught.value.text) < 300


@pytest.mark.parametrize(
    "text", ["tcp:8080", "tcp:host:port", "nonsense:1:2", "tcp:a:1:timeout=x", "host:port", "ssl:x"]
)
def test_an_endpoint_string_that_cannot_work_is_refused_before_it_is_dialled(text: str) -> None:
    """Endpoint parsers raise what they like; we raise our own."""
    target = parse_target(text)
    with pytest.raises(ConfigurationError, match="target"):
        target.dialer(MemoryReactorClock())


@given(st.one_of(st.text(), st.from_regex(r"(https?|unix|tcp|ssl|tls|\[?[a-z0-9:.%]+\]?):.*")))
@example("tcp:\ud800")
@example("http://\ud800")
@example("http://[v1.x]:1")
@example("a" * 64 + ".example:1")
def test_no_text_raises_anything_else(text: str) -> None:
    """Any text is a target or an error of configuration, at reading or at making the dialer."""
    try:
        parse_target(text).dialer(MemoryReactorClock())
    except ConfigurationError as error:
        assert error.text
