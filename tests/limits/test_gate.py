"""Bandwidth by turns: the rate is kept, everybody gets as much, and who is silent or gone keeps nobody waiting."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from egtunnel.limits.gate import Gate

RATE = 1_000_000
STEP = 0.001


class Download:
    """Reads ``size`` bytes each millisecond, while it is not paused."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.paused = False
        self.total = 0

    def pauseProducing(self) -> None:
        assert not self.paused
        self.paused = True

    def resumeProducing(self) -> None:
        assert self.paused
        self.paused = False

    def step(self, gate: Gate) -> None:
        """One turn of the reactor."""
        if not self.paused and self.size:
            self.total += self.size
            gate.read(self, self.size)


def run(gate: Gate, clock: Clock, downloads: list[Download], seconds: int) -> None:
    """So many seconds of the clock."""
    for _ in range(int(seconds / STEP)):
        for download in downloads:
            download.step(gate)
        clock.advance(STEP)


def gate_and_clock() -> tuple[Gate, Clock]:
    """A gate of one megabyte a second."""
    clock = Clock()
    return Gate(RATE, clock.seconds, clock.callLater), clock


@pytest.mark.parametrize("size", [1_460, 16_384, 65_536])
def test_ten_downloads_together_keep_the_rate_and_get_as_much(size: int) -> None:
    """Within 5 % of the rate over 20 seconds, whatever one read brings; no download a tenth from the mean."""
    gate, clock = gate_and_clock()
    downloads = [Download(size) for _ in range(10)]
    run(gate, clock, downloads, 20)
    total = sum(download.total for download in downloads)
    assert abs(total - 20 * RATE) <= 0.05 * 20 * RATE
    mean = total / 10
    assert all(abs(download.total - mean) <= max(0.1 * mean, size) for download in downloads)


def test_who_is_slow_enough_is_never_paused() -> None:
    """Half the rate, alone."""
    gate, clock = gate_and_clock()
    download = Download(500)
    run(gate, clock, [download], 5)
    assert (download.total, gate.waiting) == (5 * RATE // 2, 0)


def test_one_that_falls_silent_keeps_nobody_waiting() -> None:
    """The other one has all of it."""
    gate, clock = gate_and_clock()
    silent, busy = Download(16_384), Download(16_384)
    run(gate, clock, [silent, busy], 1)
    silent.size, before = 0, busy.total
    run(gate, clock, [silent, busy], 10)
    assert abs(busy.total - before - 10 * RATE) <= 0.05 * 10 * RATE


def test_who_is_gone_is_not_resumed() -> None:
    """And nothing is left behind on the clock."""
    gate, clock = gate_and_clock()
    download = Download(RATE)
    download.step(gate)
    assert download.paused
    gate.gone(download)
    assert (gate.waiting, clock.getDelayedCalls()) == (0, [])
    clock.advance(10)
    assert download.paused
