"""Visitors who speak HTTP/2 to the ingress of a ``World``, through the h2 library or in bare frames."""

from __future__ import annotations

from typing import Any

import attrs
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    InformationalResponseReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.settings import SettingCodes, Settings
from hpack import Encoder
from hyperframe.frame import Frame, HeadersFrame, RstStreamFrame

from egtunnel.ingress.http.ingress import SiteSettings
from egtunnel.ingress.http2.limits import H2Limits
from egtunnel.ingress.peer import Peer
from tests.ingress.http.world import Pipe, World

__all__ = ["GET", "POST", "SECTION", "Caller", "Fields", "call", "told", "world_of"]

Fields = list[tuple[bytes, bytes]]

GET: Fields = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"app.relay.test"), (b":path", b"/")]
POST: Fields = [(b":method", b"POST"), *GET[1:]]
SECTION: bytes = Encoder().encode([(name.decode(), value.decode(), True) for name, value in GET])
"""``GET`` compressed, for bare frames; it leaves no trace in the table of fields."""


def world_of(limits: H2Limits | None = None, **http: Any) -> World:
    """A world with these limits of HTTP/2, and of HTTP in general."""
    return World(settings=SiteSettings(http2=limits or H2Limits()), **http)


def call(world: World | None = None, **settings: int) -> Caller:
    """A new connection, greeted; ``settings`` are the visitor's, by their names in the specification."""
    caller = Caller(world or World(), {SettingCodes[name.upper()]: value for name, value in settings.items()})
    caller.turn()
    return caller


@attrs.define
class Reply:
    """What came on one stream. ``ended``: all of it; ``reset``: the code of the RST_STREAM."""

    fields: Fields = attrs.field(factory=list)
    informational: list[Fields] = attrs.field(factory=list)
    body: bytes = b""
    pieces: list[int] = attrs.field(factory=list)
    trailers: Fields = attrs.field(factory=list)
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int:
        """0: there was none yet."""
        return int(dict(self.fields).get(b":status", b"0"))

    @property
    def word(self) -> str:
        """Of an error that the relay speaks of."""
        return dict(self.fields).get(b"x-egtunnel-error", b"").decode()


class Caller:
    """One connection of a visitor's. ``replies`` by stream; ``goaway``: codes of the GOAWAYs that came."""

    def __init__(self, world: World, settings: dict[SettingCodes, int]) -> None:
        self.world = world
        self.replies: dict[int, Reply] = {}
        self.goaway: list[tuple[int, int]] = []
        self.events: list[Event] = []
        self.h2 = H2Connection(
            H2Configuration(
                client_side=True,
                header_encoding=None,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
                validate_inbound_headers=True,
            )
        )
        if settings:
            self.h2.local_settings = Settings(client=True, initial_values=settings)
        protocol: Any = world.ingress.connection(Peer(host="192.0.2.7", port=4711), b"h2")
        self.connection = protocol
        self.pipe = Pipe(protocol)
        protocol.makeConnection(self.pipe)
        self.h2.initiate_connection()

    # -- bytes

    def turn(self, times: int = 2) -> None:
        """Send what is to be sent, let a turn of the reactor pass, read what came; so that answers are answered."""
        for _ in range(times):
            self.send()
            self.world.clock.advance(0)
            self.read()
        self.send()

    def send(self) -> None:
        """Send what the library has made."""
        data = self.h2.data_to_send()
        if data:
            self.pipe.send(data)

    def read(self) -> list[Event]:
        """What came since the last time."""
        news = self.h2.receive_data(self.pipe.take()) if not self.goaway_received else []
        self.events += news
        for event in news:
            self._note(event)
        return news

    def frame(self, frame: Frame) -> None:
        """Send a bare frame."""
        self.raw(frame.serialize())

    def raw(self, data: bytes) -> None:
        """Send bare bytes, and let a turn of the reactor pass."""
        self.send()
        self.pipe.send(data)
        self.world.clock.advance(0)
        self.read()

    @property
    def goaway_received(self) -> bool:
        """Whether the connection is as good as over; the library reads nothing behind a GOAWAY."""
        return bool(self.goaway)

    @property
    def gone(self) -> int | None:
        """The code of the GOAWAY with which the connection ended; None: it goes on."""
        return self.goaway[-1][0] if self.goaway and (self.pipe.write_ended or self.pipe.lost) else None

    def refused(self, number: int) -> int | None:
        """Send a request that the library would not send; the code with which it is reset."""
        self.send()
        self.pipe.send(HeadersFrame(number, SECTION, flags=["END_HEADERS", "END_STREAM"]).serialize())
        self.world.clock.advance(0)
        said = self.pipe.take()
        codes = [code for code in range(16) if RstStreamFrame(number, error_code=code).serialize() in said]
        return codes[0] if codes else None

    # -- requests

    def ask(self, fields: Fields = GET, body: bytes | None = None, trailers: Fields | None = None) -> int:
        """Send a whole request at once; its stream."""
        number = self.h2.get_next_available_stream_id()
        self.h2.send_headers(number, fields, end_stream=body is None and trailers is None)
        if body is not None:
            self.h2.send_data(number, body, end_stream=trailers is None)
        if trailers is not None:
            self.h2.send_headers(number, trailers, end_stream=True)
        self.turn()
        return number

    def open(self, fields: Fields = POST, end: bool = False) -> int:
        """Send a head; its stream."""
        number = self.h2.get_next_available_stream_id()
        self.h2.send_headers(number, fields, end_stream=end)
        self.turn()
        return number

    def data(self, number: int, data: bytes, end: bool = False) -> None:
        """Send a piece of a body."""
        self.h2.send_data(number, data, end_stream=end)
        self.turn()

    def reset(self, number: int, code: int = 8) -> None:
        """Give a stream up."""
        self.h2.reset_stream(number, code)
        self.turn()

    def reply(self, number: int = 1) -> Reply:
        """What came on a stream so far."""
        return self.replies.setdefault(number, Reply())

    def answer(self, data: bytes) -> None:
        """The newest upstream connection answers."""
        self.world.far.send(data)
        self.turn()

    @property
    def seen(self) -> bytes:
        """What the newest upstream connection got since the last time."""
        return self.world.far.take() if self.world.app.upstreams else b""

    # --

    def _note(self, event: Event) -> None:
        if isinstance(event, ConnectionTerminated):
            self.goaway.append((int(event.error_code or 0), event.last_stream_id or 0))
            return
        number: int = getattr(event, "stream_id", None) or 0
        reply = self.reply(number)
        if isinstance(event, ResponseReceived):
            assert not reply.fields, "a second response"
            reply.fields = list(event.headers or [])
        elif isinstance(event, InformationalResponseReceived):
            reply.informational.append(list(event.headers or []))
        elif isinstance(event, DataReceived):
            reply.body += event.data or b""
            reply.pieces.append(len(event.data or b""))
        elif isinstance(event, TrailersReceived):
            reply.trailers = list(event.headers or [])
        elif isinstance(event, StreamEnded):
            reply.ended = True
        elif isinstance(event, StreamReset):
            reply.reset = int(event.error_code or 0)


def told(data: bytes) -> tuple[bytes, dict[str, str], bytes]:
    """A request as an upstream of HTTP/1.1 gets it: its first line, its headers by lower-case name, what follows."""
    head, separator, body = data.partition(b"\r\n\r\n")
    assert separator, f"an unfinished head: {head!r}"
    first, *lines = head.split(b"\r\n")
    pairs = [line.decode("latin-1").partition(": ")[::2] for line in lines]
    return first, {name.lower(): value for name, value in pairs}, body
