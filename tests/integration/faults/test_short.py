"""The short proof, in every run of the tests: for each kind of link a relay, a client and all kinds of traffic."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("grpc")

from tests.integration.faults import faults
from tests.integration.faults.scene import Scene
from tests.integration.faults.trial import Fault, chosen_seed, trial
from tests.integration.papers import Papers


@pytest.fixture(scope="module", params=["WebSocket", "bare TLS"])
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """On loopback, with a proxy of our own in the middle of the link."""
    folder = tmp_path_factory.mktemp("faults")
    with Scene(folder, papers=Papers(folder) if request.param == "bare TLS" else None) as built:
        yield built


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(faults.resets(15), id="resets"),
        pytest.param(faults.pairs(6), id="two shortly after each other"),
        pytest.param(faults.cuts(10), id="cut within a message"),
        pytest.param(faults.handshakes(6), id="within the handshake"),
        pytest.param(faults.swallowed(1.0), id="bytes swallowed"),
        pytest.param(faults.stopped(1.0), id="client stopped"),
    ],
)
def test_nobody_sees_anything(scene: Scene, fault: Fault) -> None:
    """Every stream arrives whole, byte for byte, and no visitor has an error."""
    trial(scene, fault, chosen_seed())


@pytest.mark.parametrize(
    ("fault", "killed"),
    [
        pytest.param(faults.killed_client, "client", id="client killed"),
        pytest.param(faults.killed_relay, "relay", id="relay killed"),
    ],
)
def test_a_clear_end(scene: Scene, fault: Fault, killed: str) -> None:
    """No byte is wrong, and what was under way ends with an error wherever there is a way to say so; then all is served
    again, by the same names.
    """
    trial(scene, fault, chosen_seed(), killed=killed)
