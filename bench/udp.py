"""How many datagrams a UDP tunnel carries, and how many get lost: ``python -m bench.udp --rate 10000 --seconds 10``.

A sender, a relay, a client and a receiver, each a process of its own, over loopback.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import socket
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from tests.integration.daemons import Client, Relay

__all__ = ["main"]

BUFFER = 1 << 24
QUIET = 2.0
"""Seconds without a datagram after which the receiver has seen the last one."""


def receive(pipe: Connection) -> None:
    """Count what comes, by its number."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setsockopt(socket.SOL_SOCKET, 33, BUFFER)  # SO_RCVBUFFORCE
    udp.bind(("127.0.0.1", 0))
    pipe.send(udp.getsockname()[1])
    udp.settimeout(60)
    numbers, late, last = 0, 0, -1
    try:
        while True:
            number = int.from_bytes(udp.recv(65_535)[:8], "big")
            udp.settimeout(QUIET)
            numbers += 1
            late += number < last
            last = max(last, number)
    except TimeoutError:
        pipe.send((numbers, late))


def send(port: int, rate: int, seconds: float, size: int) -> tuple[int, float]:
    """Numbered datagrams at an even rate; returns how many, and in how many seconds."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setsockopt(socket.SOL_SOCKET, 32, BUFFER)  # SO_SNDBUFFORCE
    rest, sent, began = bytes(size - 8), 0, time.monotonic()
    while (now := time.monotonic() - began) < seconds:
        due = min(int(now * rate), int(rate * seconds)) + 1
        while sent < due:
            udp.sendto(sent.to_bytes(8, "big") + rest, ("127.0.0.1", port))
            sent += 1
        time.sleep(0.0005)
    return sent, time.monotonic() - began


def cpu(pid: int) -> float:
    """Seconds of processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def main() -> None:
    """Measure once and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=10_000, help="datagrams a second")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--size", type=int, default=1400)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = multiprocessing.Pipe()
        receiver = multiprocessing.Process(target=receive, args=(theirs,), daemon=True)
        receiver.start()
        relay = Relay(Path(folder))
        client = Client(relay.ready(), "--local", f"127.0.0.1:{ours.recv()}", "--udp", "0")
        try:
            port = int(client.wait_for(r"^udp://localhost:(\d+) -> ").group(1))
            before = cpu(relay.pid), cpu(client.pid)
            sent, took = send(port, given.rate, given.seconds, given.size)
            came, late = ours.recv()
            used = cpu(relay.pid) - before[0], cpu(client.pid) - before[1]
        finally:
            client.end()
            relay.end()
    print(
        json.dumps(
            {
                "sent": sent,
                "rate": round(sent / took),
                "received": came,
                "lost_percent": round(100 * (sent - came) / sent, 4),
                "out_of_order": late,
                "relay_us_each": round(used[0] / sent * 1e6, 1),
                "client_us_each": round(used[1] / sent * 1e6, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
