"""A person is told what is new, and what lasts once a minute."""

from __future__ import annotations

from twisted.internet.task import Clock

from egtunnel.client.calm import Calm


def test_the_same_line_is_said_once_a_minute() -> None:
    """Ten attempts within a minute that fail alike make one line; the next minute makes another."""
    said: list[str] = []
    clock = Clock()
    calm = Calm(said.append, clock)
    for _ in range(10):
        calm.tell("refused")
        clock.advance(5)
    assert said == ["refused"]
    clock.advance(10)
    assert calm.tell("refused")
    assert said == ["refused", "refused"]


def test_another_line_is_said_at_once() -> None:
    """A change of reason is news."""
    said: list[str] = []
    calm = Calm(said.append, Clock())
    assert calm.tell("refused")
    assert not calm.tell("refused")
    assert calm.tell("no such host")
    assert calm.tell("refused")
    assert said == ["refused", "no such host", "refused"]
