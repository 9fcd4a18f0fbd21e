"""Memory budgets: what is held, for a session and for the whole relay, and what happens above."""

from __future__ import annotations

from egtunnel.mux.budget import Budget
from egtunnel.mux.events import ChannelWasReset, DataReceived, Event
from egtunnel.mux.windows import INITIAL_WINDOW, MAX_WINDOW, MIN_WINDOW
from tests.mux.wire import a_mux, accepted, data, kinds, offered, opened, resetting, sent, waiting


def victims(events: list[Event]) -> list[int]:
    """The channels that were reset for the sake of the budget."""
    return [event.channel.id for event in events if isinstance(event, ChannelWasReset) and event.code == 8]


def test_what_is_held_counts_here_and_in_the_parent() -> None:
    """A session's bytes are the relay's bytes too; the peak is kept for the status page."""
    relay = Budget(100)
    one, other = Budget(60, relay), Budget(60, relay)
    one.hold(40)
    other.hold(30)
    one.release(15)
    assert (one.held, other.held, relay.held) == (25, 30, 55)
    assert (one.peak, other.peak, relay.peak) == (40, 30, 70)


def test_a_budget_is_tight_above_one_half() -> None:
    """Half of it is the last that is comfortable."""
    budget = Budget(100)
    budget.hold(50)
    assert not budget.tight
    budget.hold(1)
    assert budget.tight


def test_a_budget_is_exceeded_above_its_limit() -> None:
    """The limit itself may be held."""
    budget = Budget(100)
    budget.hold(100)
    assert not budget.exceeded
    budget.hold(1)
    assert budget.exceeded


def test_a_tight_or_exceeded_parent_counts_for_each_session() -> None:
    """A session that holds nothing feels it when the relay as a whole is full."""
    relay = Budget(100)
    hog, small = Budget(1000, relay), Budget(1000, relay)
    hog.hold(60)
    assert small.tight
    hog.hold(60)
    assert small.exceeded


def test_new_windows_are_full_while_memory_is_plentiful_and_smallest_while_it_is_tight() -> None:
    """``window`` is what the next channel starts with."""
    budget = Budget(100)
    assert budget.window() == INITIAL_WINDOW
    budget.hold(51)
    assert budget.window() == MIN_WINDOW


def test_a_mux_holds_what_came_until_it_is_consumed() -> None:
    """Received bytes count from their arrival on."""
    mux = a_mux()
    channel = accepted(mux)
    mux.receive(data(1, bytes(1000)))
    assert waiting(mux) == 1000
    mux.consumed(channel, 400)
    assert waiting(mux) == 600
    mux.consumed(channel, 600)
    assert waiting(mux) == 0


def test_a_mux_holds_what_is_written_until_it_has_left() -> None:
    """Queued bytes count too."""
    mux = a_mux()
    channel = accepted(mux)
    mux.write(channel, bytes(1000))
    assert waiting(mux) == 1000
    sent(mux)
    assert waiting(mux) == 0


def test_what_waited_on_a_channel_that_was_reset_is_held_no_longer() -> None:
    """Its queue at once, its received bytes when the application has let go of them."""
    mux = a_mux()
    channel = accepted(mux)
    mux.write(channel, bytes(1000))
    mux.receive(data(1, bytes(10)) + resetting(1))
    assert waiting(mux) == 10
    mux.consumed(channel, 10)
    assert waiting(mux) == 0


def test_above_the_limit_the_channel_that_holds_the_most_is_reset() -> None:
    """The peer is told over-budget by name, the application by an event."""
    mux = a_mux(budget=Budget(10_000))
    accepted(mux, 1)
    accepted(mux, 3)
    events = mux.receive(data(1, bytes(4000)) + data(3, bytes(6001)))
    assert victims(events) == [3]
    frames = sent(mux)
    assert kinds(frames) == [("RESET", 3)]
    assert frames[0].payload[:2] == b"\x00\x08"


def test_only_as_many_channels_are_reset_as_it_takes() -> None:
    """What the victim held is as good as free, although its application has not let go of it yet."""
    mux = a_mux(budget=Budget(10_000))
    for number in (1, 3, 5, 7):
        accepted(mux, number)
    events = mux.receive(data(1, bytes(100)) + data(3, bytes(100)) + data(5, bytes(100)) + data(7, bytes(9_800)))
    assert victims(events) == [7]
    assert sorted(mux.channels) == [1, 3, 5]


def test_a_second_arrival_does_not_pay_for_the_first_victim() -> None:
    """The victim's bytes, not consumed yet, are not counted against the others again."""
    mux = a_mux(budget=Budget(10_000))
    accepted(mux, 1)
    accepted(mux, 3)
    victim = next(e.channel for e in mux.receive(data(1, bytes(10_001))) if isinstance(e, ChannelWasReset))
    assert victims(mux.receive(data(3, bytes(100)))) == []
    mux.consumed(victim, 10_001)
    assert waiting(mux) == 100


def test_queued_bytes_are_shed_too() -> None:
    """The channel that holds the most may hold it in the other direction."""
    mux = a_mux(budget=Budget(10_000))
    accepted(mux, 1)
    queueing = opened(mux)
    mux.write(queueing, bytes(20_000))
    assert victims(mux.receive(data(1, bytes(100)))) == [queueing.id]
    assert waiting(mux) == 100


def test_a_channel_that_is_over_on_the_wire_but_not_consumed_pays_first() -> None:
    """A slow reader whose peer has finished holds memory like any other: it is shed, and not the innocent."""
    mux = a_mux(budget=Budget(10_000))
    slow = accepted(mux, 1)
    mux.finish(slow)
    sent(mux)
    mux.receive(data(1, bytes(9_950), fin=True))
    assert 1 not in mux.channels
    accepted(mux, 3)
    events = mux.receive(data(3, bytes(100)))
    assert victims(events) == [1]
    assert sent(mux) == [], "the peer knows that channel no longer"
    assert 3 in mux.channels


def test_a_channel_that_ended_by_fin_and_reset_pays_like_any_other() -> None:
    """The ordinary end of a stream, FIN and then RESET with code 0, does not hide what is held."""
    mux = a_mux(budget=Budget(10_000))
    accepted(mux, 1)
    mux.receive(data(1, bytes(9_950), fin=True) + resetting(1))
    accepted(mux, 3)
    assert victims(mux.receive(data(3, bytes(100)))) == [1]


def test_a_slow_reader_of_a_channel_that_is_over_is_left_in_peace_while_there_is_room() -> None:
    """It consumes at its own pace; nothing is reset, and nothing is left at the end."""
    mux = a_mux(budget=Budget(10_000))
    accepted(mux, 1)
    events = mux.receive(data(1, bytes(5_000), fin=True) + resetting(1))
    assert victims(events) == []
    (got,) = [event for event in events if isinstance(event, DataReceived)]
    mux.consumed(got.channel, 5_000)
    assert waiting(mux) == 0
    assert not mux.lingering


def test_while_memory_is_tight_an_accepted_channel_gets_the_smallest_window() -> None:
    """16,384 bytes: it can always move on, and 4,096 of them still fit a budget of 64 MiB."""
    budget = Budget(1000)
    budget.hold(600)
    mux = a_mux(budget=budget)
    channel = offered(mux)
    mux.accept(channel)
    assert channel.receive.available == MIN_WINDOW
    assert sent(mux)[0].payload == MIN_WINDOW.to_bytes(4, "big")


def test_while_memory_is_tight_a_returning_window_shrinks_and_later_grows_back() -> None:
    """After the squeeze a channel is as fast as before it, on short paths too."""
    budget = Budget(4_000_000)
    mux = a_mux(budget=budget)
    channel = accepted(mux, 1)
    budget.hold(2_000_001)
    mux.receive(data(1, bytes(60_000)) + data(1, bytes(60_000)) + data(1, bytes(60_000)))
    mux.consumed(channel, 180_000)
    assert channel.receive.limit == MIN_WINDOW
    budget.release(2_000_001)
    for _ in range(100):
        size = min(60_000, channel.receive.available)
        mux.receive(data(1, bytes(size)))
        mux.consumed(channel, size)
    assert channel.receive.limit == INITIAL_WINDOW


def test_no_window_grows_beyond_an_eighth_of_a_session_s_budget() -> None:
    """A few readers that stop after a fast start must not use it up for the others."""
    assert Budget(8 * 1_000_000).largest_window == 1_000_000
    assert Budget(1 << 40).largest_window == MAX_WINDOW
