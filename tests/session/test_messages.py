"""Control messages to and from JSON."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egtunnel.errors import HandshakeError
from egtunnel.session import messages
from egtunnel.session.messages import (
    Claim,
    Claimed,
    Hello,
    Notice,
    RefusedMessage,
    Release,
    Unknown,
    Welcome,
    decode,
    encode,
)

EXAMPLES = [
    Hello(token="t", client_id="c", agent="egtunnel/1", resume={"session": "s"}),
    Welcome(session_id="s", domain="example.com", heartbeat=7.5, resume_secret="r", limits={"channels": 5}),
    RefusedMessage(code="name-taken", text="no", retry=True, after=3.0, tunnel=4),
    Claim(tunnel=1, kind="http", name="app", host="app.example.org", port=0, key="k", host_header="localhost"),
    Claim(
        tunnel=2,
        kind="http",
        protocol="h2c",
        request_headers=[["set", "X-Key", "é" * 4096], ["remove", "Cookie"]],
        response_headers=[["add", "X-Frame-Options", "DENY"]] * 64,
        path_prefix="/app",
    ),
    Claimed(tunnel=1, url="http://app.localhost:7070", name="app"),
    Release(tunnel=1),
    Notice(text="hello"),
]


def claim_of_edits(edits: object) -> bytes:
    """A claim that wants to change the headers of responses."""
    return json.dumps({"type": "claim", "tunnel": 1, "kind": "http", "response_headers": edits}).encode()


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: message.type)
def test_a_message_survives_the_wire(message: messages.Message) -> None:
    """decode(encode(m)) is m, for every type."""
    assert decode(encode(message)) == message


def test_defaults_are_left_out() -> None:
    """A short message is short on the wire."""
    assert json.loads(encode(Claim(tunnel=1, kind="http"))) == {"type": "claim", "tunnel": 1, "kind": "http"}


def test_unknown_members_are_ignored_and_unknown_messages_named() -> None:
    """Both are how later versions talk to this one."""
    assert decode(b'{"type":"release","tunnel":3,"colour":"red"}') == Release(3)
    assert decode(b'{"type":"dance","to":"music"}') == Unknown("dance")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"nonsense",
        b"[]",
        b"{}",
        b'{"type":1}',
        b'{"type":"release"}',
        b'{"type":"release","tunnel":"1"}',
        b'{"type":"release","tunnel":true}',
        b'{"type":"release","tunnel":-1}',
        b'{"type":"release","tunnel":1e400}',
        b'{"type":"notice","text":null}',
        b'{"type":"hello","token":"t","client_id":"c","resume":[]}',
        b'{"type":"welcome","session_id":"s","heartbeat":"often"}',
        b'{"type":"notice","text":"' + b"x" * 1025 + b'"}',
        b"[" * 60_000,
        b'{"type":"claim","tunnel":1,"kind":"http","protocol":2}',
        b'{"type":"claim","tunnel":1,"kind":"http","path_prefix":"' + b"x" * 1025 + b'"}',
        claim_of_edits({}),
        claim_of_edits(["remove", "x"]),
        claim_of_edits([["remove"]]),
        claim_of_edits([["set", "x", "1", "2"]]),
        claim_of_edits([["set", "x", 1]]),
        claim_of_edits([["set", "x", None]]),
        claim_of_edits([["set", "x", "y" * 4097]]),
        claim_of_edits([["remove", "x"]] * 65),
    ],
)
def test_what_is_no_message_is_a_handshake_error(payload: bytes) -> None:
    """Wrong types, missing members, over-long texts and deep nesting have one named answer."""
    with pytest.raises(HandshakeError):
        decode(payload)


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists).map(
        lambda v: json.dumps({"type": "claim", "tunnel": v, "kind": v}).encode()
    )
)
def test_no_bytes_raise_anything_else(payload: bytes) -> None:
    """Whatever a peer sends is a message or a HandshakeError."""
    with contextlib.suppress(HandshakeError):
        decode(payload)


def test_secrets_do_not_show() -> None:
    """The token and the resume secret are not in the text form of a message."""
    assert "hunter2" not in repr(Hello(token="hunter2", client_id="c", resume={"secret": "hunter2"}))
    assert "hunter2" not in repr(Welcome(session_id="s", resume_secret="hunter2"))
