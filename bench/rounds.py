"""The run: each round starts every contender anew and gives each the same work, one contender after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from attrs import Factory, define, frozen

from bench.contenders.base import Contender, Ground, Running
from bench.errors import BenchError
from bench.metrics import Failure, Sample
from bench.ports import Ports
from bench.upstream import Upstream
from bench.work.base import Scale, Work
from bench.work.visitor import wait_until_served

__all__ = ["Plan", "Record", "play", "rotated"]

T = TypeVar("T")


@define
class Record:
    """What a run has brought so far; whole even when the run is broken off."""

    samples: list[Sample] = Factory(list)
    failures: list[Failure] = Factory(list)


@frozen
class Plan:
    """What is to be done, with whom, how often."""

    contenders: Sequence[Contender]
    work: Sequence[Work]
    rounds: int
    scale: Scale


def rotated(items: Sequence[T], by: int) -> list[T]:
    """The items, begun at another place, so that nobody is always first."""
    at = by % len(items) if items else 0
    return [*items[at:], *items[:at]]


def play(
    plan: Plan,
    upstream: Upstream,
    folder: Path,
    record: Record,
    tell: Callable[[str], None],
    after_round: Callable[[], None] = lambda: None,
) -> None:
    """Do all rounds and fill the record.

    What fails is recorded and passed over: one peer's trouble does not cost the others their figures.

    :param folder: an empty one, for what the contenders write
    :param tell: gets a line for people after each step
    :param after_round: called when a round is over, to put the record by
    """
    for number in range(1, plan.rounds + 1):
        order = rotated(plan.contenders, number - 1)
        with _Round(number, plan, upstream, folder, record, tell).entered(order) as entrants:
            for piece in plan.work:
                for entrant in entrants:
                    entrant.do(piece)
        after_round()


class _Round:
    """What all entrants of one round share."""

    def __init__(
        self, number: int, plan: Plan, upstream: Upstream, folder: Path, record: Record, tell: Callable[[str], None]
    ) -> None:
        self.number, self.plan, self.upstream = number, plan, upstream
        self._folder, self._record, self._tell = folder, record, tell
        self._ports = Ports()
        self._starts = 0

    @contextmanager
    def entered(self, order: Sequence[Contender]) -> Iterator[list[_Entrant]]:
        """All contenders, started; one that does not start sits the round out."""
        with ExitStack() as stack:
            entrants = [_Entrant(contender, self) for contender in order]
            for entrant in entrants:
                stack.callback(entrant.stop)
                entrant.start()
            yield entrants

    def ground(self, contender: Contender) -> Ground:
        """A ground that nobody has stood on."""
        self._starts += 1
        own = self._folder / f"{self.number}-{self._starts}-{contender.name}"
        own.mkdir()
        return Ground(self.upstream.port, own, self._ports)

    def keep(self, contender: Contender, piece: Work, figures: dict[str, float]) -> None:
        """Record what a piece of work gave."""
        self._record.samples.extend(Sample(self.number, contender.name, key, value) for key, value in figures.items())
        if figures:
            self._say(contender, piece.name, "  ".join(f"{key} {value:,.2f}" for key, value in figures.items()))

    def fail(self, contender: Contender, name: str, error: BenchError) -> None:
        """Record that it gave nothing."""
        self._record.failures.append(Failure(self.number, contender.name, name, str(error)))
        self._say(contender, name, f"failed: {error}")

    def _say(self, contender: Contender, name: str, text: str) -> None:
        self._tell(f"round {self.number}  {name:15} {contender.name:14} {text}")


class _Entrant:
    """One contender in one round; it is started again after work that failed, so that each piece stands alone."""

    def __init__(self, contender: Contender, around: _Round) -> None:
        self._contender, self._round = contender, around
        self._stack = ExitStack()
        self._running: Running | None = None
        self._out = False

    def start(self) -> None:
        try:
            running = self._stack.enter_context(self._contender.run(self._round.ground(self._contender)))
            wait_until_served(running)
        except BenchError as error:
            self._round.fail(self._contender, "start", error)
            self._out = True
            self.stop()
        else:
            self._running = running

    def stop(self) -> None:
        self._running = None
        self._stack.close()

    def do(self, piece: Work) -> None:
        """Do a piece of work and have the outcome recorded."""
        if self._running is None and not self._out:
            self.start()
        if self._running is None:
            return
        try:
            figures = piece.run(self._running, self._round.upstream, self._round.plan.scale)
        except BenchError as error:
            self._round.fail(self._contender, piece.name, error)
            self.stop()
        else:
            self._round.keep(self._contender, piece, figures)
