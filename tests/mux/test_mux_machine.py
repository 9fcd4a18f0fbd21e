"""Two muxes back to back under every schedule: bytes arrive as written, credit is neither exceeded nor lost."""

from __future__ import annotations

from contextlib import suppress
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from egtunnel.errors import ChannelReset, TooManyChannels
from egtunnel.mux.budget import Budget
from egtunnel.mux.channel import Channel, ChannelState, Role
from egtunnel.mux.events import ChannelOpened, ChannelWasReset, DataReceived, Event, Faulted, MessageReceived
from egtunnel.mux.flight import ACK_EVERY
from egtunnel.mux.mux import Mux
from egtunnel.mux.windows import MAX_WINDOW
from tests.mux.wire import ROOMY, a_mux, waiting

BLOCK = Random(7).randbytes(1 << 20)
"""What is written on every channel, from its first byte on."""
SIDES = st.integers(0, 1)
PICK = st.integers(0, 3)
SIZES = st.sampled_from([1, 1000, 8192, 16_385, 40_000, 130_000, 300_000])


class End:
    """One end of a channel and what this side knows of it."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.written = 0
        self.received = 0
        self.unread = 0
        self.fin = False
        self.reset = False


class Side:
    """One mux, its channels, and the bytes under way to it."""

    def __init__(self, role: Role, memory: int, quantum: int) -> None:
        self.mux: Mux = a_mux(role, Budget(memory), flight=ACK_EVERY, channels=8, unaccepted=3, quantum=quantum)
        self.ends: dict[int, End] = {}
        self.wire = bytearray()
        self.pressure = 0
        self.messages = 0

    def pick(self, which: int) -> End | None:
        """One of the channels, or none yet."""
        return list(self.ends.values())[which % len(self.ends)] if self.ends else None

    def meet(self, channel: Channel) -> None:
        """A channel is new on this side."""
        self.ends[channel.id] = End(channel)

    def consume(self, end: End, size: int) -> None:
        """The application takes at most so many bytes."""
        size = min(size, end.unread)
        end.unread -= size
        self.mux.consumed(end.channel, size)

    def told(self, event: Event) -> None:
        """Check one event against what the other side wrote."""
        assert not isinstance(event, Faulted), event
        if isinstance(event, ChannelOpened):
            self.meet(event.channel)
        elif isinstance(event, MessageReceived):
            self.messages += 1
        elif isinstance(event, DataReceived):
            end = self.ends[event.channel.id]
            assert not end.fin, "nothing follows a FIN"
            assert event.data == BLOCK[end.received : end.received + len(event.data)]
            end.received += len(event.data)
            end.unread += len(event.data)
            end.fin = event.fin
        elif isinstance(event, ChannelWasReset):
            end = self.ends[event.channel.id]
            end.reset = True
            self.consume(end, end.unread)

    def accounted(self) -> int:
        """What the budget should hold."""
        return self.pressure + sum(end.held for end in (*self.mux.channels.values(), *self.mux.lingering.values()))


class BackToBack(RuleBasedStateMachine):
    """Every rule is something an application or a link may do at any time."""

    sides: list[Side]

    @initialize(
        memory=st.sampled_from([100_000, ROOMY, ROOMY]),
        quantum=st.sampled_from([100, 10_000, 65_535]),
        tight=st.booleans(),
    )
    def start(self, memory: int, quantum: int, tight: bool) -> None:
        """A relay and a client; while memory is tight, windows are small and credit matters at once."""
        self.sides = [Side(Role.RELAY, memory, quantum), Side(Role.CLIENT, memory, quantum)]
        for side in (0, 1) if tight else ():
            self.squeeze(side)
        self.open(0)
        self.open(1)
        self.said = [0, 0]

    @rule(side=SIDES)
    def open(self, side: int) -> None:
        """Open a channel."""
        with suppress(TooManyChannels):
            self.sides[side].meet(self.sides[side].mux.open(b"{}"))

    @rule(side=SIDES, which=PICK)
    def accept(self, side: int, which: int) -> None:
        """Accept one."""
        if end := self.sides[side].pick(which):
            self.sides[side].mux.accept(end.channel)

    @rule(side=SIDES, which=PICK, size=SIZES)
    def write(self, side: int, which: int, size: int) -> None:
        """Write some bytes."""
        end = self.sides[side].pick(which)
        if end is None or end.channel.fin_queued or end.channel.state is ChannelState.CLOSED:
            return
        piece = BLOCK[end.written : end.written + size]
        self.sides[side].mux.write(end.channel, piece)
        end.written += len(piece)

    @rule(side=SIDES, which=PICK)
    def finish(self, side: int, which: int) -> None:
        """End one direction."""
        if end := self.sides[side].pick(which):
            self.sides[side].mux.finish(end.channel)

    @rule(side=SIDES, which=PICK)
    def reset(self, side: int, which: int) -> None:
        """End both directions."""
        if (end := self.sides[side].pick(which)) and end.written > 100_000:
            self.sides[side].mux.reset(end.channel, ChannelReset())
            end.reset = True
            self.sides[side].consume(end, end.unread)

    @rule(side=SIDES, which=PICK, size=SIZES)
    def consume(self, side: int, which: int, size: int) -> None:
        """Read some bytes."""
        if end := self.sides[side].pick(which):
            self.sides[side].consume(end, size)

    @rule(side=SIDES, limit=st.sampled_from([0, 1, 5000, 131_072]))
    def flush(self, side: int, limit: int) -> None:
        """The link takes a batch."""
        self.sides[1 - side].wire += b"".join(self.sides[side].mux.frames_to_send(limit))

    @rule(side=SIDES, size=st.sampled_from([1, 9, 1000, 40_000, ROOMY]))
    def deliver(self, side: int, size: int) -> None:
        """Some bytes of the link arrive."""
        receiver = self.sides[side]
        data = bytes(receiver.wire[:size])
        del receiver.wire[:size]
        for event in receiver.mux.receive(data):
            receiver.told(event)

    @rule()
    def exchange(self) -> None:
        """Everything that can leave arrives, both ways."""
        for side in (0, 1, 0):
            self.flush(side, ROOMY)
            self.deliver(1 - side, ROOMY)

    @rule(side=SIDES)
    def say(self, side: int) -> None:
        """A control message."""
        self.sides[side].mux.message(b"{}")
        self.said[side] += 1
        self.sides[side].mux.ping(b"12345678")

    @rule(now=st.floats(0, 0.2), round_trip=st.sampled_from([0.0, 0.001, 0.05, 1.0]))
    def wait(self, now: float, round_trip: float) -> None:
        """Time passes, on paths of any length."""
        for side in self.sides:
            side.mux.now += now
            side.mux.round_trip = round_trip

    @rule(side=SIDES)
    def squeeze(self, side: int) -> None:
        """Memory becomes tight, or plentiful again."""
        end = self.sides[side]
        end.mux.budget.release(end.pressure)
        end.pressure = 0 if end.pressure else end.mux.budget.limit // 2 + 1
        end.mux.budget.hold(end.pressure)

    @invariant()
    @precondition(lambda self: hasattr(self, "sides"))
    def every_byte_is_accounted_for(self) -> None:
        """The budget holds what the channels hold, and no window promises more than the largest."""
        for side in self.sides:
            assert waiting(side.mux) == side.accounted()
            for channel in side.mux.channels.values():
                assert channel.send.credit >= 0
                assert 0 <= channel.receive.available <= MAX_WINDOW

    def teardown(self) -> None:
        """In the end everybody reads: all that was written and not reset arrives, and nothing is left."""
        if not hasattr(self, "sides"):
            return
        for side in self.sides:
            side.mux.budget.release(side.pressure)
            side.pressure = 0
        moved = True
        while moved:
            moved = False
            for number, side in enumerate(self.sides):
                for end in side.ends.values():
                    side.mux.accept(end.channel)
                    side.consume(end, end.unread)
                self.flush(number, ROOMY)
                moved = moved or bool(self.sides[1 - number].wire)
                self.deliver(1 - number, ROOMY)
        self._all_arrived()

    def _all_arrived(self) -> None:
        for number, side in enumerate(self.sides):
            other = self.sides[1 - number]
            assert other.messages == self.said[number]
            assert waiting(side.mux) == 0
            assert not side.mux.lingering
            for key, end in side.ends.items():
                twin = other.ends.get(key)
                if end.reset or (twin is not None and twin.reset):
                    continue
                assert twin is not None, "every channel that was opened was met by the other side"
                assert twin.received == end.written
                assert twin.fin == end.channel.fin_queued
                assert (key in side.mux.channels) == (key in other.mux.channels) == (not (end.fin and twin.fin))


TestBackToBack = BackToBack.TestCase
TestBackToBack.settings = settings(max_examples=60, stateful_step_count=80, deadline=None)
