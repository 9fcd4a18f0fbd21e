"""Two machines and a router between them, with what ``namespaces.Network`` has not: a second way out for the client's
machine, loss, and delay, although the kernel has no ``tc netem``.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.integration.daemons import Daemon, until
from tests.integration.namespaces import NEAR, Network, run

__all__ = ["FaultyNetwork"]

QUEUE = "7"
SECOND = "10.78.3"


class FaultyNetwork(Network):
    """``near`` has a second interface, ``up1`` (10.78.3.2), which is down until the first ``move``."""

    _slow: Daemon | None = None
    _first = True

    def _build(self) -> None:
        super()._build()
        run("ip", "-n", self.router, "link", "add", "near1", "type", "veth", "peer", "name", "up1", "netns", self.near)
        run("ip", "-n", self.router, "addr", "add", f"{SECOND}.1/24", "dev", "near1")
        run("ip", "-n", self.router, "link", "set", "near1", "up")

    def _remove(self) -> None:
        self.fast()
        super()._remove()

    def move(self) -> None:
        """The client's machine leaves one network and enters the other: address, interface and default route."""
        old, new = ("up0", "up1") if self._first else ("up1", "up0")
        net = SECOND if self._first else "10.78.1"
        self._first = not self._first
        run("ip", "-n", self.near, "addr", "flush", "dev", old)
        run("ip", "-n", self.near, "link", "set", old, "down")
        run("ip", "-n", self.near, "link", "set", new, "up")
        run("ip", "-n", self.near, "addr", "add", f"{net}.2/24", "dev", new)
        run("ip", "-n", self.near, "route", "replace", "default", "via", f"{net}.1")

    def lose(self, share: float) -> None:
        """This share of all packets is lost, until ``keep`` is told the same."""
        self._rule("-I", *self._loss(share))

    def keep(self, share: float) -> None:
        """No more loss."""
        self._rule("-D", *self._loss(share))

    @staticmethod
    def _loss(share: float) -> list[str]:
        return ["-m", "statistic", "--mode", "random", "--probability", f"{share}", "-j", "DROP"]

    def kill_link(self, port: int) -> None:
        """``ss -K`` on the relay's machine: what the client's machine has to do with this port, visitors left alone."""
        for address in (NEAR, f"{SECOND}.2"):
            run("ip", "netns", "exec", self.far, "ss", "-K", "sport", "=", f"{port}", "and", "dst", address)

    def delay(self, folder: Path, seconds: float) -> None:
        """Every packet takes so much longer, each way."""
        program = Path(__file__).with_name("delay.py")
        command = [sys.executable, "-u", str(program), QUEUE, str(seconds)]
        self._slow = Daemon(command, folder, prefix=self.prefix(self.router))
        with until("the delay to be there") as deadline:
            while "ready" not in self._slow.output and time.monotonic() < deadline:
                time.sleep(0.02)
        self._rule("-A", "-j", "NFQUEUE", "--queue-num", QUEUE)

    def fast(self) -> None:
        """No more delay."""
        if self._slow is not None:
            slow, self._slow = self._slow, None
            subprocess.run(
                [*self.prefix(self.router), "iptables", "-D", "FORWARD", "-j", "NFQUEUE", "--queue-num", QUEUE],
                capture_output=True,
                check=False,
            )
            slow.end()
