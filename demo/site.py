"""The site behind the tunnel: the files of ``pages/``, a clock, and what the site sees of a request.

``python -m demo.site`` listens on a free port of loopback and prints its address.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from twisted.web.static import File

__all__ = ["PAGES", "Clock", "Seen", "site"]

PAGES = Path(__file__).with_name("pages")
TICK = 1.0
"""Time between two events of the clock, seconds."""


class Clock(Resource):
    """The time of day as server-sent events (WHATWG HTML, section 9.2), one at once and one every ``TICK`` seconds."""

    isLeaf = True

    def __init__(self, timer: IReactorTime) -> None:
        super().__init__()
        self._timer = timer

    def render_GET(self, request: Request) -> int:
        """Write events until the reader goes away."""
        request.setHeader("content-type", "text/event-stream")
        request.setHeader("cache-control", "no-store")
        ticking = LoopingCall(self._tick, request)
        ticking.clock = self._timer
        request.notifyFinish().addBoth(lambda _: ticking.stop())
        ticking.start(TICK)
        return NOT_DONE_YET

    def _tick(self, request: Request) -> None:
        request.write(time.strftime("data: %H:%M:%S\n\n").encode())


class Seen(Resource):
    """What the site sees of the request, as JSON; through a tunnel the ``X-Forwarded`` headers tell who asks."""

    isLeaf = True
    HEADERS = ("host", "x-forwarded-for", "x-forwarded-proto", "forwarded")

    def render_GET(self, request: Request) -> bytes:
        """Connection and headers."""
        request.setHeader("content-type", "application/json")
        request.setHeader("cache-control", "no-store")
        client: Any = request.getClientAddress()
        seen = {"connection from": f"{client.host}"}
        for name in self.HEADERS:
            seen[name] = request.getHeader(name) or ""
        return json.dumps(seen).encode()


def site(timer: IReactorTime) -> Site:
    """The whole site."""
    root = File(str(PAGES))
    root.putChild(b"clock", Clock(timer))
    root.putChild(b"seen", Seen())
    return Site(root)


def main(reactor: Any) -> None:
    """Serve on a free port of loopback until a signal comes."""
    port = reactor.listenTCP(0, site(reactor), interface="127.0.0.1")
    print(f"http://127.0.0.1:{port.getHost().port}", flush=True)
    reactor.run()


if __name__ == "__main__":
    from twisted.internet import reactor

    main(reactor)
