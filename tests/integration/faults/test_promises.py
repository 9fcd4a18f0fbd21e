"""What is promised of a session that outlives its links, with the figures: each test prints what it measured."""

from __future__ import annotations

import math
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("grpc")

from tests.integration.daemons import ROOT, Daemon, environment, until
from tests.integration.faults import faults, kinds_bulk
from tests.integration.faults.network import FaultyNetwork
from tests.integration.faults.scene import Doors, Scene
from tests.integration.faults.streams import MIB
from tests.integration.faults.trial import Fault, chosen_seed, trial
from tests.integration.namespaces import FAR, missing

pytestmark = pytest.mark.soak

SIZE = 1024 * MIB
RESETS = 100
CLIENTS = 500
TRANSFERS = [kinds_bulk.http_down, kinds_bulk.http_up, kinds_bulk.tcp_down, kinds_bulk.tcp_up]
BACK = 10.0
"""A promise of the product: so many seconds after a relay is there again, all its clients are."""


# -- a hundred resets


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """On loopback, with a proxy of our own in the middle of the link."""
    with Scene(tmp_path_factory.mktemp("promises")) as built:
        yield built


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", TRANSFERS, ids=lambda kind: kind.__name__)
def test_a_gibibyte_while_the_link_is_reset_a_hundred_times(
    scene: Scene, kind: Callable[[Doors, int, int], None]
) -> None:
    """The digest is right, and the visitor saw no error. What it costs in time is printed."""
    seed = chosen_seed()
    begin = time.monotonic()
    kind(scene.doors, seed, SIZE)
    peace = time.monotonic() - begin
    assert scene.breaker is not None
    killer = _Killer(scene, random.Random(seed), peace / RESETS)
    begin = time.monotonic()
    killer.start()
    try:
        kind(scene.doors, seed + 1, SIZE)
    finally:
        took = time.monotonic() - begin
        killer.over.set()
        killer.join(30)
    print(
        f"\n{kind.__name__}: 1 GiB in {peace:.1f} s undisturbed, {took:.1f} s with {killer.resets} resets: "
        f"{took / peace:.2f} times as long, EGTUNNEL_FAULT_SEED={seed}"
    )
    assert scene.services.heard_short() == []
    scene.relay.assert_calm()
    scene.client.assert_calm()


class _Killer(threading.Thread):
    """Resets the link at random moments, ``pace`` seconds after each other on the average."""

    def __init__(self, scene: Scene, dice: random.Random, pace: float) -> None:
        super().__init__(daemon=True)
        self.resets = 0
        self.over = threading.Event()
        self._scene, self._dice, self._pace = scene, dice, pace

    def run(self) -> None:
        breaker = self._scene.breaker
        while breaker is not None and self.resets < RESETS:
            if self.over.wait(self._dice.uniform(0, 2 * self._pace)):
                return
            self.resets += breaker.reset()


# -- silence, another network, sleep


@pytest.fixture
def machines() -> Iterator[FaultyNetwork]:
    """Two machines and a router."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    with FaultyNetwork() as network:
        yield network


@pytest.mark.netns
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(faults.blackhole(30), id="30 s without a packet"),
        pytest.param(faults.address_change(1), id="another address"),
        pytest.param(faults.stopped(20), id="20 s asleep"),
    ],
)
def test_transfers_and_sessions_live_on(
    tmp_path_factory: pytest.TempPathFactory, machines: FaultyNetwork, fault: Fault
) -> None:
    """In the middle of 256 MiB each way; an SSH session and a WebSocket talk all the time."""
    kinds = ("http-down", "http-up", "tcp-down", "tcp-up", "ssh", "websocket")
    with Scene(tmp_path_factory.mktemp("promises"), machines) as scene:
        seed, begin = chosen_seed(), time.monotonic()
        records = trial(scene, fault, seed, kinds=kinds, size=256 * MIB)
        seen = ", ".join(f"{kind} {record.whole}" for kind, record in records.items())
        print(f"\n{seen} in {time.monotonic() - begin:.1f} s, EGTUNNEL_FAULT_SEED={seed}")


# -- five hundred clients


@pytest.mark.netns
@pytest.mark.timeout(300)
@pytest.mark.parametrize("away", [0.0, 5.0], ids=["at once", "after 5 s"])
def test_five_hundred_clients_come_back(
    tmp_path_factory: pytest.TempPathFactory, machines: FaultyNetwork, away: float
) -> None:
    """Within 10 s of the relay's return, spread over time, and none is turned away."""
    folder = tmp_path_factory.mktemp("fleet")
    with Scene(folder, machines, relay_options=("--max-per-address", "2000")) as scene:
        url, token = f"ws://{FAR}:{scene.relay.port}", str(folder / "token")
        fleets = []
        try:
            for prefix in ("a", "b"):
                words = [url, token, str(CLIENTS // 2), prefix]
                command = [sys.executable, "-m", "tests.integration.faults.fleet", *words]
                place = machines.prefix(machines.near)
                fleets.append(Daemon(command, ROOT, environment(folder / "fleet"), prefix=place))
            _all_say(fleets, " -> ")
            before = time.time()
            scene.relay.kill()
            time.sleep(away)
            scene.kill_relay()
            there = time.time()
            moments = _all_say(fleets, "connected again", before)
        finally:
            for fleet in fleets:
                fleet.end()
        _told(sorted(moment - there for moment in moments))
        turned = [line for line in scene.relay.lines if "turned" in line or "refused" in line]
        assert turned == [], f"{len(turned)} were turned away, the first: {turned[0]}"
        assert max(moments) - there < BACK
        scene.relay.assert_calm()
        for fleet in fleets:
            fleet.assert_calm()


def _told(after: list[float]) -> None:
    """How many came in each second, and how evenly: in step they would come in a few tenths of a second."""
    seconds = Counter(math.floor(moment) for moment in after)
    most = max(Counter(math.floor(10 * moment) for moment in after).values())
    print(
        f"\n{len(after)} back {after[0]:.2f} to {after[-1]:.2f} s after the relay, half of them by "
        f"{after[len(after) // 2]:.2f} s; in each second {dict(sorted(seconds.items()))}; "
        f"at most {most} in a tenth of a second"
    )
    assert most < CLIENTS / 2, "they come in step"


def _all_say(fleets: list[Daemon], words: str, since: float = 0.0) -> list[float]:
    """When each client said this for the first time after a moment, by the clock on the wall."""
    moments: dict[tuple[int, str], float] = {}
    with until(f"{CLIENTS} clients to say {words!r}", 60) as deadline:
        while len(moments) < CLIENTS and time.monotonic() < deadline:
            for at, fleet in enumerate(fleets):
                for line in fleet.output.splitlines():
                    number, when, said = (*line.split(" ", 2), "", "")[:3]
                    if words in said and float(when) > since:
                        moments.setdefault((at, number), float(when))
            time.sleep(0.1)
    return list(moments.values())
