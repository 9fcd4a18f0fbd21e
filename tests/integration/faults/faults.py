"""What goes wrong. Each fault takes a scene and dice, lets it happen, and returns when the network is whole again."""

from __future__ import annotations

import random
import signal
import time

from tests.integration.faults.breaker import DOWN, UP, Breaker
from tests.integration.faults.network import FaultyNetwork
from tests.integration.faults.scene import Scene
from tests.integration.faults.trial import Fault
from tests.integration.namespaces import FAR

__all__ = [
    "abandoned",
    "address_change",
    "blackhole",
    "cuts",
    "handshakes",
    "held",
    "killed_client",
    "killed_relay",
    "pairs",
    "resets",
    "sockets_killed",
    "stopped",
    "swallowed",
]


def _breaker(scene: Scene) -> Breaker:
    assert scene.breaker is not None
    return scene.breaker


def _network(scene: Scene) -> FaultyNetwork:
    assert scene.network is not None
    return scene.network


def _linked(scene: Scene, seconds: float = 60.0) -> None:
    """Wait until there is a link to break."""
    deadline = time.monotonic() + seconds
    while not _breaker(scene).lines:
        assert time.monotonic() < deadline, "the client makes no new link"
        time.sleep(0.002)


# -- by the proxy in the middle


def resets(count: int, longest: float = 0.3) -> Fault:
    """RST to both sides, so many times, at random moments; also in the middle of a handshake."""

    def happen(scene: Scene, dice: random.Random) -> None:
        for _ in range(count):
            _linked(scene)
            time.sleep(dice.uniform(0, longest))
            _breaker(scene).reset()

    return happen


def pairs(count: int) -> Fault:
    """Two losses shortly after each other: the second falls into the beginning of the next link."""

    def happen(scene: Scene, dice: random.Random) -> None:
        for _ in range(count):
            _linked(scene)
            _breaker(scene).reset()
            _linked(scene)
            time.sleep(dice.choice([0, 0.001, 0.003, 0.01, 0.03]))
            _breaker(scene).reset()
            time.sleep(dice.uniform(0, 0.3))

    return happen


def cuts(count: int) -> Fault:
    """In the middle of a message, of a frame, of a header: after so many bytes of one direction."""

    def happen(scene: Scene, dice: random.Random) -> None:
        for _ in range(count):
            _linked(scene)
            before = _breaker(scene).accepted
            _breaker(scene).cut_now(dice.choice([UP, DOWN]), dice.randrange(1, 400_000))
            deadline = time.monotonic() + 2
            while _breaker(scene).accepted == before and time.monotonic() < deadline:
                time.sleep(0.01)

    return happen


def handshakes(count: int) -> Fault:
    """The next links break in their first bytes: within the upgrade, the hello, the welcome, or what is sent again."""

    def happen(scene: Scene, dice: random.Random) -> None:
        _linked(scene)
        before = _breaker(scene).accepted
        spans = ((1, 600), (200, 1500), (600, 200_000))
        _breaker(scene).cut_next(
            *((dice.choice([UP, DOWN]), dice.randrange(*dice.choice(spans))) for _ in range(count))
        )
        _breaker(scene).reset()
        deadline = time.monotonic() + 30
        while _breaker(scene).accepted <= before + count and time.monotonic() < deadline:
            time.sleep(0.01)
        _breaker(scene).cut_next()

    return happen


def abandoned(count: int) -> Fault:
    """Only one side learns of the end; the other hears nothing any more. FIN and RST by turns."""

    def happen(scene: Scene, dice: random.Random) -> None:
        for number in range(count):
            _linked(scene)
            side = dice.choice([UP, DOWN])
            (_breaker(scene).reset if number % 2 else _breaker(scene).close)(side)
            time.sleep(dice.uniform(0, 1))

    return happen


def swallowed(seconds: float) -> Fault:
    """What one direction, or each, carries vanishes; then RST."""

    def happen(scene: Scene, dice: random.Random) -> None:
        _breaker(scene).swallow(*dice.choice([(UP,), (DOWN,), (UP, DOWN)]))
        time.sleep(seconds)
        _breaker(scene).reset()
        _breaker(scene).swallow()

    return happen


def held(seconds: float) -> Fault:
    """Nothing goes through, and then all of it: longer than the peers' patience, new links, too."""

    def happen(scene: Scene, dice: random.Random) -> None:
        _breaker(scene).hold(*dice.choice([(UP,), (DOWN,), (UP, DOWN)]))
        time.sleep(seconds)
        _breaker(scene).hold()

    return happen


# -- by the network


def sockets_killed(count: int) -> Fault:
    """``ss -K`` on the client's machine or on the relay's."""

    def happen(scene: Scene, dice: random.Random) -> None:
        network = _network(scene)
        for _ in range(count):
            if dice.random() < 0.5:
                network.kill_connections(network.near, FAR)
            else:
                network.kill_link(scene.relay.port)
            time.sleep(dice.uniform(0, 1))

    return happen


def blackhole(seconds: float) -> Fault:
    """Every packet is lost for so long."""

    def happen(scene: Scene, dice: random.Random) -> None:
        _network(scene).drop()
        time.sleep(seconds)
        _network(scene).restore()

    return happen


def address_change(count: int) -> Fault:
    """The client's machine goes over to another network, and back."""

    def happen(scene: Scene, dice: random.Random) -> None:
        for _ in range(count):
            _network(scene).move()
            time.sleep(dice.uniform(2, 5))

    return happen


# -- processes


def stopped(seconds: float) -> Fault:
    """The client's host sleeps."""

    def happen(scene: Scene, dice: random.Random) -> None:
        scene.client.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        scene.client.process.send_signal(signal.SIGCONT)

    return happen


def killed_relay(scene: Scene, dice: random.Random) -> None:
    """``kill -9`` and the same command again: a clear end, and the names come back."""
    scene.kill_relay()
    time.sleep(dice.uniform(1, 3))


def killed_client(scene: Scene, dice: random.Random) -> None:
    """``kill -9`` and the same command again."""
    scene.kill_client()
    time.sleep(dice.uniform(1, 3))
