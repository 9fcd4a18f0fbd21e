"""Whose turn it is: newcomers first, bulk never starved, everybody in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from egtunnel.mux.channel import Channel, ChannelState
from egtunnel.mux.mux import Mux
from egtunnel.mux.turns import FRESH_IN_A_ROW, Turns
from egtunnel.mux.windows import MAX_WINDOW
from tests.mux.wire import a_mux, opened, sent

QUANTUM = 1000


def a_channel(number: int) -> Channel:
    """A channel for a round."""
    return Channel(number, ChannelState.OPEN, 0, 0)


def busy(mux: Mux, count: int) -> list[Channel]:
    """Channels with far more to send than can be sent now."""
    channels = [opened(mux, MAX_WINDOW) for _ in range(count)]
    for channel in channels:
        mux.write(channel, bytes(1_000_000))
    return channels


def served(mux: Mux, turns: int) -> list[int]:
    """The channels that send in the next turns, one turn each."""
    found = []
    for _ in range(turns):
        (frame,) = sent(mux, 1)
        found.append(frame.channel)
    return found


def test_a_round_with_nobody_in_it_is_false() -> None:
    """There is a turn only while somebody waits."""
    turns = Turns()
    assert not turns
    turns.join(a_channel(1))
    assert turns
    turns.next()
    assert not turns


def test_joining_twice_gives_one_turn() -> None:
    """A channel that writes often does not send more often."""
    turns, channel = Turns(), a_channel(1)
    turns.join(channel)
    turns.join(channel)
    assert turns.next() is channel
    assert not turns


def test_those_who_have_more_are_served_round_robin() -> None:
    """Everybody once, then everybody once again."""
    mux = a_mux(quantum=QUANTUM, flight=1 << 30)
    channels = [channel.id for channel in busy(mux, 5)]
    assert served(mux, 15) == channels * 3


def test_one_turn_is_at_most_a_quantum_while_others_wait() -> None:
    """And up to a whole frame when nobody does."""
    mux = a_mux(quantum=QUANTUM, flight=1 << 30)
    first, _ = busy(mux, 2)
    assert [len(frame.payload) for frame in sent(mux, 2)] == [QUANTUM]
    alone = a_mux(quantum=QUANTUM, flight=1 << 30)
    busy(alone, 1)
    assert [len(frame.payload) for frame in sent(alone, 2)] == [65_535]
    assert first.queued == 1_000_000 - QUANTUM


def test_a_newcomer_is_served_at_once_however_many_downloads_are_busy() -> None:
    """A small request never waits behind bulk: the next turn is its own."""
    mux = a_mux(quantum=QUANTUM, flight=1 << 30)
    busy(mux, 50)
    served(mux, 120)
    newcomer = opened(mux)
    mux.write(newcomer, b"GET / HTTP/1.1\r\n\r\n")
    assert newcomer.id in served(mux, 2)


def test_bulk_is_served_after_every_eight_newcomers() -> None:
    """Small requests without end do not starve a download."""
    mux = a_mux(quantum=QUANTUM, flight=1 << 30)
    (bulk,) = busy(mux, 1)
    served(mux, 3)
    small = [opened(mux) for _ in range(100)]
    for channel in small:
        mux.write(channel, b"x")
    order = served(mux, 40)
    gaps = [index for index, number in enumerate(order) if number == bulk.id]
    assert gaps, "bulk was starved"
    assert max(b - a for a, b in zip([-1, *gaps], [*gaps, len(order)], strict=True)) <= FRESH_IN_A_ROW + 1


def test_a_channel_without_credit_has_no_turn() -> None:
    """It comes back when the peer gives credit, and its turn was nobody's loss."""
    mux = a_mux(quantum=QUANTUM, flight=1 << 30)
    stalled = opened(mux, 16_384)
    mux.write(stalled, bytes(100_000))
    (other,) = busy(mux, 1)
    sent(mux, 60_000)
    assert stalled.send.credit == 0
    assert set(served(mux, 10)) == {other.id}


@given(st.lists(st.integers(0, 9)), st.integers(1, 10))
def test_nobody_waits_longer_than_all_others_have_turns(joins: list[int], bulk: int) -> None:
    """A waiting channel is served within (FRESH_IN_A_ROW + 1) turns for each one before it."""
    turns = Turns()
    channels = {number: a_channel(number) for number in range(10)}
    old = [a_channel(100 + number) for number in range(bulk)]
    for channel in old:
        turns.again(channel)
    waited = dict.fromkeys(range(100, 100 + bulk), 0)
    for number in joins:
        turns.join(channels[number])
        channel = turns.next()
        for other in waited:
            waited[other] += 1
        if channel.id >= 100:
            waited[channel.id] = 0
            turns.again(channel)
        assert max(waited.values()) <= bulk * (FRESH_IN_A_ROW + 1)
