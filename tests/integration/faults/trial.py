"""One trial: all kinds of traffic at once, one fault among them, and what each visitor saw."""

from __future__ import annotations

import os
import random
import threading
import time
import traceback
from collections.abc import Callable

import attrs

from tests.integration.faults import kinds_bulk, kinds_talk
from tests.integration.faults.scene import Scene
from tests.integration.faults.streams import MIB, Cut, Short, Wrong

__all__ = ["BULK", "KINDS", "TALK", "Record", "chosen_seed", "trial"]

BULK = {
    "http-down": kinds_bulk.http_down,
    "http-up": kinds_bulk.http_up,
    "http2": kinds_bulk.http2_streams,
    "tcp-down": kinds_bulk.tcp_down,
    "tcp-up": kinds_bulk.tcp_up,
    "half-close": kinds_bulk.half_close,
    "both-ways": kinds_bulk.both_ways,
}
"""Each moves a stream of a size, whole; over and over again."""
TALK = {
    "websocket": kinds_talk.websocket_talk,
    "ssh": kinds_talk.ssh_session,
    "grpc": kinds_talk.grpc_chat,
    "small": kinds_talk.small_requests,
}
"""Each is one conversation that lasts as long as the fault."""
KINDS = (*BULK, *TALK)
FIRST = 1.0
"""Seconds in which everybody gets into their stride before anything goes wrong."""
LONGEST = 240.0
"""Seconds after which a visitor who has not come to an end is stuck."""

Fault = Callable[[Scene, random.Random], None]


def chosen_seed() -> int:
    """``EGTUNNEL_FAULT_SEED``, or one by chance."""
    return int(os.environ.get("EGTUNNEL_FAULT_SEED") or random.SystemRandom().randrange(1 << 32))


@attrs.define
class Record:
    """What the visitors of a kind saw."""

    whole: int = 0
    cut: list[str] = attrs.field(factory=list)
    short: list[str] = attrs.field(factory=list)
    wrong: list[str] = attrs.field(factory=list)
    over: bool = False


class _Visitors(threading.Thread):
    def __init__(self, kind: str, scene: Scene, seed: int, size: int, enough: threading.Event) -> None:
        super().__init__(daemon=True, name=kind)
        self.record = Record()
        self._kind, self._scene, self._seed, self._size, self._enough = kind, scene, seed, size, enough

    def run(self) -> None:
        while True:
            self._once()
            if self._enough.is_set() or self.record.wrong:
                break
            if self.record.cut or self.record.short:
                self._enough.wait(0.2)  # a visitor who got an error tries again, but not in a mad rush
        self.record.over = True

    def _once(self) -> None:
        self._seed += 8
        try:
            if self._kind in BULK:
                BULK[self._kind](self._scene.doors, self._seed, self._size)
            else:
                TALK[self._kind](self._scene.doors, self._seed, self._enough)
        except Cut as error:
            self.record.cut.append(str(error))
        except Short as error:
            self.record.short.append(str(error))
        except Wrong as error:
            self.record.wrong.append(str(error))
        except Exception:  # noqa: BLE001 - a fault of the test itself must not pass for a success
            self.record.wrong.append(traceback.format_exc())
        else:
            self.record.whole += 1


def trial(
    scene: Scene,
    fault: Fault,
    seed: int,
    *,
    kinds: tuple[str, ...] = KINDS,
    size: int = 4 * MIB,
    killed: str = "",
    after: float = 0.3,
) -> dict[str, Record]:
    """Let the fault happen to everybody at once; an AssertionError that names the seed if anybody saw what must not be.

    :param killed: "": nobody may see an error. ``relay`` or ``client``: that process loses its memory. Errors may be,
        as long as they are clear, and afterwards every kind works again.
    :param after: seconds of traffic after the fault.
    """
    dice = random.Random(seed)
    records = _visits(scene, kinds, dice.randrange(1 << 40), size, lambda: fault(scene, dice), after)
    _judge(scene, records, seed, killed)
    if killed:
        again = _visits(scene, kinds, dice.randrange(1 << 40), size // 8, lambda: None, 0)
        _judge(scene, again, seed, "")
    scene.relay.assert_calm()
    scene.client.assert_calm()
    return records


def _visits(
    scene: Scene, kinds: tuple[str, ...], seed: int, size: int, fault: Callable[[], None], after: float
) -> dict[str, Record]:
    enough = threading.Event()
    visitors = [_Visitors(kind, scene, seed + (at << 48), size, enough) for at, kind in enumerate(kinds)]
    for one in visitors:
        one.start()
    try:
        enough.wait(FIRST)
        fault()
        enough.wait(after)
    finally:
        enough.set()
    deadline = time.monotonic() + LONGEST
    for one in visitors:
        one.join(max(0.0, deadline - time.monotonic()))
    return {one.name: one.record for one in visitors}


def _judge(scene: Scene, records: dict[str, Record], seed: int, killed: str) -> None:
    bad = []
    for kind, record in records.items():
        seen = record.wrong + ([] if killed == "relay" else record.short) + ([] if killed else record.cut)
        bad += [f"{kind}: {text}" for text in seen]
        if not record.over:
            bad.append(f"{kind}: stuck")
        elif not killed and not record.whole:
            bad.append(f"{kind}: nothing came to its end")
    heard = scene.services.heard_short()
    bad += [] if killed == "client" else heard
    if bad:
        daemons = f"relay:\n{_tail(scene.relay.output)}\nclient:\n{_tail(scene.client.output)}"
        raise AssertionError(f"EGTUNNEL_FAULT_SEED={seed}\n" + "\n".join(bad) + f"\n{daemons}")


def _tail(text: str) -> str:
    return "\n".join(text.splitlines()[-40:])
