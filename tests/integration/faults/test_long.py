"""The long proof: each fault many times over, with new seeds, on loopback and between machines of a network of its own.

``EGTUNNEL_FAULT_MINUTES`` (30): for how long all of it goes on. Each trial prints its seed and what was seen.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator

import pytest

pytest.importorskip("grpc")

from tests.integration.faults import faults
from tests.integration.faults.network import FaultyNetwork
from tests.integration.faults.scene import Scene
from tests.integration.faults.streams import MIB
from tests.integration.faults.trial import KINDS, Fault, Record, chosen_seed, trial
from tests.integration.namespaces import missing

pytestmark = pytest.mark.soak

MINUTES = float(os.environ.get("EGTUNNEL_FAULT_MINUTES", "30"))

Named = dict[str, tuple[Fault, str]]
"""A fault, and which process it kills."""

NEAR_FAULTS: Named = {
    "resets": (faults.resets(40), ""),
    "pairs": (faults.pairs(20), ""),
    "cuts": (faults.cuts(30), ""),
    "handshakes": (faults.handshakes(8), ""),
    "abandoned": (faults.abandoned(4), ""),
    "swallowed": (faults.swallowed(8), ""),
    "held": (faults.held(15), ""),
    "stopped": (faults.stopped(12), ""),
    "killed client": (faults.killed_client, "client"),
    "killed relay": (faults.killed_relay, "relay"),
}
FAR_FAULTS: Named = {
    "sockets killed": (faults.sockets_killed(8), ""),
    "blackhole": (faults.blackhole(5), ""),
    "long blackhole": (faults.blackhole(30), ""),
    "address change": (faults.address_change(3), ""),
    "stopped": (faults.stopped(20), ""),
    "killed client": (faults.killed_client, "client"),
    "killed relay": (faults.killed_relay, "relay"),
}
ALWAYS_SERVED = tuple(kind for kind in KINDS if kind != "small")
"""Who comes while a client is away for long gets an error, as promised; these wait for it as long as sessions do."""
HOLD = ("--hold", "60")


def told(name: str, seed: int, records: dict[str, Record]) -> None:
    """One line of a trial."""
    seen = ", ".join(
        f"{kind} {one.whole}" + (f"/{len(one.cut)} cut" if one.cut else "") for kind, one in records.items()
    )
    print(f"{name:16} EGTUNNEL_FAULT_SEED={seed:<12} {seen}", flush=True)


def go_on(scene: Scene, named: Named, minutes: float) -> None:
    """All faults in turn, until the time is over; each at least once."""
    dice = random.Random(chosen_seed())
    until = time.monotonic() + 60 * minutes
    for turn in range(1_000_000):
        for name, (fault, killed) in named.items():
            if turn and time.monotonic() > until:
                return
            seed = dice.randrange(1 << 32)
            kinds = KINDS if name in ("resets", "pairs", "cuts", "handshakes", "sockets killed") else ALWAYS_SERVED
            size = dice.choice([MIB // 3, 4 * MIB, 32 * MIB])
            told(name, seed, trial(scene, fault, seed, kinds=kinds, size=size, killed=killed))


@pytest.fixture
def machines() -> Iterator[FaultyNetwork]:
    """Two machines and a router."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    with FaultyNetwork() as network:
        yield network


@pytest.mark.timeout(60 * MINUTES + 900)
def test_on_loopback(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The link is broken by a proxy in the middle."""
    with Scene(tmp_path_factory.mktemp("faults"), relay_options=HOLD) as scene:
        go_on(scene, NEAR_FAULTS, MINUTES * 0.3)


@pytest.mark.timeout(60 * MINUTES + 900)
def test_with_little_memory(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The relay may hold 1 MiB for its client: nothing is dropped for want of room."""
    with Scene(tmp_path_factory.mktemp("faults"), relay_options=(*HOLD, "--session-memory", "1")) as scene:
        go_on(scene, NEAR_FAULTS, MINUTES * 0.15)


@pytest.mark.netns
@pytest.mark.timeout(60 * MINUTES + 900)
def test_between_machines(tmp_path_factory: pytest.TempPathFactory, machines: FaultyNetwork) -> None:
    """Packets vanish, addresses change, sockets are taken away, hosts sleep."""
    with Scene(tmp_path_factory.mktemp("faults"), machines, relay_options=HOLD) as scene:
        go_on(scene, FAR_FAULTS, MINUTES * 0.3)


@pytest.mark.netns
@pytest.mark.timeout(60 * MINUTES + 900)
@pytest.mark.parametrize("memory", ["64", "1"])
def test_over_a_long_road(tmp_path_factory: pytest.TempPathFactory, machines: FaultyNetwork, memory: str) -> None:
    """40 ms each way and a packet of a thousand lost: much is under way when the link goes."""
    folder = tmp_path_factory.mktemp("faults")
    with Scene(folder, machines, relay_options=(*HOLD, "--session-memory", memory)) as scene:
        machines.delay(folder, 0.04)
        machines.lose(0.001)
        go_on(scene, FAR_FAULTS, MINUTES * 0.125)
