"""Everything a peer can make us keep has a limit, and beyond it a clear answer by name."""

from __future__ import annotations

import pytest

from egtunnel.errors import RemoteProtocolError, TooManyChannels
from egtunnel.mux.events import ChannelOpened
from egtunnel.mux.mux import MuxLimits, Role
from tests.mux.wire import (
    a_mux,
    accepted,
    accepting,
    data,
    fault_in,
    kinds,
    message,
    offered,
    opening,
    ping,
    resetting,
    sent,
)


def test_a_peer_that_opens_too_many_channels_gets_a_reset_for_each() -> None:
    """too-many-channels, code 7; the link goes on, and so do the channels there are."""
    mux = a_mux(channels=2)
    events = mux.receive(opening(1) + opening(3) + opening(5) + data(5, b"early") + opening(7))
    assert [type(event) for event in events] == [ChannelOpened, ChannelOpened]
    frames = sent(mux)
    assert kinds(frames) == [("RESET", 5), ("RESET", 7)]
    assert {frame.payload[:2] for frame in frames} == {b"\x00\x07"}
    assert sorted(mux.channels) == [1, 3]


def test_a_place_is_free_again_when_a_channel_is_over() -> None:
    """The limit is on channels at once."""
    mux = a_mux(channels=1)
    offered(mux, 1)
    mux.receive(resetting(1))
    offered(mux, 3)


def test_a_channel_whose_bytes_still_wait_keeps_its_place() -> None:
    """What is over on the wire and not consumed is memory; it counts until it is."""
    mux = a_mux(channels=1)
    channel = offered(mux, 1)
    mux.receive(data(1, b"abc", fin=True) + resetting(1))
    assert mux.receive(opening(3)) == []
    assert kinds(sent(mux)) == [("RESET", 3)]
    mux.consumed(channel, 3)
    offered(mux, 5)


def test_our_own_channels_count_too() -> None:
    """``channels`` is both sides' together; beyond it we are told at once and nothing is sent."""
    mux = a_mux(channels=2)
    offered(mux, 1)
    mux.open(b"{}")
    sent(mux)
    with pytest.raises(TooManyChannels):
        mux.open(b"{}")
    assert sent(mux) == []


def test_so_many_channels_may_wait_to_be_accepted() -> None:
    """A peer that accepts nothing cannot make us collect."""
    mux = a_mux(unaccepted=2)
    first, second = mux.open(b"{}"), mux.open(b"{}")
    with pytest.raises(TooManyChannels, match="2 wait to be accepted"):
        mux.open(b"{}")
    mux.receive(accepting(first.id))
    third = mux.open(b"{}")
    mux.receive(resetting(second.id) + resetting(third.id))
    mux.open(b"{}")
    mux.open(b"{}")
    with pytest.raises(TooManyChannels):
        mux.open(b"{}")


def test_a_peer_that_opens_and_never_reads_ends_its_link() -> None:
    """Answers that wait are bounded by ``control`` bytes."""
    mux = a_mux(channels=0, control=1000)
    wire = b"".join(opening(number) for number in range(1, 2 * 100 + 1, 2))
    assert mux.receive(wire) == [], "1,000 bytes of resets may wait"
    assert isinstance(fault_in(mux.receive(opening(201))), RemoteProtocolError)


def test_a_peer_that_pings_and_never_reads_ends_its_link() -> None:
    """PONGs have the same bound."""
    mux = a_mux(control=1600)
    assert mux.receive(ping() * 100) == []
    assert isinstance(fault_in(mux.receive(ping() * 2)), RemoteProtocolError)


def test_a_peer_that_reads_may_ping_for_ever() -> None:
    """The bound is on what waits, not on what was asked."""
    mux = a_mux(control=1600)
    for _ in range(10):
        assert mux.receive(ping() * 100) == []
        assert len(sent(mux)) == 100


def test_where_a_flood_is_noticed_does_not_depend_on_the_chunks() -> None:
    """The frame that is one too many is the last that is read."""
    wire = (ping() + message()) * 200
    whole = a_mux(control=1600).receive(wire)
    mux, cut = a_mux(control=1600), []
    for start in range(0, len(wire), 7):
        cut += mux.receive(wire[start : start + 7])
    assert str(cut) == str(whole)
    assert isinstance(fault_in(cut), RemoteProtocolError)


def test_our_own_flood_is_seen_too() -> None:
    """What we want to say to a peer that does not read is bounded as well."""
    mux = a_mux(control=100)
    for _ in range(20):
        mux.message(b'{"type":"notice"}')
    assert mux.outbound.flooded
    assert isinstance(fault_in(mux.receive(message())), RemoteProtocolError)
    assert sum(8 + len(frame.payload) for frame in sent(mux)) <= 100


def test_a_fault_stays_the_last_event_when_the_budget_is_exceeded_too() -> None:
    """The link is over: there is nothing to save any more."""
    mux = a_mux()
    accepted(mux, 1)
    mux.budget.limit = 10
    fault_in(mux.receive(data(1, bytes(100)) + data(9, b"never opened")))


@pytest.mark.parametrize(
    "limits", [{"quantum": 0}, {"quantum": 65_536}, {"channels": -1}, {"unaccepted": -1}, {"control": -1}]
)
def test_limits_that_cannot_work_are_refused(limits: dict[str, int]) -> None:
    """When they are made, not when the first frame does not fit."""
    with pytest.raises(ValueError, match=next(iter(limits))):
        MuxLimits(**limits)


def test_the_limits_of_today() -> None:
    """Docs and sample configuration rely on them."""
    assert MuxLimits() == MuxLimits(channels=4096, unaccepted=4096, control=1_048_576, quantum=32_768, flight=73_728)
    assert a_mux(Role.CLIENT).limits.channels == 4096
