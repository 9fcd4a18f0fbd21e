"""What is believed of X-Forwarded-* and Forwarded, and from whom."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egtunnel.ingress.http.forwarding import Told, evidence, read_told

PROXY, OTHER, VISITOR = "10.0.0.1", "10.0.0.2", "203.0.113.9"
FORGED = "198.51.100.66"


def trusts(host: str) -> bool:
    """The proxies of these tests, and an IPv6 one."""
    return host.startswith("10.") or host == "2001:db8::10"


def told(*headers: tuple[str, str], hops: int = 32) -> Told:
    """What is believed of these headers of a connection from the trusted proxy."""
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return read_told(evidence(raw), PROXY, 4711, trusts, hops)


def told_for(value: str, hops: int = 32) -> Told:
    """The same of one X-Forwarded-For."""
    return told(("X-Forwarded-For", value), hops=hops)


@pytest.mark.parametrize(
    ("value", "host", "chain"),
    [
        (VISITOR, VISITOR, (VISITOR,)),
        (f"{VISITOR}, {OTHER}", VISITOR, (VISITOR, OTHER)),
        (f"{FORGED}, {VISITOR}", VISITOR, (VISITOR,)),
        (f"{FORGED}, {VISITOR}, {OTHER}", VISITOR, (VISITOR, OTHER)),
        (f"{OTHER},10.0.0.3", OTHER, (OTHER, "10.0.0.3")),
        (f"{FORGED}, {OTHER}, {VISITOR}", VISITOR, (VISITOR,)),
        (f" {VISITOR} ,, ", VISITOR, (VISITOR,)),
        ("", PROXY, ()),
        (",,,", PROXY, ()),
    ],
)
def test_the_visitor_is_the_right_most_address_that_is_not_trusted(
    value: str, host: str, chain: tuple[str, ...]
) -> None:
    """What stands left of it was said by nobody who is believed; where all are trusted, it is the left-most."""
    found = told_for(value)
    assert (found.host, found.chain) == (host, chain)


@pytest.mark.parametrize(
    ("value", "host", "port"),
    [
        (f"{VISITOR}:5678", VISITOR, 5678),
        ("2001:db8::9", "2001:db8::9", 0),
        ("[2001:db8::9]", "2001:db8::9", 0),
        ("[2001:DB8:0::9]:443", "2001:db8::9", 443),
        ('"[2001:db8::9]:443"', "2001:db8::9", 443),
        (f"::ffff:{VISITOR}", VISITOR, 0),
        (f"[::ffff:{VISITOR}]:1", VISITOR, 1),
        ("::ffff:cb00:7109", VISITOR, 0),
    ],
)
def test_addresses_are_read_however_they_are_written(value: str, host: str, port: int) -> None:
    """With ports, brackets and quotes; always given in one form."""
    assert told_for(value)[:2] == (host, port)


@pytest.mark.parametrize(
    "garbage",
    [
        *("unknown", "_hidden", "localhost", "1.2.3", "1.2.3.4.5", "01.2.3.4", "256.1.1.1", "[::1", "::1]"),
        *("fe80::1%eth0", "a" * 20_000, '"', "[]", ":", "::ffff:", "\xb2.1.1.1", "[1.2.3.4]x"),
        *(f"{VISITOR}:99999", f"{VISITOR}:", f"{VISITOR} x"),
    ],
)
def test_the_walk_ends_where_something_is_no_address(garbage: str) -> None:
    """The last address before it is the visitor's, as far as anybody knows; not one that stands left of the garbage."""
    assert told_for(garbage) == Told(PROXY, 4711)
    assert told_for(f"{FORGED}, {garbage}, {OTHER}") == Told(OTHER, 0, "", b"", (OTHER,))


def test_lines_are_joined() -> None:
    """Several headers are one list, in the order in which they came."""
    lines = (("x-forwarded-for", FORGED), ("X-FORWARDED-FOR", VISITOR), ("X-Forwarded-For", OTHER))
    assert told(*lines).chain == (VISITOR, OTHER)


def test_names_with_an_underscore_are_other_names() -> None:
    """Proxies do not overwrite them, so visitors write them."""
    assert told(("X_Forwarded_For", VISITOR), ("X-Forwarded_Proto", "https")) == Told(PROXY, 4711)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"for={VISITOR}", Told(VISITOR, 0, "", b"", (VISITOR,))),
        (f"For={VISITOR};Proto=HTTPS", Told(VISITOR, 0, "https", b"", (VISITOR,))),
        (
            'proto=https;by=_gw; for="[2001:db8::9]:4711" ;host="app.example:8443"',
            Told("2001:db8::9", 4711, "https", b"app.example:8443", ("2001:db8::9",)),
        ),
        (f'for="{VISITOR}:80"', Told(VISITOR, 80, "", b"", (VISITOR,))),
        (
            f"for={FORGED};proto=http, for={VISITOR};proto=https;host=a.example, for={OTHER};proto=http",
            Told(VISITOR, 0, "https", b"a.example", (VISITOR, OTHER)),
        ),
        (f'for={FORGED};by="{PROXY}, for={VISITOR}', Told(VISITOR, 0, "", b"", (VISITOR,))),
        (f'for={VISITOR};host="x, for={FORGED};a=b"', Told(PROXY, 4711)),
        ("for=unknown;proto=https", Told(PROXY, 4711, "https")),
        ("for=_secret", Told(PROXY, 4711)),
        (f"for = {VISITOR}", Told(PROXY, 4711)),
        (f'for={VISITOR};x="', Told(PROXY, 4711)),
        (f"for=2001:db8::9, for={FORGED} x", Told(PROXY, 4711)),
        ("; \t" * 5_000 + "!(", Told(PROXY, 4711)),
        (r'for="\1.2.3.4"', Told("1.2.3.4", 0, "", b"", ("1.2.3.4",))),
    ],
)
def test_forwarded_is_read_as_rfc_7239_says(value: str, expected: Told) -> None:
    """Parameters in any order and case, tokens or quoted; an element that is malformed says nothing."""
    assert told(("Forwarded", value)) == expected


def test_the_two_families_are_not_mixed() -> None:
    """A proxy that knows X-Forwarded-* only passes a visitor's Forwarded on as it is."""
    forged = ("Forwarded", f"for={FORGED};proto=https;host=evil.example")
    assert told(forged, ("X-Forwarded-For", VISITOR)) == Told(VISITOR, 0, "", b"", (VISITOR,))
    assert told(("X-Forwarded-Proto", "http"), forged) == Told(PROXY, 4711, "http")


@pytest.mark.parametrize(
    ("chain", "schemes", "scheme"),
    [
        (VISITOR, "https", "https"),
        (VISITOR, "http, https", "https"),
        (f"{VISITOR}, {OTHER}", "https, http", "https"),
        (f"{VISITOR}, {OTHER}", "http", "http"),
        (f"{FORGED}, {VISITOR}", "https, http", "http"),
        (f"{VISITOR}", "gopher", ""),
        (f"{VISITOR}", "https\xff", ""),
        ("", "HTTPS", "https"),
    ],
)
def test_scheme_and_host_are_those_of_the_visitors_own_hop(chain: str, schemes: str, scheme: str) -> None:
    """Lists side by side; what nobody believed wrote does not count, nor what is neither http nor https."""
    assert told(("X-Forwarded-For", chain), ("X-Forwarded-Proto", schemes)).scheme == scheme


@pytest.mark.parametrize(("value", "named"), [("app.example:8443", b"app.example:8443"), ('a"b', b""), ("a b", b"")])
def test_only_a_host_is_told_as_the_host(value: str, named: bytes) -> None:
    """Anything else is as if it were not there."""
    assert told(("X-Forwarded-Host", value)).named == named


def test_the_walk_is_bounded() -> None:
    """``HTTPLimits.hops`` trusted proxies in a row, and not one more."""
    chain = f"{VISITOR}, 10.0.0.4, 10.0.0.3, {OTHER}"
    assert told_for(chain, hops=4).host == VISITOR
    assert told_for(chain, hops=3).host == "10.0.0.4"
    assert told_for("," * 30_000 + VISITOR, hops=3).host == VISITOR
    assert told_for(VISITOR + "," * 30_000, hops=3) == Told(PROXY, 4711)


_node = st.sampled_from([FORGED, VISITOR, OTHER, "unknown", "_x", "[2001:db8::10]:1", "for=1.1.1.1", '"', "\\", ""])
_text = st.one_of(_node, st.text('0123456789abcdef:.[]"\\;=, \tfor%_', max_size=40))


@given(st.lists(st.tuples(st.sampled_from(["X-Forwarded-For", "Forwarded", "X-Forwarded-Proto"]), _text), max_size=6))
def test_whatever_is_said_the_visitor_has_an_address(headers: list[tuple[str, str]]) -> None:
    """And all of the chain; only its left-most may be one that is not trusted."""
    found = told(*headers)
    assert str(ip_address(found.host)) == found.host
    assert found.host == (found.chain or (PROXY,))[0]
    assert all(trusts(address) for address in found.chain[1:])
    assert found.scheme in ("", "http", "https")


@given(st.lists(_text, max_size=5), st.booleans())
def test_what_a_visitor_writes_before_a_trusted_proxys_word_changes_nothing(forged: list[str], standard: bool) -> None:
    """The proxy appends the visitor's address; nothing that came from there wins."""
    name, word = ("Forwarded", 'for="203.0.113.9:80";proto=http') if standard else ("X-Forwarded-For", VISITOR)
    found = told((name, ", ".join([*forged, word])))
    assert (found.host, found.chain) == (VISITOR, (VISITOR,))
    assert found.scheme in ("", "http")
