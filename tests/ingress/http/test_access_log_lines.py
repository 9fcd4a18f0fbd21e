"""Lines of the access log: what they say, what they never say, and that one request is one line."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egtunnel.ingress.http.head import RequestHead
from egtunnel.ingress.http.log_lines import Entry, combined, json_line
from egtunnel.ingress.http.routes import Host

BEGAN = 1_700_000_000.25
COMBINED = re.compile(
    r'(\S+) (\S+) (\S+) \[([^\]]+)\] "([^"\\]*(?:\\.[^"\\]*)*)" (\d{3}) (\d+|-) "([^"]*)" "([^"]*)"'
    r' "([^"]*)" "([^"]*)" (\d+\.\d{3}) (https?) (complete|cut) (\S+)\n'
)
"""Up to the user agent the expression that every reader of Apache's logs knows."""


def head(target: bytes = b"/", *raw: tuple[bytes, bytes], method: bytes = b"GET") -> RequestHead:
    """The head of a request to a tunnel."""
    return RequestHead(method, target, Host(b"App.relay.test:80", "app.relay.test", 80, False), list(raw), [])


def entry(of: RequestHead | None, **changes: Any) -> Entry:
    """A request that went well."""
    usual = Entry("203.0.113.9", of, "HTTP/1.1", "https", "app", 200, 5, 0.0123, True, "")
    return usual._replace(**changes)


def fields(line: bytes) -> tuple[str, ...]:
    """The fields of a combined line."""
    match = COMBINED.fullmatch(line.decode("ascii"))
    assert match is not None, line
    return match.groups()


def test_a_combined_line_is_apaches_with_more_at_its_end() -> None:
    """Host, tunnel, seconds, scheme, how it ended, and the relay's word for what was wrong."""
    line = combined(entry(head(b"/a", (b"REFERER", b"https://a.example/b"), (b"user-agent", b"curl/8"))), BEGAN, 100)
    assert line == (
        b'203.0.113.9 - - [14/Nov/2023:22:13:20 +0000] "GET /a HTTP/1.1" 200 5 "https://a.example/b" "curl/8" '
        b'"app.relay.test" "app" 0.012 https complete -\n'
    )


def test_a_json_line_is_an_object_with_these_keys() -> None:
    """The times are UTC, by ISO 8601."""
    line = json_line(entry(head(b"/a", (b"Referer", b"https://a.example/b"), (b"User-Agent", b"curl/8"))), BEGAN, 100)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.250Z",
        "client": "203.0.113.9",
        "scheme": "https",
        "protocol": "HTTP/1.1",
        "method": "GET",
        "host": "app.relay.test",
        "path": "/a",
        "status": 200,
        "bytes": 5,
        "seconds": 0.012,
        "tunnel": "app",
        "referer": "https://a.example/b",
        "agent": "curl/8",
        "complete": True,
        "error": "",
    }


@pytest.mark.parametrize(
    ("referer", "shown"),
    [
        (b"https://a.example/b?token=secret", "https://a.example/b"),
        (b"https://a.example/b#secret", "https://a.example/b"),
        (b"https://user:secret@a.example/b", "https://a.example/b"),
        (b"//secret@a.example/b@c?d", "//a.example/b@c"),
        (b"?secret", "-"),
    ],
)
def test_secrets_stay_out(referer: bytes, shown: str) -> None:
    """Queries and passwords are not written, and no header but Referer and User-Agent is."""
    raw = [(b"Referer", referer), (b"Authorization", b"Bearer secret"), (b"Cookie", b"a=secret")]
    asked = entry(head(b"/p?token=secret", *raw))
    found = fields(combined(asked, BEGAN, 100))
    assert (found[4], found[7]) == ("GET /p HTTP/1.1", shown)
    assert b"secret" not in combined(asked, BEGAN, 100) + json_line(asked, BEGAN, 100)
    assert json.loads(json_line(asked, BEGAN, 100))["path"] == "/p"


def test_what_is_not_printable_ascii_is_escaped() -> None:
    """A quote, a backslash, a control character and everything beyond ASCII are backslash, x and two digits."""
    asked = entry(head(b'/"\\\xe9', (b"User-Agent", b'a"\x1b[31m\xff\n')))
    found = fields(combined(asked, BEGAN, 100))
    assert found[4] == r"GET /\x22\x5c\xe9 HTTP/1.1"
    assert found[8] == r"a\x22\x1b[31m\xff\x0a"
    assert json.loads(json_line(asked, BEGAN, 100))["agent"] == 'a"\x1b[31m\xff\n'


@pytest.mark.parametrize(
    ("changes", "status", "end", "word"),
    [
        ({"status": 0, "complete": False}, "499", "cut", "-"),
        ({"complete": False}, "200", "cut", "-"),
        ({"status": 404, "error": "unknown-tunnel", "tunnel": ""}, "404", "complete", "unknown-tunnel"),
    ],
)
def test_how_a_request_ended_is_said(changes: dict[str, Any], status: str, end: str, word: str) -> None:
    """499: the visitor had gone before there was a response; ``cut``: it was not whole."""
    found = fields(combined(entry(head(), **changes), BEGAN, 100))
    assert (found[5], found[13], found[14]) == (status, end, word)


def test_a_request_that_could_not_be_read_has_a_line() -> None:
    """With the address it came from, and no request line."""
    asked = entry(None, status=400, tunnel="", error="bad-request")
    assert fields(combined(asked, BEGAN, 100))[4:6] == ("-", "400")
    assert json.loads(json_line(asked, BEGAN, 100))["method"] == ""


def test_the_version_is_the_visitors() -> None:
    """HTTP/1.0 is of the head, the others of the connection."""
    old = head()
    old.modern = False
    assert "HTTP/1.0" in fields(combined(entry(old), BEGAN, 100))[4]
    assert "HTTP/2.0" in fields(combined(entry(head(), protocol="HTTP/2.0"), BEGAN, 100))[4]


def test_long_fields_are_cut() -> None:
    """At ``AccessLogLimits.field`` bytes, before they are escaped; three dots say so."""
    asked = entry(head(b"/" + b"a" * 9, (b"User-Agent", b"\xff" * 11), (b"Referer", b"r" * 10)))
    found = fields(combined(asked, BEGAN, 10))
    assert (found[4], found[7]) == ("GET /aaaaaaaaa HTTP/1.1", "r" * 10)
    assert found[8] == r"\xff" * 10 + "..."


@given(
    st.binary(min_size=1, max_size=20),
    st.binary(max_size=40),
    st.binary(max_size=40),
    st.binary(max_size=40),
)
def test_one_request_is_one_line_whatever_its_bytes(method: bytes, target: bytes, referer: bytes, agent: bytes) -> None:
    """No byte of a peer ends a line, a field, or the quotes; every line can be read again."""
    asked = entry(head(target, (b"Referer", referer), (b"User-Agent", agent), method=method))
    found = fields(combined(asked, BEGAN, 30))
    assert found[9:11] == ("app.relay.test", "app")
    line = json_line(asked, BEGAN, 30)
    assert line.index(b"\n") == len(line) - 1 and line.isascii()
    assert json.loads(line)["agent"] == agent[:30].decode("latin-1") + "..." * (len(agent) > 30)
