"""``delay.py QUEUE SECONDS``: holds each packet of an NFQUEUE back for so long, then lets it go; for a router.

It speaks nfnetlink itself (linux/netfilter/nfnetlink_queue.h), of which this needs three messages; packets stay in the
kernel, only their numbers come here.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from collections import deque
from struct import pack, unpack_from

NETLINK_NETFILTER = 12
QUEUE_PACKET, QUEUE_VERDICT, QUEUE_CONFIG = 0x300, 0x301, 0x302
REQUEST, ACK = 1, 4
ACCEPT = 1
NF_BIND, COPY_META = 1, 1
MOST = 50_000


def message(kind: int, queue: int, attributes: bytes, flags: int = REQUEST) -> bytes:
    """A netlink message with the header of nfnetlink."""
    body = pack("=BBH", socket.AF_INET, 0, socket.htons(queue)) + attributes
    return pack("=IHHII", 16 + len(body), kind, flags, 0, 0) + body


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    return pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def numbers(data: bytes) -> list[int]:
    """The numbers of the packets in what the kernel sent."""
    found, offset = [], 0
    while offset + 16 <= len(data):
        length, kind = unpack_from("=IH", data, offset)
        if kind == QUEUE_PACKET:
            place, end = offset + 20, offset + length
            while place + 4 <= end:
                size, name = unpack_from("=HH", data, place)
                if name == 1:  # NFQA_PACKET_HDR
                    found.append(unpack_from("!I", data, place + 4)[0])
                place += (size + 3) & ~3
        offset += (length + 3) & ~3
    return found


def run(queue: int, delay: float) -> None:
    """Until the process is ended."""
    kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    kernel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    kernel.bind((0, 0))
    for attributes in (
        attribute(1, pack("!BBH", NF_BIND, 0, socket.AF_INET)),
        attribute(2, pack("!IB", 0, COPY_META)),
        attribute(3, pack("!I", MOST)),
    ):
        kernel.send(message(QUEUE_CONFIG, queue, attributes, REQUEST | ACK))
        (error,) = unpack_from("=i", kernel.recv(65_536), 16)
        if error:
            raise OSError(-error, "the kernel has no NFQUEUE for us")
    print("ready")
    waiting: deque[tuple[float, int]] = deque()
    while True:
        wait = max(0.0, waiting[0][0] - time.monotonic()) if waiting else 1.0
        if select.select([kernel], [], [], wait)[0]:
            due = time.monotonic() + delay
            waiting.extend((due, number) for number in numbers(kernel.recv(1 << 20)))
        now = time.monotonic()
        verdicts = []
        while waiting and waiting[0][0] <= now:
            verdicts.append(message(QUEUE_VERDICT, queue, attribute(2, pack("!II", ACCEPT, waiting.popleft()[1]))))
        if verdicts:
            kernel.send(b"".join(verdicts))


if __name__ == "__main__":
    run(int(sys.argv[1]), float(sys.argv[2]))
