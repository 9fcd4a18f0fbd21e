"""Changes of addresses and routes, from the kernel itself in a network namespace of the test's own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from struct import pack

import pytest

from egtunnel.client.networks import _concerns_us

PROGRAM = """
import subprocess
from twisted.internet import reactor
from egtunnel.client.networks import NetworkChanges
seen = []
def changed():
    seen.append(1)
    print("changed", flush=True)
    if len(seen) == 1:
        run("addr", "del", "192.0.2.1/24", "dev", "lo")
    else:
        changes.stop()
        changes.stop()
        reactor.stop()
def run(*words):
    subprocess.run(["ip", *words], check=True)
run("link", "set", "lo", "up")
changes = NetworkChanges(reactor, changed)
changes.start()
reactor.callLater(0, run, "addr", "add", "192.0.2.1/24", "dev", "lo")
reactor.callLater(20, reactor.stop)
reactor.run()
"""


def test_an_address_that_comes_or_goes_is_noticed_once() -> None:
    """However many messages the kernel makes of it."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-n", "true"], check=False).returncode:
        pytest.skip("no network namespaces here")
    done = subprocess.run(
        [unshare, "-n", sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    assert done.stdout.count("changed") == 2


@pytest.mark.parametrize(
    ("data", "concerns"),
    [
        (b"", False),
        (pack("=IHHII", 16, 16, 0, 0, 0), False),
        (pack("=IHHII", 16, 20, 0, 0, 0), True),
        (pack("=IHHII", 16, 16, 0, 0, 0) + pack("=IHHII", 16, 25, 0, 0, 0), True),
        (pack("=IHHII", 0, 16, 0, 0, 0), False),
        (b"\x10\x00\x00", False),
    ],
)
def test_only_addresses_and_routes_concern_us(data: bytes, concerns: bool) -> None:
    """Whatever the lengths in it say."""
    assert _concerns_us(data) is concerns
