"""What holds for every sequence of bytes a peer can send."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from egtunnel.errors import ProtocolError
from egtunnel.mux.budget import Budget
from egtunnel.mux.channel import ChannelState, Role
from egtunnel.mux.events import Event, Faulted
from egtunnel.mux.frames import FrameType
from egtunnel.mux.mux import Mux
from tests.mux.application import Application
from tests.mux.hostile import CUTS, STREAMS, WELL_FORMED_STREAMS, chunks
from tests.mux.wire import ROOMY, a_mux, opened, sent, waiting

ROLES = st.sampled_from(Role)
STEPS = st.lists(
    st.tuples(st.integers(0, Application.ACTIONS - 1), st.integers(0, 20), st.integers(0, 70_000)), max_size=15
)


def prepared(role: Role, **limits: int) -> Mux:
    """A mux with one channel of ours that is accepted, and one that is not yet."""
    mux = a_mux(role, None, **limits)
    opened(mux)
    mux.open(b"{}")
    sent(mux)
    return mux


def told(events: list[Event]) -> list[tuple[Any, ...]]:
    """Events by value: a channel as its number, an error as its class and text."""
    return [
        (
            type(event).__name__,
            *(
                value.id if name == "channel" else (type(value), str(value)) if name == "error" else value
                for name, value in event._asdict().items()
            ),
        )
        for event in events
    ]


def said(mux: Mux) -> list[tuple[Any, ...]]:
    """What a mux answered, but for ACKs, which depend on when one looks."""
    return [tuple(frame) for frame in sent(mux) if frame.type != FrameType.ACK]


@given(ROLES, WELL_FORMED_STREAMS | STREAMS, CUTS)
def test_any_chunking_gives_the_same_events_and_answers(role: Role, stream: bytes, cuts: list[int]) -> None:
    """Of valid streams and of hostile ones."""
    whole, cut = prepared(role, channels=4, control=150), prepared(role, channels=4, control=150)
    expected = whole.receive(stream)
    events: list[Event] = []
    for chunk in chunks(stream, cuts):
        events += cut.receive(chunk)
    assert told(events) == told(expected)
    assert said(cut) == said(whole)


@given(ROLES, st.binary(max_size=300))
def test_random_bytes_raise_nothing(role: Role, stream: bytes) -> None:
    """At most they are a fault, by name, and the last event."""
    events = prepared(role).receive(stream)
    for event in events[:-1]:
        assert not isinstance(event, Faulted)
    if events and isinstance(events[-1], Faulted):
        error = events[-1].error
        assert isinstance(error, ProtocolError)
        assert error.text


@given(ROLES, st.lists(st.tuples(STREAMS, STEPS), max_size=6), st.sampled_from([20_000, ROOMY]))
def test_no_peer_confuses_an_application(
    role: Role, turns: list[tuple[bytes, list[tuple[int, int, int]]]], memory: int
) -> None:
    """Whatever comes and whatever we do meanwhile: no exception, sound frames, and no byte of memory lost."""
    mux = a_mux(role, Budget(memory), channels=6, unaccepted=3, control=500)
    application = Application(mux)
    for stream, steps in turns:
        application.read(mux.receive(stream))
        for step in steps:
            application.act(*step)
        assert len(mux.channels) <= 6
        held = [channel.held for channel in (*mux.channels.values(), *mux.lingering.values())]
        assert waiting(mux) == sum(held)
        assert all(channel.receive.held for channel in mux.lingering.values())
        if application.fault is None:
            sent(mux)
    application.let_go()
    assert waiting(mux) == 0
    assert mux.channels == mux.lingering == {}
    assert all(channel.state is ChannelState.CLOSED for channel in application.channels)
    if application.fault is not None:
        assert isinstance(application.fault.error, ProtocolError)
        assert mux.receive(b"more") == []


@example(Role.RELAY, [b"\x00", b"\x04" + bytes(65_542)])
@given(ROLES, st.lists(STREAMS, max_size=6))
def test_a_peer_alone_cannot_make_us_hold_more_than_the_windows(role: Role, streams: list[bytes]) -> None:
    """Bytes held are bounded by channels and windows, although nothing is ever consumed or sent."""
    mux = a_mux(role, channels=3)
    for stream in streams:
        mux.receive(stream)
        assert waiting(mux) <= 3 * 16_384, "nothing was accepted: the early windows"
        assert not mux.mid_frame or mux._decoder.pending < 65_543
