"""Two machines and the network between them, made of Linux network namespaces: silent loss that loopback does not have.

``near`` (10.78.1.2) - ``router`` - ``far`` (10.78.2.2). Names are unique to a run; the end takes all of it away.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import threading
import uuid
from collections.abc import Callable
from typing import Self, TypeVar

__all__ = ["FAR", "NEAR", "Network", "missing"]

NEAR, FAR = "10.78.1.2", "10.78.2.2"
CLONE_NEWNET = 0x40000000
T = TypeVar("T")


def missing() -> str:
    """Why namespaces cannot be had here; empty if they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("ip", "iptables", "ss", "sysctl"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    probe = f"egt-probe-{uuid.uuid4().hex[:6]}"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode:
        return "this machine lets nobody make network namespaces"
    rules = subprocess.run(["ip", "netns", "exec", probe, "iptables", "-S"], capture_output=True, check=False)
    subprocess.run(["ip", "netns", "del", probe], check=False)
    return "iptables does not work here" if rules.returncode else ""


def run(*command: str) -> str:
    """Run a program; an AssertionError with what it printed if it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


class Network:
    """A near and a far namespace joined by a router; to be used with ``with``."""

    def __init__(self) -> None:
        tag = f"{os.getpid()}{uuid.uuid4().hex[:4]}"
        self.near, self.far, self.router = (f"egt-{place}-{tag}" for place in ("n", "f", "r"))

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    def _build(self) -> None:
        for namespace in (self.router, self.near, self.far):
            run("ip", "netns", "add", namespace)
            run("ip", "-n", namespace, "link", "set", "lo", "up")
        for namespace, net in ((self.near, "10.78.1"), (self.far, "10.78.2")):
            port = "near" if namespace == self.near else "far"
            run("ip", "-n", self.router, "link", "add", port, "type", "veth", "peer", "name", "up0", "netns", namespace)
            run("ip", "-n", namespace, "addr", "add", f"{net}.2/24", "dev", "up0")
            run("ip", "-n", self.router, "addr", "add", f"{net}.1/24", "dev", port)
            run("ip", "-n", namespace, "link", "set", "up0", "up")
            run("ip", "-n", self.router, "link", "set", port, "up")
            run("ip", "-n", namespace, "route", "add", "default", "via", f"{net}.1")
        run("ip", "netns", "exec", self.router, "sysctl", "-qw", "net.ipv4.ip_forward=1")

    def _remove(self) -> None:
        for namespace in (self.near, self.far, self.router):
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True, check=False)

    @staticmethod
    def prefix(namespace: str) -> list[str]:
        """What starts a program inside a namespace; the process keeps its id."""
        return ["ip", "netns", "exec", namespace]

    # -- what goes wrong with networks

    def _rule(self, action: str, *rule: str) -> None:
        run("ip", "netns", "exec", self.router, "iptables", action, "FORWARD", *rule)

    def drop(self) -> None:
        """From now on every packet is lost, without a word to anybody."""
        self._rule("-I", "-j", "DROP")

    def restore(self) -> None:
        """Packets go through again."""
        self._rule("-D", "-j", "DROP")

    def kill_connections(self, namespace: str, peer: str) -> None:
        """End every TCP connection of a namespace with a peer at once, under the living process (``ss -K``)."""
        run("ip", "netns", "exec", namespace, "ss", "-K", "dst", peer)

    # -- from the inside

    def connect(self, namespace: str, host: str, port: int, timeout: float = 5.0) -> socket.socket:
        """A connection made inside a namespace; it stays there though the caller is outside."""
        return inside(namespace, lambda: socket.create_connection((host, port), timeout))


def inside(namespace: str, call: Callable[[], T]) -> T:
    """Call something in a thread that lives in a network namespace."""
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            with open(f"/run/netns/{namespace}") as place:
                if ctypes.CDLL(None, use_errno=True).setns(place.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns failed")
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - raised again below, in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
