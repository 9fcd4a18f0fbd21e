"""Upstreams of HTTP/2 without a network: a test speaks for them through the h2 library, or in bare frames."""

from __future__ import annotations

from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, RequestReceived, StreamEnded, StreamReset, TrailersReceived
from h2.settings import SettingCodes, Settings

from tests.ingress.http.world import Pipe, World

__all__ = ["Service", "serve", "world_of_h2c"]

Fields = list[tuple[bytes, bytes]]


def world_of_h2c(**limits: Any) -> World:
    """A world whose tunnel ``app`` leads to HTTP/2."""
    world = World(**limits)
    world.app.protocol = "h2c"
    return world


def serve(world: World, settings: dict[SettingCodes, int] | None = None) -> Service:
    """The newest connection at the upstream, greeted."""
    service = Service(world.far, settings)
    service.read()
    return service


class Service:
    """One connection of an upstream's. ``events`` is all that came; ``number`` the newest request."""

    def __init__(self, pipe: Pipe, settings: dict[SettingCodes, int] | None = None) -> None:
        self.pipe = pipe
        self.events: list[Event] = []
        self.h2 = H2Connection(
            H2Configuration(
                client_side=False,
                header_encoding=None,
                validate_inbound_headers=True,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        if settings:
            self.h2.local_settings = Settings(client=False, initial_values=dict(settings))
        self.h2.initiate_connection()
        self.send()

    def read(self) -> list[Event]:
        """What came since the last time; what is due for it is sent."""
        news = self.h2.receive_data(self.pipe.take())
        self.events += news
        self.send()
        return news

    def send(self) -> None:
        """Send what the library has made."""
        data = self.h2.data_to_send()
        if data:
            self.pipe.send(data)

    @property
    def number(self) -> int:
        """The newest request's stream."""
        return self.h2.highest_inbound_stream_id

    @property
    def requests(self) -> list[Fields]:
        """The header sections of all requests."""
        return [list(event.headers or []) for event in self.events if isinstance(event, RequestReceived)]

    @property
    def head(self) -> dict[bytes, bytes]:
        """The newest request's header section."""
        return dict(self.requests[-1])

    @property
    def body(self) -> bytes:
        """What came of the newest request's body."""
        pieces = [event for event in self.events if isinstance(event, DataReceived)]
        return b"".join(event.data or b"" for event in pieces if event.stream_id == self.number)

    @property
    def ended(self) -> bool:
        """Whether the newest request is complete."""
        return any(isinstance(event, StreamEnded) and event.stream_id == self.number for event in self.events)

    @property
    def trailers(self) -> Fields:
        """The newest request's."""
        return [
            field for event in self.events if isinstance(event, TrailersReceived) for field in list(event.headers or [])
        ]

    @property
    def resets(self) -> list[int]:
        """The codes of the resets that came."""
        return [int(event.error_code or 0) for event in self.events if isinstance(event, StreamReset)]

    def begin(self, status: int = 200, *fields: tuple[bytes, bytes], end: bool = False) -> None:
        """Send a head, informational or final."""
        self.h2.send_headers(self.number, [(b":status", b"%d" % status), *fields], end_stream=end)
        self.send()

    def data(self, data: bytes, end: bool = False) -> None:
        """Send a piece of a body."""
        self.h2.send_data(self.number, data, end_stream=end)
        self.send()

    def trailing(self, *fields: tuple[bytes, bytes]) -> None:
        """Send trailers."""
        self.h2.send_headers(self.number, list(fields), end_stream=True)
        self.send()

    def answer(self, body: bytes = b"ok", *fields: tuple[bytes, bytes], status: int = 200) -> None:
        """Send a whole response at once."""
        self.h2.send_headers(self.number, [(b":status", b"%d" % status), *fields])
        self.h2.send_data(self.number, body, end_stream=True)
        self.send()

    def reset(self, code: int) -> None:
        """Reset the newest stream."""
        self.h2.reset_stream(self.number, code)
        self.send()

    def room(self) -> int:
        """How much of a response the relay takes now."""
        self.read()
        return self.h2.local_flow_control_window(self.number)
