"""Host values and what they stand for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egtunnel.ingress.http.routes import LONGEST_HOST, Route, parse_host, route, split_path


@pytest.mark.parametrize(
    ("value", "name", "port"),
    [
        (b"app.relay.test", "app.relay.test", None),
        (b"APP.Relay.TEST.:8080", "app.relay.test", 8080),
        (b"app.relay.test:", "app.relay.test", None),
        (b"my_app.relay.test", "my_app.relay.test", None),
        (b"127.0.0.1:7070", "127.0.0.1", 7070),
        (b"[::1]:7070", "::1", 7070),
        (b"[2001:DB8::1]", "2001:db8::1", None),
    ],
)
def test_a_host_is_compared_in_lower_case_without_port_and_root_dot(value: bytes, name: str, port: int | None) -> None:
    """The value itself is kept as it was sent."""
    host = parse_host(value)
    assert host is not None
    assert (host.value, host.name, host.port) == (value, name, port)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b".",
        b":80",
        b"a b",
        b"a,b",
        b"a@b",
        b"a/b",
        b"a..b",
        b".a",
        b"a.b..",
        b"a:80x",
        b"a:0",
        b"a:65536",
        b"a:123456",
        b"a:-1",
        b"[::1",
        b"[app]",
        b"[::1]x",
        b"[12345::]",
        b"a\x00b",
        b"b\xc3\xbccher.test",
        b"a%2eb",
        b"a" * (LONGEST_HOST + 1),
    ],
)
def test_what_is_no_host_is_refused(value: bytes) -> None:
    """Only letters, digits, and - . : [ ] _ in their places."""
    assert parse_host(value) is None


@given(st.binary(max_size=40))
def test_any_bytes_are_a_well_formed_host_or_none(value: bytes) -> None:
    """Nothing raises; what is taken has a name of safe characters only."""
    host = parse_host(value)
    if host is not None:
        assert host.name
        assert set(host.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-_:")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"relay.test", Route()),
        (b"RELAY.test.:7070", Route()),
        (b"127.0.0.1", Route()),
        (b"[::1]", Route()),
        (b"app.relay.test", Route(name="app")),
        (b"a.b.relay.test", Route(name="a.b")),
        (b"www.custom.test", Route(custom="www.custom.test")),
        (b"evilrelay.test", Route(custom="evilrelay.test")),
        (b"relay.test.evil.test", Route(custom="relay.test.evil.test")),
    ],
)
def test_a_host_stands_for_a_name_a_custom_host_or_the_relay(value: bytes, expected: Route) -> None:
    """Below the domain is below a dot."""
    host = parse_host(value)
    assert host is not None
    assert route(host, "relay.test") == expected
    assert route(host, "relay.test").own == (expected == Route())


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/app/", ("app", b"/", b"")),
        (b"/App/x/../y//z%2f?q=/a?b", ("app", b"/x/../y//z%2f", b"?q=/a?b")),
        (b"/app", ("app", None, b"")),
        (b"/app?q", ("app", None, b"?q")),
        (b"/", None),
        (b"//app/", None),
        (b"/a%70p/", None),
        (b"/../app/", None),
        (b"/-app/", None),
        (b"/" + b"a" * 64 + b"/", None),
        (b"*", None),
    ],
)
def test_a_path_names_a_tunnel_by_its_first_segment(target: bytes, expected: object) -> None:
    """The rest is not touched."""
    assert split_path(target) == expected
