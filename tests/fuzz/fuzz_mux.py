"""Fuzz the mux: ``python -m tests.fuzz.fuzz_mux --runs 20000``; guided by coverage where atheris is installed.

One input is a program: some of its bytes are what a peer sends, others what the application does meanwhile. Whatever
the input, nothing is raised, every fault has a name, and no byte of memory is lost.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from inspect import isclass, isfunction, ismodule
from typing import Any

from egtunnel.errors import ProtocolError
from egtunnel.mux.budget import Budget
from egtunnel.mux.channel import Role
from egtunnel.mux.frames import RULES, FrameDecoder, FrameType, encode
from egtunnel.mux.mux import Mux, MuxLimits
from tests.mux.application import Application

WATCHED = [
    import_module(f"egtunnel.mux.{name}") for name in "budget channel flight frames mux outbound turns windows".split()
]
"""Modules whose branches guide atheris."""
LONGEST = 4096
"""Bytes of one input."""
CHANNELS = 6
CONTROL = 2000
BUDGETS = (30_000, 1_000_000, 1 << 30)
SIZES = (0, 1, 7, 500, 8192, 16_384, 16_385, 65_535)


class _Input:
    """Reads a program from the input; at its end everything is 0."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def __bool__(self) -> bool:
        return self.position < len(self.data)

    def take(self, size: int) -> bytes:
        piece = self.data[self.position : self.position + size]
        self.position += size
        return piece

    def byte(self) -> int:
        return int.from_bytes(self.take(1), "big")


def _well_formed(source: _Input) -> bytes:
    """A frame that keeps the rules of its type; small inputs so reach deep states."""
    kind = FrameType(source.byte() % 10 + 1)
    rule = RULES[kind]
    channel = 0 if rule.on_session else source.byte() % 12 + 1
    flags = rule.flags & source.byte() if rule.flags else 0
    if kind is FrameType.DATA:
        return encode(kind, channel, bytes(SIZES[source.byte() % len(SIZES)]), flags)
    payload = source.take(min(rule.shortest + source.byte() % 8, rule.longest))
    return encode(kind, channel, payload.ljust(rule.shortest, b"\0"), flags)


def test_one_input(data: bytes) -> None:
    """Run one program; raises AssertionError, or whatever the mux should not have raised."""
    source = _Input(data[:LONGEST])
    first = source.byte()
    budget = Budget(BUDGETS[first // 2 % len(BUDGETS)])
    mux = Mux(Role(first & 1), MuxLimits(channels=CHANNELS, unaccepted=3, control=CONTROL, quantum=1000), budget)
    application = Application(mux)
    while source:
        step = source.byte()
        if step < 64:
            application.read(mux.receive(source.take(step)))
        elif step < 160:
            application.read(mux.receive(_well_formed(source)))
        else:
            application.act(step % Application.ACTIONS, source.byte(), SIZES[step // 8 % len(SIZES)])
        if step % 5 == 0:
            _check_output(mux)
        _check_memory(mux)
    _check_end(mux, application)


test_one_input.__test__ = False  # type: ignore[attr-defined]  # named as atheris does; pytest calls it with inputs


def _check_output(mux: Mux) -> None:
    """What leaves are whole frames that break no rule."""
    decoder = FrameDecoder()
    _, fault = decoder.feed(b"".join(mux.frames_to_send(50_000)))
    assert fault is None, fault
    assert not decoder.pending


def _check_memory(mux: Mux) -> None:
    """The budget is what the channels hold, and what is kept to be sent again."""
    assert len(mux.channels) + len(mux.lingering) <= CHANNELS
    held = sum(channel.held for channel in (*mux.channels.values(), *mux.lingering.values()))
    held += mux.outbound.replay.held
    assert mux.budget.held == held, (mux.budget.held, held)


def _check_end(mux: Mux, application: Application) -> None:
    """A fault has a name and is final; when the application has let go of everything, nothing is left."""
    if application.fault is not None:
        assert isinstance(application.fault.error, ProtocolError)
        assert application.fault.error.text
        assert mux.receive(b"more") == []
    application.let_go()
    mux.outbound.replay.clear()
    assert mux.budget.held == 0
    assert not mux.channels
    assert not mux.lingering


def run_random(runs: int, seconds: float, seed: int) -> int:
    """Random programs, until so many have run or so much time is over (0: no such bound); how many have run."""
    source = random.Random(seed)
    end = time.monotonic() + seconds if seconds else None
    done = 0
    while (not runs or done < runs) and (end is None or time.monotonic() < end):
        test_one_input(source.randbytes(source.randrange(400)))
        done += 1
    return done


def run_guided(atheris: Any, runs: int, seconds: float, seed: int, corpus: str) -> None:
    """The same, guided by coverage; libFuzzer ends the process."""
    arguments = [f"-max_len={LONGEST}", f"-seed={seed}", f"-atheris_runs={runs}" if runs else ""]
    if seconds:
        arguments.append(f"-max_total_time={max(1, round(seconds))}")
    atheris.Setup([sys.argv[0], *filter(None, [*arguments, corpus])], test_one_input)
    atheris.Fuzz()


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.fuzz_mux", description=__doc__)
    parser.add_argument("--runs", type=int, default=0, help="inputs to try; 0: until --seconds are over")
    parser.add_argument("--seconds", type=float, default=0.0, help="how long; 0: until --runs are done")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers")
    parser.add_argument("--corpus", default="", help="folder of inputs for atheris, read and extended")
    parser.add_argument("--plain", action="store_true", help="random inputs although atheris is installed")
    options = parser.parse_args(argv)
    if not options.runs and not options.seconds:
        options.runs = 20_000
    atheris = None if options.plain else _instrumented()
    if atheris is not None:
        run_guided(atheris, options.runs, options.seconds, options.seed, options.corpus)
    else:
        done = run_random(options.runs, options.seconds, options.seed)
        print(f"{done} random inputs, no defect found")


def owns(value: object) -> bool:
    """Whether functions to be watched are found in this: a module or a class of the mux."""
    return ismodule(value) or (isclass(value) and value.__module__.startswith("egtunnel.mux"))


def _instrumented() -> Any:
    """atheris with the mux instrumented, or None where it is not installed."""
    try:
        import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        return None
    for owner in {value for module in WATCHED for value in (module, *vars(module).values()) if owns(value)}:
        for member in list(vars(owner).values()):
            function = member.fget if isinstance(member, property) else member
            if isfunction(function) and function.__module__.startswith("egtunnel.mux"):
                atheris.instrument_func(function)
    return atheris


if __name__ == "__main__":
    main()
