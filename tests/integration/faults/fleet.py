"""``python -m tests.integration.faults.fleet RELAY_URL TOKEN_FILE COUNT PREFIX``: many clients in one process.

Each has an identity and a name of its own. A line for each thing a client says: its number, when, what.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from twisted.internet import reactor

from egtunnel.client.offers import Offer
from egtunnel.client.relay_address import parse_relay
from egtunnel.client.service import Client
from egtunnel.client.targets import parse_target
from egtunnel.client.token import token_from_file
from egtunnel.descriptors import raise_descriptor_limit


def main(url: str, token: str, count: int, prefix: str) -> None:
    """Until the process is ended."""
    raise_descriptor_limit()
    relay, source, target = parse_relay(url), token_from_file(Path(token)), parse_target("9")

    def saying(number: int) -> Callable[[str], None]:
        return lambda line: print(f"{number} {time.time():.3f} {line}", flush=True)

    for number in range(count):
        offer = Offer(target, name=f"{prefix}{number}")
        client = Client(reactor, relay, source, [offer], insecure=True, say=saying(number))
        client.startService()
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
