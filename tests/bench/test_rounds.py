"""Rounds: fair turns, and one contender's trouble stays its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import define, field

from bench.contenders.base import Ground, Running
from bench.errors import DidNotStart, WorkFailed
from bench.metrics import Failure, Sample
from bench.rounds import Plan, Record, play, rotated
from bench.site import Site
from bench.upstream import Upstream
from bench.work.base import Scale


@define
class Actor:
    """A contender that only notes when it is on stage; its port is its name to the work."""

    name: str
    port: int
    diary: list[str]
    starts: bool = True
    encrypts: bool = False
    programs: tuple[str, ...] = ()

    def version(self) -> str:
        return "1"

    @contextmanager
    def run(self, ground: Ground) -> Iterator[Running]:
        if not self.starts:
            raise DidNotStart("stage fright")
        assert not list(ground.folder.iterdir()), "a folder is used twice"
        self.diary.append(f"+{self.name}")
        try:
            yield Running(Site(self.port, self.name))
        finally:
            self.diary.append(f"-{self.name}")


@define
class Piece:
    """Work that gives the port, or fails for the ports it is told."""

    name: str
    diary: list[str]
    fails_for: frozenset[int] = field(default=frozenset())

    def run(self, running: Running, upstream: Upstream, scale: Scale) -> dict[str, float]:
        self.diary.append(f"{self.name}:{running.site.host_header}")
        if running.site.port in self.fails_for:
            raise WorkFailed("forgot the words")
        return {self.name: float(running.site.port)}


@pytest.fixture(autouse=True)
def served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Actors have no sockets to wait for."""
    monkeypatch.setattr("bench.rounds.wait_until_served", lambda running: None)


def perform(tmp_path: Path, actors: list[Actor], pieces: list[Piece], rounds: int = 1) -> tuple[Record, list[str]]:
    record, told = Record(), list[str]()
    upstream = Upstream(1, tmp_path, tmp_path)
    play(Plan(actors, pieces, rounds, Scale()), upstream, tmp_path, record, told.append)
    return record, told


def test_contenders_take_turns_at_each_piece_of_work(tmp_path: Path) -> None:
    """All are started, then each piece goes round, and in the end all are stopped."""
    diary: list[str] = []
    actors, pieces = [Actor("a", 1, diary), Actor("b", 2, diary)], [Piece("x", diary), Piece("y", diary)]
    record, _ = perform(tmp_path, actors, pieces)
    assert diary == ["+a", "+b", "x:a", "x:b", "y:a", "y:b", "-b", "-a"]
    assert record.samples == [
        Sample(1, "a", "x", 1),
        Sample(1, "b", "x", 2),
        Sample(1, "a", "y", 1),
        Sample(1, "b", "y", 2),
    ]


def test_each_round_begins_with_another_contender(tmp_path: Path) -> None:
    """Nobody is always first; everyone is started anew."""
    diary: list[str] = []
    actors = [Actor(name, port, diary) for port, name in enumerate("abc")]
    perform(tmp_path, actors, [Piece("x", diary)], rounds=2)
    assert [entry for entry in diary if ":" in entry] == ["x:a", "x:b", "x:c", "x:b", "x:c", "x:a"]
    assert diary.count("+a") == diary.count("-a") == 2


def test_work_that_fails_is_recorded_and_the_contender_started_again(tmp_path: Path) -> None:
    """Its next piece finds it fresh; the others notice nothing."""
    diary: list[str] = []
    actors = [Actor("a", 1, diary), Actor("b", 2, diary)]
    record, told = perform(tmp_path, actors, [Piece("x", diary, frozenset({1})), Piece("y", diary)])
    assert diary == ["+a", "+b", "x:a", "-a", "x:b", "+a", "y:a", "y:b", "-b", "-a"]
    assert record.failures == [Failure(1, "a", "x", "forgot the words")]
    assert {(sample.contender, sample.metric) for sample in record.samples} == {("b", "x"), ("a", "y"), ("b", "y")}
    assert any("forgot the words" in line for line in told)


def test_a_contender_that_does_not_start_sits_the_round_out(tmp_path: Path) -> None:
    """It is tried once a round, and the others play on."""
    diary: list[str] = []
    actors = [Actor("a", 1, diary, starts=False), Actor("b", 2, diary)]
    record, _ = perform(tmp_path, actors, [Piece("x", diary), Piece("y", diary)], rounds=2)
    assert record.failures == [Failure(1, "a", "start", "stage fright"), Failure(2, "a", "start", "stage fright")]
    assert {sample.contender for sample in record.samples} == {"b"}


def test_an_interrupt_stops_everyone_and_keeps_what_was_found(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a run costs only the rest of it."""
    diary: list[str] = []

    class Interrupt(Piece):
        def run(self, running: Running, upstream: Upstream, scale: Scale) -> dict[str, float]:
            raise KeyboardInterrupt

    record = Record()
    plan = Plan([Actor("a", 1, diary)], [Piece("x", diary), Interrupt("y", diary)], 3, Scale())
    with pytest.raises(KeyboardInterrupt):
        play(plan, Upstream(1, tmp_path, tmp_path), tmp_path, record, lambda line: None)
    assert diary == ["+a", "x:a", "-a"]
    assert record.samples == [Sample(1, "a", "x", 1)]


def test_turns_are_rotated() -> None:
    """By any number, and nothing is fine too."""
    assert [rotated([1, 2, 3], by) for by in (0, 1, 4)] == [[1, 2, 3], [2, 3, 1], [2, 3, 1]]
    assert rotated([], 5) == []
