"""Frames that mean harm, on the link, before hello and after: a named code ends the link, and nobody else notices."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from egtunnel.errors import (
    EgtunnelError,
    FlowControlError,
    FrameError,
    HandshakeError,
    IllegalTransition,
    RemoteProtocolError,
    UnknownFrameType,
)
from egtunnel.mux.frames import FIN, FrameType
from tests.integration.house import AMOUNT, MIB, MOST_GROWTH, House, honest_house, mutated, undisturbed
from tests.integration.rawhttp import Connection
from tests.integration.rawlink import (
    BINARY,
    CLOSE,
    PING,
    TEXT,
    LinkEnded,
    RawLink,
    accept,
    credit,
    frame,
    message,
    reset,
    token_of,
    websocket_frame,
)
from tests.integration.upstreams import Nginx


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, nginx: Nginx) -> Iterator[House]:
    """One house for all attacks."""
    with honest_house(tmp_path_factory.mktemp("house"), nginx) as built:
        yield built


@pytest.fixture(autouse=True)
def _undisturbed(house: House) -> Iterator[None]:
    with undisturbed(house):
        yield


# -- the link, before hello


def send_frames(*frames: bytes) -> Callable[[RawLink], None]:
    """One message of these frames."""
    return lambda link: link.send(*frames)


def send_websocket(opcode: int, payload: bytes, **how: bool | int) -> Callable[[RawLink], None]:
    """One WebSocket frame."""
    return lambda link: link.send_raw(websocket_frame(opcode, payload, **how))  # type: ignore[arg-type]


def send_raw(data: bytes) -> Callable[[RawLink], None]:
    """Bytes of the connection."""
    return lambda link: link.send_raw(data)


HELLO = {"token": "x" * 43, "client_id": "c"}
BEFORE_HELLO: dict[str, Callable[[RawLink], None]] = {
    "an unknown frame type": send_frames(frame(99)),
    "an OPEN": send_frames(frame(FrameType.OPEN, 1, b"\0\1\0\0{}")),
    "a PING": send_frames(frame(FrameType.PING, 0, b"12345678")),
    "a GOAWAY": send_frames(frame(FrameType.GOAWAY, 0, b"\0\0\0\0\0\0")),
    "a claim": send_frames(message("claim", tunnel=1, kind="http")),
    "no JSON": send_frames(frame(FrameType.MESSAGE, 0, b"{nonsense")),
    "JSON too deep": send_frames(frame(FrameType.MESSAGE, 0, b"[" * 10_000)),
    "a list": send_frames(frame(FrameType.MESSAGE, 0, b"[1, 2]")),
    "a hello without a token": send_frames(message("hello", client_id="c")),
    "a token that is a number": send_frames(message("hello", token=7, client_id="c")),
    "a token of 2,000 letters": send_frames(message("hello", token="x" * 2000, client_id="c")),
    "a version that is a list": send_frames(message("hello", version=[1], **HELLO)),
    "two hellos": send_frames(message("hello", **HELLO), message("hello", **HELLO)),
    "an empty message": send_frames(),
    "half a header": send_frames(b"\1\0\0"),
    "a payload that is not there": send_frames(frame(FrameType.MESSAGE, 0, b"{}", length=60_000)),
    "random bytes": send_frames(random.Random(3).randbytes(10_000)),
}


@pytest.mark.parametrize("attack", BEFORE_HELLO.values(), ids=BEFORE_HELLO.keys())
def test_what_is_no_hello_ends_the_link_with_the_handshake_error(
    house: House, attack: Callable[[RawLink], None]
) -> None:
    """GOAWAY and the close code both say handshake-error."""
    with RawLink(house.relay.port) as link:
        attack(link)
        code, reason, gone = link.ending()
    assert (code, gone) == (4000 + HandshakeError.code, HandshakeError.code), reason
    assert reason


@pytest.mark.parametrize("wrong", ["x" * 43, "", "\0" * 43, "ä" * 43], ids=["other", "empty", "NULs", "not ASCII"])
def test_a_wrong_token_is_refused_by_name(house: House, wrong: str) -> None:
    """The relay answers ``refused``, ``bad-token``, and does not say what was wrong with it."""
    with RawLink(house.relay.port) as link:
        link.hello(wrong)
        refused = link.read_message("refused")
        assert (refused["code"], refused.get("retry", False)) == ("bad-token", False)
        assert link.ending()[0] == 4020
    assert wrong == "" or wrong not in house.relay.output


WEBSOCKET: dict[str, tuple[Callable[[RawLink], None], set[int]]] = {
    "a text message": (send_websocket(TEXT, b"{}"), {4003}),
    "a frame without a mask": (send_websocket(BINARY, message("hello", **HELLO), masked=False), {1002}),
    "a reserved bit": (send_websocket(BINARY, b"abc", reserved=4), {1002}),
    "a reserved opcode": (send_websocket(3, b"abc"), {1002}),
    "a continuation of nothing": (send_websocket(0, b"abc"), {1002}),
    "a ping in fragments": (send_websocket(PING, b"abc", final=False), {1002}),
    "a ping of 126 bytes": (send_websocket(PING, b"a" * 126), {1002}),
    "a close code of one byte": (send_websocket(CLOSE, b"a"), {0, 1002}),
    "a close reason that is not UTF-8": (send_websocket(CLOSE, b"\x03\xe8\xff"), {0, 1002, 1007}),
    "a length of 2^63": (send_raw(b"\x82\xff\x80" + b"\0" * 7 + b"mask"), {1002, 1009}),
    "a length of 2^63 - 1": (send_raw(b"\x82\xff\x7f" + b"\xff" * 7 + b"mask"), {1009}),
    "a length of 1 MiB + 1": (send_raw(b"\x82\xff" + (1_048_577).to_bytes(8, "big") + b"mask"), {1009}),
    "fragments of 2 MiB": (
        send_raw(
            websocket_frame(BINARY, b"a" * 60_000, final=False) + websocket_frame(0, b"a" * 60_000, final=False) * 40
        ),
        {1009},
    ),
    "a message of 100,000 bytes": (send_websocket(BINARY, random.Random(3).randbytes(AMOUNT)), {1009, 4002, 4003}),
    "random bytes": (send_raw(random.Random(4).randbytes(AMOUNT)), {1002, 1007, 1009}),
}


@pytest.mark.parametrize("let_in", [False, True], ids=["before hello", "after hello"])
@pytest.mark.parametrize(("attack", "codes"), WEBSOCKET.values(), ids=WEBSOCKET.keys())
def test_a_broken_websocket_frame_ends_its_link(
    house: House, attack: Callable[[RawLink], None], codes: set[int], let_in: bool
) -> None:
    """The close code of RFC 6455 says what was wrong; to one who says goodbye in a wrong way nothing has to be said."""
    with RawLink(house.relay.port) as link:
        if let_in:
            link.log_in(token_of(house.relay))
        attack(link)
        code, reason, _ = link.ending()
    assert code in codes, (code, reason)


def test_links_that_say_nothing_are_ended_in_time(house: House) -> None:
    """200 WebSockets without a hello, some within a frame: each is told handshake-error within the limit."""
    with contextlib.ExitStack() as stack:
        links = [stack.enter_context(RawLink(house.relay.port)) for _ in range(200)]
        for link in links[100:]:
            link.send_raw(websocket_frame(BINARY, b"a" * 1000)[:500])
        assert {link.ending()[0] for link in links} == {4000 + HandshakeError.code}


def test_links_that_begin_a_large_message_without_a_token_cost_no_memory(house: House) -> None:
    """250 strangers, each with 1 MiB less one byte of a message: not one of them is worth a megabyte to the relay."""
    before = house.relay.memory()
    message_but_one = websocket_frame(BINARY, b"a" * 1_048_576)[:-1]
    with contextlib.ExitStack() as stack:
        for _ in range(250):
            link = stack.enter_context(RawLink(house.relay.port))
            with contextlib.suppress(ConnectionError):
                link.send_raw(message_but_one)
        house.serve()
        assert house.relay.memory() - before < MOST_GROWTH


# -- the link, after hello


AFTER_HELLO: dict[str, tuple[Callable[[RawLink], None], type[EgtunnelError]]] = {
    "an unknown frame type": (send_frames(frame(99)), UnknownFrameType),
    "type 0": (send_frames(frame(0)), UnknownFrameType),
    "unknown flags": (send_frames(frame(FrameType.PING, 0, b"12345678", flags=0x80)), FrameError),
    "a PING of 7 bytes": (send_frames(frame(FrameType.PING, 0, b"1234567")), FrameError),
    "a MESSAGE on a channel": (send_frames(frame(FrameType.MESSAGE, 3, b"{}")), FrameError),
    "DATA on channel 0": (send_frames(frame(FrameType.DATA, 0, b"abc")), FrameError),
    "a frame that goes beyond its message": (
        send_frames(frame(FrameType.MESSAGE, 0, b"{}", length=60_000)),
        FrameError,
    ),
    "an OPEN with the relay's parity": (send_frames(frame(FrameType.OPEN, 2, b"\0\1\0\0{}")), IllegalTransition),
    "an OPEN with a window of 4 GiB": (send_frames(frame(FrameType.OPEN, 1, b"\xff\xff\xff\xff{}")), FrameError),
    "an OPEN whose metadata is a list": (send_frames(frame(FrameType.OPEN, 1, b"\0\1\0\0[]")), FrameError),
    "an OPEN whose metadata is too deep": (
        send_frames(frame(FrameType.OPEN, 1, b"\0\1\0\0" + b"[" * 9000)),
        FrameError,
    ),
    "the same OPEN twice": (send_frames(frame(FrameType.OPEN, 1, b"\0\1\0\0{}") * 2), IllegalTransition),
    "DATA on a channel that never was": (send_frames(frame(FrameType.DATA, 4444, b"abc")), IllegalTransition),
    "CREDIT on a channel that never was": (send_frames(credit(4444, 1)), IllegalTransition),
    "ACCEPT of a channel that never was": (send_frames(accept(4444)), IllegalTransition),
    "RESET of a channel that never was": (send_frames(reset(4444)), IllegalTransition),
    "an ACK of what was never sent": (send_frames(frame(FrameType.ACK, 0, b"12345678")), FlowControlError),
    "a message that is no JSON": (send_frames(frame(FrameType.MESSAGE, 0, b"{nonsense")), HandshakeError),
    "a claim without a number": (send_frames(message("claim", kind="http")), HandshakeError),
    "a claim with a number of 2^70": (send_frames(message("claim", kind="http", tunnel=2**70)), HandshakeError),
}


@pytest.mark.parametrize(("attack", "error"), AFTER_HELLO.values(), ids=AFTER_HELLO.keys())
def test_a_client_that_breaks_the_protocol_is_told_what_it_broke(
    house: House, attack: Callable[[RawLink], None], error: type[EgtunnelError]
) -> None:
    """GOAWAY with the code, then the WebSocket close with 4000 and the code; the log names the error."""
    with house.link() as link:
        seen = len(house.relay.lines)
        attack(link)
        code, reason, gone = link.ending()
    assert (code, gone) == (4000 + error.code, error.code), reason
    house.relay.wait_for(f"is over: {error.word}", after=seen)


@pytest.mark.parametrize("kind", ["hello", "welcome", "claimed", "refused", "nonsense"])
def test_a_message_out_of_place_is_answered_and_the_session_goes_on(house: House, kind: str) -> None:
    """An unknown or unexpected message is not fatal: the relay says so, and a claim after it is granted."""
    members: dict[str, dict[str, Any]] = {
        "hello": HELLO,
        "welcome": {"session_id": "s"},
        "claimed": {"tunnel": 1, "url": "u"},
    }
    with house.link() as link:
        link.send(message(kind, **members.get(kind, {"code": "c", "text": "t"})))
        link.read_message("notice")
        assert link.claim()["type"] == "claimed"


def test_a_channel_opened_by_a_client_leads_nowhere(house: House) -> None:
    """The relay serves nobody through a client's own channel; the channel is reset, the session goes on."""
    with house.link() as link:
        link.send(
            frame(FrameType.OPEN, 1, b"\0\1\0\0" + b'{"tunnel": 1, "kind": "tcp", "host": "127.0.0.1", "port": 22}')
        )
        channel, _ = link.wait_for_frame(FrameType.RESET)
        assert channel == 1
        assert link.claim()["type"] == "claimed"


@contextlib.contextmanager
def visited(house: House) -> Iterator[tuple[RawLink, Connection, int]]:
    """A hostile client whose tunnel ``evil`` has a visitor; the number of the visitor's channel."""
    with house.link("evil") as link, Connection(house.relay.port, receive_buffer=4096) as visitor:
        assert link.claim(name="evil")["type"] == "claimed"
        visitor.send(f"GET / HTTP/1.1\r\nHost: {house.relay.host('evil')}\r\n\r\n".encode())
        channel, _ = link.wait_for_frame(FrameType.OPEN)
        yield link, visitor, channel


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n"
ON_A_CHANNEL: dict[str, tuple[Callable[[int], list[bytes]], type[EgtunnelError]]] = {
    "credit beyond the largest window": (lambda n: [accept(n), credit(n, 0xFFFFFFFF)], FlowControlError),
    "credit in small steps beyond it": (lambda n: [accept(n), *[credit(n, MIB)] * 20], FlowControlError),
    "a credit of 0": (lambda n: [accept(n), credit(n, 0)], FlowControlError),
    "credit before ACCEPT": (lambda n: [credit(n, 1000)], IllegalTransition),
    "ACCEPT twice": (lambda n: [accept(n), accept(n)], IllegalTransition),
    "ACCEPT with a window of 4 GiB": (lambda n: [accept(n, 0xFFFFFFFF)], FrameError),
    "ACCEPT with a window of 0": (lambda n: [accept(n, 0)], FrameError),
    "DATA before ACCEPT": (lambda n: [frame(FrameType.DATA, n, b"abc")], IllegalTransition),
    "DATA after FIN": (
        lambda n: [accept(n), frame(FrameType.DATA, n, b"", FIN), frame(FrameType.DATA, n, b"abc")],
        IllegalTransition,
    ),
    "OPEN of the channel itself": (lambda n: [frame(FrameType.OPEN, n, b"\0\1\0\0{}")], IllegalTransition),
}


@pytest.mark.parametrize(("frames", "error"), ON_A_CHANNEL.values(), ids=ON_A_CHANNEL.keys())
def test_a_client_that_breaks_the_rules_of_a_channel_is_told_what_it_broke(
    house: House, frames: Callable[[int], list[bytes]], error: type[EgtunnelError]
) -> None:
    """The link ends with the named code, and the visitor gets an answer of the relay's own."""
    with visited(house) as (link, visitor, channel):
        link.send(*frames(channel))
        code, reason, gone = link.ending()
        assert (code, gone) == (4000 + error.code, error.code), reason
        answer = visitor.answer()
        assert answer.status in (502, 503), answer
        assert answer.error


def test_data_beyond_its_credit_ends_the_link_and_is_not_kept(house: House) -> None:
    """A client sends 64 MiB to a visitor who does not read: it is cut off at its window, with flow-control-error."""
    with visited(house) as (link, _, channel):
        link.send(accept(channel), frame(FrameType.DATA, channel, HEAD))
        link.flood(websocket_frame(BINARY, frame(FrameType.DATA, channel, b"a" * 60_000)), 64 * MIB)
        with contextlib.suppress(LinkEnded):
            link.read()
    house.relay.wait_for("is over: flow-control-error")


@pytest.mark.parametrize(
    "answer",
    [
        b"\0\1\2\3" * 1000,
        b"HTTP/1.1 999999 \r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 100_000,
        b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 200_000,
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 5000,
    ],
    ids=["garbage", "status", "two lengths", "headers", "header", "101 unasked", "100 for ever"],
)
def test_an_upstream_that_answers_nonsense_is_a_bad_gateway(house: House, answer: bytes) -> None:
    """The visitor gets 502 with its name; the client, which only carries bytes, stays."""
    with visited(house) as (link, visitor, channel):
        link.send(accept(channel, MIB))
        for start in range(0, min(len(answer), 200_000), 50_000):
            link.send(frame(FrameType.DATA, channel, answer[start : start + 50_000]))
        got = visitor.answer()
        assert (got.status, got.error) == (502, "upstream-broke")
        assert link.claim(2)["type"] == "claimed"


FLOODS = {
    "PINGs": frame(FrameType.PING, 0, b"12345678") * 1000,
    "unknown messages": message("nonsense") * 500,
    "channels": b"",
    "claims": b"",
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_client_that_makes_us_answer_and_never_reads_is_cut_off(house: House, flood: str) -> None:
    """Up to 64 MiB of questions, no answer taken: the session ends with a named error, nothing piles up."""
    with RawLink(house.relay.port, receive_buffer=4096) as link:
        link.log_in(token_of(house.relay))
        seen = len(house.relay.lines)
        number = 1
        sent = 0
        while sent < 64 * MIB:
            data = FLOODS[flood]
            if flood == "channels":
                data = b"".join(frame(FrameType.OPEN, number + 2 * n, b"\0\1\0\0{}") for n in range(1000))
                number += 2000
            elif flood == "claims":
                data = message("claim", tunnel=1, kind="x" * 80) * 100
            part = link.flood(websocket_frame(BINARY, data), len(data))
            if not part:
                break
            sent += part
        house.relay.wait_for("is over: protocol-error, the peer does not read", after=seen)


@pytest.mark.parametrize("seed", range(20))
def test_damaged_frames_after_hello_end_the_link_with_a_named_code_or_change_nothing(house: House, seed: int) -> None:
    """Good frames with some bytes changed: a code of the protocol's, or a session that still answers."""
    dice = random.Random(seed)
    frames = [message("claim", tunnel=1, kind="http", name="fuzz"), frame(FrameType.PING, 0, b"12345678")]
    frames += [frame(FrameType.OPEN, 1, b"\0\1\0\0{}"), frame(FrameType.DATA, 1, b"abc"), message("release", tunnel=1)]
    with house.link() as link:
        try:
            link.send(mutated(b"".join(frames), dice))
            link.send(message("nonsense"))
            link.read_message("notice")
        except LinkEnded as end:
            codes = (
                RemoteProtocolError,
                UnknownFrameType,
                FrameError,
                FlowControlError,
                IllegalTransition,
                HandshakeError,
            )
            assert end.code in {4000 + error.code for error in codes}, end


@pytest.mark.parametrize("let_in", [False, True], ids=["before hello", "after hello"])
def test_a_link_cut_off_within_a_frame_is_over_at_once(house: House, let_in: bool) -> None:
    """100 links that end anywhere within a message; the honest ones stay."""
    whole = websocket_frame(BINARY, message("claim", tunnel=1, kind="http", name="cut"))
    for size in range(0, len(whole), max(1, len(whole) // 50)):
        with house.link() if let_in else RawLink(house.relay.port) as link:
            link.send_raw(whole[:size])
