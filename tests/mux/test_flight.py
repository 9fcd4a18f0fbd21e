"""How much may be under way: a floor on short paths, bandwidth x delay on long ones, and acknowledgements in bounds."""

from __future__ import annotations

import pytest

from egtunnel.errors import FlowControlError
from egtunnel.mux.budget import SHARE, Budget
from egtunnel.mux.flight import ACK_EVERY, GAIN, LEAST, STRETCH, Flight
from egtunnel.mux.mux import Mux, MuxLimits
from egtunnel.mux.windows import MAX_WINDOW
from tests.mux.wire import ROOMY, a_mux, accepted, ack, data, fault_in, goaway, kinds, message, opened, ping, pong, sent

FLOOR = 163_840
MOST = 8_388_608


def acks(mux: Mux) -> list[int]:
    """The positions acknowledged now."""
    return [int.from_bytes(frame.payload, "big") for frame in sent(mux) if frame.type == 9]


def test_so_much_may_leave_before_an_acknowledgement_came() -> None:
    """The floor, which is enough on any short path."""
    flight = Flight(FLOOR, MOST, Budget(ROOMY))
    flight.sent = 100_000
    assert flight.room(urgent=False) == FLOOR - 100_000
    flight.acknowledge(60_000, 0.0, 0.0)
    assert flight.room(urgent=False) == FLOOR - 40_000


def test_for_what_is_urgent_the_limit_is_stretched() -> None:
    """A channel alone delays nobody, and a newcomer sends little."""
    flight = Flight(FLOOR, MOST, Budget(ROOMY))
    assert flight.room(urgent=False) == FLOOR
    assert flight.room(urgent=True) == STRETCH * FLOOR


def test_a_newcomer_need_not_wait_until_a_download_is_acknowledged() -> None:
    """With two downloads as far under way as they may, its first bytes leave at once, and the downloads still wait."""
    mux = a_mux(flight=FLOOR)
    downloads = [accepted(mux, number) for number in (1, 3)]
    for channel in downloads:
        mux.write(channel, bytes(200_000))
    mux.frames_to_send(1 << 20)
    assert mux.flight.room(urgent=False) <= 0
    assert not mux.has_frames
    newcomer = accepted(mux, 5)
    sent(mux)
    mux.write(newcomer, b"hello")
    assert [(frame.channel, frame.payload) for frame in sent(mux) if frame.type == 4] == [(5, b"hello")]
    assert not mux.has_frames


@pytest.mark.parametrize("position", [9, 101])
def test_an_acknowledgement_cannot_go_back_nor_beyond_what_was_sent(position: int) -> None:
    """Both are the peer's fault, by name."""
    flight = Flight(FLOOR, MOST, Budget(ROOMY))
    flight.sent, flight.acked = 100, 10
    with pytest.raises(FlowControlError):
        flight.acknowledge(position, 0.0, 0.0)


def test_on_a_long_path_the_limit_follows_bandwidth_times_delay() -> None:
    """8 MB/s over 125 ms is 1 MB; twice that may be under way."""
    flight = Flight(FLOOR, MOST, Budget(ROOMY))
    flight.sent = 10_000_000
    flight.acknowledge(1, 10.0, 0.125)
    flight.acknowledge(1_000_001, 10.125, 0.125)
    assert flight.limit == pytest.approx(GAIN * 1_000_000, rel=0.01)


def test_a_slower_measurement_lowers_the_limit_little_by_little_down_to_the_floor() -> None:
    """One quiet moment does not throw away what is known of the path."""
    flight = Flight(FLOOR, MOST, Budget(ROOMY))
    flight.sent = 10_000_000
    flight.acknowledge(1, 10.0, 0.125)
    flight.acknowledge(1_000_001, 10.125, 0.125)
    before = flight.limit
    flight.acknowledge(1_000_002, 10.375, 0.125)
    assert 0.8 * before < flight.limit < before
    for turn in range(100):
        flight.acknowledge(1_000_003 + turn, 11.0 + turn, 0.125)
    assert flight.limit == FLOOR


def test_on_a_short_path_the_limit_is_the_floor() -> None:
    """There more in flight would only stand in front of the next small request."""
    flight = Flight(FLOOR, MOST, Budget(ROOMY))
    flight.sent = 10_000_000
    for turn in range(1, 10):
        flight.acknowledge(turn * 1_000_000, turn * 0.001, 0.001)
    assert flight.limit == FLOOR


def test_no_more_than_a_part_of_the_budget_is_under_way() -> None:
    """It is kept until the peer has it: a long path would fill a small budget, and channels would pay for it."""
    budget = Budget(1_048_576)
    flight = Flight(FLOOR, MOST, budget)
    for turn in range(1, 100):
        flight.sent += 1_000_000
        flight.acknowledge(flight.sent, turn * 0.125, 0.125)
    assert flight.limit > budget.limit
    assert flight.room(urgent=True) == budget.limit // SHARE
    flight.sent += budget.limit // SHARE
    assert flight.full
    assert Flight(FLOOR, MOST, Budget(1)).room(urgent=True) == LEAST


def test_while_memory_is_tight_the_floor_is_for_everybody() -> None:
    """Also where it is the whole relay's that is tight: a thousand sessions without links hold a floor each."""
    relay = Budget(100_000_000)
    flight = Flight(FLOOR, MOST, Budget(100_000_000, relay))
    for turn in range(1, 100):
        flight.sent += 1_000_000
        flight.acknowledge(flight.sent, turn * 0.125, 0.125)
    assert flight.room(urgent=False) > FLOOR
    relay.hold(50_000_001)
    assert flight.room(urgent=False) == flight.room(urgent=True) == FLOOR


def test_data_waits_for_room_and_nothing_else_does() -> None:
    """Frames other than DATA are never held back."""
    mux = a_mux(flight=ACK_EVERY)
    channel = opened(mux, MAX_WINDOW)
    mux.write(channel, bytes(1_000_000))
    sent(mux)
    mux.message(b"{}")
    mux.ping(b"12345678")
    assert mux.has_frames
    assert kinds(sent(mux)) == [("PING", 0), ("ACK", 0), ("MESSAGE", 0)]
    assert not mux.has_frames
    mux.receive(ack(mux.flight.sent))
    assert mux.has_frames
    assert kinds(sent(mux)) == [("DATA", channel.id)]


def test_what_came_is_acknowledged_after_so_many_bytes_at_the_latest() -> None:
    """Every 16,384 counted bytes, headers included."""
    mux = a_mux()
    accepted(mux)
    told = 8 + 6  # the OPEN
    mux.receive(data(1, bytes(ACK_EVERY - told - 8 - 1)))
    assert acks(mux) == []
    mux.receive(message()[:10])
    assert acks(mux) == [ACK_EVERY - 1 + 10]


def test_of_several_acknowledgements_only_the_last_is_sent() -> None:
    """An ACK is a position."""
    mux = a_mux()
    accepted(mux)
    for _ in range(3):
        mux.receive(data(1, bytes(ACK_EVERY)))
    assert acks(mux) == [14 + 3 * (8 + ACK_EVERY)]


def test_pings_pongs_acks_and_goaways_are_not_counted() -> None:
    """They may overtake the counted ones, and an ACK of ACKs would never end."""
    mux = a_mux()
    accepted(mux)
    mux.receive(ping() + pong() + ack(0) + goaway(text=b"soon"))
    sent(mux)
    mux.receive(data(1, bytes(ACK_EVERY)))
    assert acks(mux) == [14 + 8 + ACK_EVERY]


def test_both_sides_count_the_same_bytes() -> None:
    """What is acknowledged is what was sent, whatever the frames were."""
    one, other = a_mux(), a_mux()
    accepted(other)
    channel = opened(one)
    before = one.flight.sent
    one.message(b"{}")
    one.ping(b"12345678")
    one.write(channel, bytes(100))
    one.consumed(channel, 0)
    ping_and_ack = 32
    wire = b"".join(one.frames_to_send(1 << 30))
    assert one.flight.sent - before == len(wire) - ping_and_ack


def test_an_impossible_acknowledgement_ends_the_link_by_name() -> None:
    """More than we ever sent."""
    assert isinstance(fault_in(a_mux().receive(ack(1))), FlowControlError)


def test_nothing_is_acknowledged_after_a_fault() -> None:
    """The link is over; a position taken in the middle of a fault would only confuse the peer."""
    mux = a_mux()
    accepted(mux)
    wire = data(1, bytes(ACK_EVERY)) + data(7, b"never opened") + ping() * 100
    fault_in(mux.receive(wire))
    assert acks(mux) == []


def test_a_flight_too_small_to_be_acknowledged_is_refused() -> None:
    """With less than ``ACK_EVERY`` under way the peer would never acknowledge, and all would stand still."""
    with pytest.raises(ValueError, match="flight"):
        MuxLimits(flight=ACK_EVERY - 1)
    MuxLimits(flight=ACK_EVERY)
