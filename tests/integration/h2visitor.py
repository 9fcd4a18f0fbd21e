"""A visitor who speaks HTTP/2 without TLS from the first byte, and sends header sections as they are."""

from __future__ import annotations

import socket
from typing import Self

import attrs
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingAckReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)

from tests.integration.daemons import PATIENCE

__all__ = ["Fields", "H2Visitor", "Reply"]

Fields = list[tuple[bytes, bytes]]


@attrs.define
class Reply:
    """What came on a stream: ``status`` 0 if there was none, ``reset`` the code of its RST_STREAM."""

    status: int = 0
    error: str = ""
    body: bytes = b""
    reset: int | None = None
    ended: bool = False


class H2Visitor:
    """One connection, one request at a time; nothing is checked or put right on the way out."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._h2 = H2Connection(
            H2Configuration(
                client_side=True,
                header_encoding=None,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self._pongs = 0
        self._h2.initiate_connection()
        self._send()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, head: Fields, body: bytes | None = None, trailers: Fields | None = None) -> Reply:
        """Send a whole request at once and read until its stream is over."""
        number = self._h2.get_next_available_stream_id()
        self._h2.send_headers(number, head, end_stream=body is None and trailers is None)
        if body is not None:
            self._h2.send_data(number, body, end_stream=trailers is None)
        if trailers is not None:
            self._h2.send_headers(number, trailers, end_stream=True)
        self._send()
        reply = Reply()
        while not reply.ended:
            for event in self._read():
                self._note(event, number, reply)
        return reply

    def alive(self) -> bool:
        """Whether the connection still answers a PING."""
        self._h2.ping(b"are you?")
        self._send()
        while not self._pongs:
            if any(isinstance(event, ConnectionTerminated) for event in self._read()):
                return False
        return True

    def _note(self, event: Event, number: int, reply: Reply) -> None:
        assert not isinstance(event, ConnectionTerminated), "the relay gave the whole connection up"
        if getattr(event, "stream_id", None) != number:
            return
        if isinstance(event, ResponseReceived):
            named = dict(event.headers or [])
            reply.status, reply.error = int(named[b":status"]), named.get(b"x-egtunnel-error", b"").decode()
        elif isinstance(event, DataReceived):
            reply.body += event.data or b""
        elif isinstance(event, StreamReset):
            reply.reset = int(event.error_code or 0)
        reply.ended = reply.ended or isinstance(event, StreamEnded | StreamReset)

    def _read(self) -> list[Event]:
        data = self._socket.recv(65_536)
        assert data, "the relay closed the connection"
        events = self._h2.receive_data(data)
        self._pongs += sum(isinstance(event, PingAckReceived) for event in events)
        self._send()
        return events

    def _send(self) -> None:
        self._socket.sendall(self._h2.data_to_send())
