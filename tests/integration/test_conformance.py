"""WebSockets through a tunnel conform as they do direct, by the judgement of a suite that nobody here wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration import wstest
from tests.integration.daemons import Daemon


def test_compare_finds_a_failure_a_difference_and_a_missing_case() -> None:
    """The comparison itself: what went as direct is not named, everything else is."""
    direct = {"1.1.1": "OK", "1.1.2": "OK", "1.1.3": "OK", "1.1.4": "INFORMATIONAL"}
    tunnelled = {"1.1.1": "FAILED", "1.1.2": "NON-STRICT", "1.1.4": "INFORMATIONAL"}
    assert wstest.compare(direct, tunnelled) == [
        "1.1.1: FAILED (direct: OK)",
        "1.1.2: NON-STRICT, but direct OK",
        "1.1.3: did not run",
    ]
    assert wstest.compare(direct, direct) == []


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_the_conformance_suite_through_a_tunnel_gives_what_it_gives_direct(
    tmp_path: Path, start: Callable[[Daemon], Daemon]
) -> None:
    """Cases 1 to 11 of the Autobahn suite: none fails through the tunnel, each goes as without it."""
    try:
        program = wstest.install()
    except wstest.SuiteMissing as reason:
        pytest.skip(str(reason))
    echo, port = wstest.echo_server(tmp_path)
    start(echo)
    direct = wstest.run_suite(program, f"ws://localhost:{port}", tmp_path / "direct")
    assert len(direct) > 200
    daemons, url = wstest.through_tunnel(tmp_path, port)
    for daemon in daemons:
        start(daemon)
    tunnelled = wstest.run_suite(program, url, tmp_path / "tunnel")
    assert wstest.compare(direct, tunnelled) == []
    for daemon in daemons:
        daemon.assert_calm()
