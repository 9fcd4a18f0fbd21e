"""The test vectors of tests/vectors/protocol.json, which were not made by the code they test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from egtunnel.errors import HandshakeError
from egtunnel.mux.channel import Role
from egtunnel.mux.events import ChannelOpened, Event
from egtunnel.mux.frames import FIN, U16, U32, U32_U16, U64, Frame, FrameDecoder, FrameType, encode
from egtunnel.mux.mux import Mux
from egtunnel.session import messages
from tests.mux.wire import a_mux, fault_in, waiting

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "protocol.json").read_text())
Vector = dict[str, Any]


def each(kind: str) -> pytest.MarkDecorator:
    """One test for each vector of a kind, called by its name."""
    return pytest.mark.parametrize("vector", [pytest.param(vector, id=vector["name"]) for vector in VECTORS[kind]])


def fields_of(frame: Frame) -> dict[str, Any]:
    """What a frame says, as docs/protocol.md names it."""
    payload = frame.payload
    match FrameType(frame.type):
        case FrameType.MESSAGE:
            return {"json": json.loads(payload)}
        case FrameType.OPEN:
            return {"window": U32.unpack(payload[:4])[0], "metadata": json.loads(payload[4:])}
        case FrameType.ACCEPT:
            return {"window": U32.unpack(payload)[0]}
        case FrameType.DATA:
            return {"fin": frame.flags == FIN, "data": payload.decode()}
        case FrameType.CREDIT:
            return {"increment": U32.unpack(payload)[0]}
        case FrameType.RESET:
            return {"code": U16.unpack(payload[:2])[0], "text": payload[2:].decode()}
        case FrameType.PING | FrameType.PONG:
            return {"opaque": payload.hex()}
        case FrameType.ACK:
            return {"position": U64.unpack(payload)[0]}
        case FrameType.GOAWAY:
            last, code = U32_U16.unpack(payload[:6])
            return {"last_channel": last, "code": code, "text": payload[6:].decode()}


@each("frames")
def test_a_well_formed_frame_is_read_and_written(vector: Vector) -> None:
    """Header, payload and fields."""
    frames, fault = FrameDecoder().feed(bytes.fromhex(vector["hex"]))
    assert fault is None
    assert frames == [
        Frame(FrameType[vector["type"]], vector["flags"], vector["channel"], bytes.fromhex(vector["payload"]))
    ]
    assert fields_of(frames[0]) == vector["fields"]
    (frame,) = frames
    assert encode(frame.type, frame.channel, frame.payload, frame.flags).hex() == vector["hex"]


def test_every_type_of_frame_has_a_vector() -> None:
    """Of the frames, and of the messages."""
    assert {vector["type"] for vector in VECTORS["frames"]} == {kind.name for kind in FrameType}
    assert {vector["members"]["type"] for vector in VECTORS["messages"]} == set(messages._TYPES)


@each("invalid_frames")
def test_an_invalid_frame_is_refused_by_name(vector: Vector) -> None:
    """With the word of the table of codes."""
    frames, fault = FrameDecoder().feed(bytes.fromhex(vector["hex"]))
    assert frames == []
    assert fault is not None
    assert fault.word == vector["error"]


@each("invalid_streams")
def test_an_invalid_stream_is_refused_by_name(vector: Vector) -> None:
    """The last of its frames ends the link."""
    stream = bytes.fromhex(vector["hex"])
    assert fault_in(a_mux(Role.RELAY).receive(stream)).word == vector["error"]
    frames, _ = FrameDecoder().feed(stream)
    last = frames[-1]
    before = stream[: -len(encode(last.type, last.channel, last.payload, last.flags))]
    mux = a_mux(Role.RELAY)
    mux.receive(before)
    assert mux.receive(b"") == [], "all but the last frame are in order"


@each("messages")
def test_a_message_is_read_and_written(vector: Vector) -> None:
    """Byte for byte."""
    message = messages.decode(vector["json"].encode())
    assert message.type == vector["members"]["type"]
    for member, value in vector["members"].items():
        assert getattr(message, member) == value
    assert messages.encode(message) == vector["json"].encode()


@each("read_messages")
def test_a_message_of_another_hand_is_read(vector: Vector) -> None:
    """Unknown members and types, and JSON written otherwise."""
    message = messages.decode(vector["json"].encode())
    for member, value in vector["members"].items():
        assert getattr(message, member) == value
    assert {field.name for field in attrs.fields(type(message))} | {"type"} >= set(vector["members"])


@each("invalid_messages")
def test_an_invalid_message_is_refused_by_name(vector: Vector) -> None:
    """With the word of the table of codes."""
    with pytest.raises(HandshakeError) as caught:
        messages.decode(vector["json"].encode())
    assert caught.value.word == vector["error"]


class Player:
    """Two muxes play the worked example; each step gives the bytes that one of them sends."""

    def __init__(self) -> None:
        self.muxes: dict[str, Mux] = {"client": a_mux(Role.CLIENT), "relay": a_mux(Role.RELAY)}

    def handshake(self, step: int) -> str:
        """A message that comes before there are muxes, and is not counted by ACK; its type."""
        wire = VECTORS["session"][step]["hex"]
        ((frame,), _) = FrameDecoder().feed(bytes.fromhex(wire))
        message = messages.decode(frame.payload)
        assert encode(FrameType.MESSAGE, 0, messages.encode(message)).hex() == wire
        return message.type

    def message(self, side: str, step: int) -> None:
        """Say the control message that the example says here, as our own code writes it."""
        frames, _ = FrameDecoder().feed(bytes.fromhex(VECTORS["session"][step]["hex"]))
        (payload,) = (frame.payload for frame in frames if frame.type == FrameType.MESSAGE)
        self.muxes[side].message(messages.encode(messages.decode(payload)))

    def pass_on(self, side: str, step: int) -> list[Event]:
        """Send, compare with the example, and let the other side read it."""
        wire = b"".join(self.muxes[side].frames_to_send(1 << 20))
        assert VECTORS["session"][step]["from"] == side
        assert wire.hex() == VECTORS["session"][step]["hex"], VECTORS["session"][step]["what"]
        other = "relay" if side == "client" else "client"
        return self.muxes[other].receive(wire)


def test_the_worked_example_is_what_our_own_muxes_say() -> None:
    """A whole session: handshake, claim, a page, the end."""
    player = Player()
    client, relay = player.muxes["client"], player.muxes["relay"]
    assert [player.handshake(step) for step in (0, 1)] == ["hello", "welcome"]
    relay.ping(U64.pack(1))
    player.pass_on("relay", 2)
    client.outbound._uncounted.insert(0, encode(FrameType.PING, 0, U64.pack(1)))  # was due before the relay's came
    player.message("client", 3)
    player.pass_on("client", 3)
    player.message("relay", 4)
    player.pass_on("relay", 4)
    here = relay.open(b'{"tunnel":1,"kind":"http","host":"127.0.0.1","port":49152,"name":"app"}')
    relay.write(here, b"GET / HTTP/1.1\r\nHost: app.localhost:7070\r\n\r\n")
    opened, request = player.pass_on("relay", 5)
    assert isinstance(opened, ChannelOpened)
    there = opened.channel
    client.consumed(there, len(request.data))  # type: ignore[union-attr]
    client.write(there, b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n")
    client.finish(there)
    _, response = player.pass_on("client", 6)
    relay.consumed(here, len(response.data))  # type: ignore[union-attr]
    relay.finish(here)
    player.pass_on("relay", 7)
    client.go_away(18, "the client stops")
    player.pass_on("client", 8)
    assert len(VECTORS["session"]) == 9
    for mux in (client, relay):
        assert mux.channels == {}
        assert waiting(mux) == 0
        assert not mux.has_frames
