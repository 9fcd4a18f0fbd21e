"""Who listens to what happens."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from egtunnel.admin.events import Events
from egtunnel.admin.limits import ApiLimits
from egtunnel.admin.problems import Problem


class Listener:
    """As much of a request as events need."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.headers: dict[bytes, bytes] = {}
        self.producer: Any = None
        self.lost = False

    def setHeader(self, name: bytes, value: bytes) -> None:
        self.headers[name] = value

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def loseConnection(self) -> None:
        self.lost = True


def made(limits: ApiLimits | None = None) -> tuple[Events, Clock]:
    clock = Clock()
    return Events(clock, lambda: 1000.0, limits or ApiLimits()), clock


def test_an_event_is_told_to_all_who_listen_with_its_number() -> None:
    """Numbers go on while nobody listens: who comes back sees what it missed."""
    events, _ = made()
    events.tell("claimed", name="a")
    one, two = Listener(), Listener()
    events.subscribe(one)
    events.subscribe(two)
    events.tell("released", name="a")
    expected = b'id: 2\nevent: released\ndata: {"at": 1000.0, "name": "a"}\n\n'
    assert one.written[1:] == two.written[1:] == [expected]
    assert one.headers[b"Content-Type"] == b"text/event-stream"


def test_a_line_end_in_what_happened_does_not_end_the_event() -> None:
    """JSON escapes it."""
    events, _ = made()
    listener = Listener()
    events.subscribe(listener)
    events.tell("refused", what="a\n\nevent: forged")
    assert listener.written[-1].count(b"\n\n") == 1


def test_signs_of_life_come_as_long_as_somebody_listens() -> None:
    """And no timer stays behind."""
    events, clock = made(ApiLimits(ping=15))
    listener = Listener()
    subscriber = events.subscribe(listener)
    clock.advance(15)
    clock.advance(15)
    assert listener.written[1:] == [b": ping\n\n"] * 2
    subscriber.over.addErrback(lambda reason: None)
    subscriber.over.cancel()
    clock.advance(15)
    assert not clock.getDelayedCalls()


def test_who_does_not_read_is_cut_off_and_the_others_go_on() -> None:
    """What waits for one is bounded."""
    events, _ = made(ApiLimits(backlog=500))
    slow, quick = Listener(), Listener()
    events.subscribe(slow)
    events.subscribe(quick)
    slow.producer.pauseProducing()
    for _ in range(3):
        events.tell("claimed", name="a" * 50)
    assert slow.written == [b": listening\n\n"]
    slow.producer.resumeProducing()
    assert len(slow.written) == 4
    slow.producer.pauseProducing()
    for _ in range(10):
        events.tell("claimed", name="a" * 50)
    assert slow.lost and len(slow.written) == 4
    assert len(quick.written) == 14


def test_only_so_many_may_listen_and_the_end_ends_all() -> None:
    """One more is a problem of its own."""
    events, clock = made(ApiLimits(subscribers=1))
    subscriber = events.subscribe(Listener())
    with pytest.raises(Problem) as found:
        events.subscribe(Listener())
    assert found.value.status == 503
    ended: list[bytes] = []
    subscriber.over.addCallback(ended.append)
    events.close()
    assert ended == [b""]
    assert not clock.getDelayedCalls()
