"""A link made by hand, from either end: it says what no egtunnel client or relay would ever say."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import time
from struct import Struct, pack
from typing import Any

from egtunnel.mux.frames import HEADER, U16, U32, U32_U16, FrameType
from tests.integration.daemons import PATIENCE, Relay, until

__all__ = [
    "BINARY",
    "CLOSE",
    "PING",
    "TEXT",
    "LinkEnded",
    "RawLink",
    "RawRelay",
    "accept",
    "credit",
    "frame",
    "message",
    "reset",
    "token_of",
    "websocket_frame",
]

TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
LENGTH16 = Struct("!H")
LENGTH64 = Struct("!Q")


class LinkEnded(Exception):
    """The relay ended the link; ``code`` is the one of its close frame, 0 if it sent none."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


def frame(kind: int, channel: int = 0, payload: bytes = b"", flags: int = 0, length: int | None = None) -> bytes:
    """A frame of the wire protocol; ``length`` may lie."""
    return HEADER.pack(kind, flags, len(payload) if length is None else length, channel) + payload


def message(kind: str, /, **members: Any) -> bytes:
    """A MESSAGE frame."""
    return frame(FrameType.MESSAGE, 0, json.dumps({"type": kind, **members}).encode())


def websocket_frame(
    opcode: int, payload: bytes, *, final: bool = True, masked: bool = True, reserved: int = 0
) -> bytes:
    """A WebSocket frame as a client sends it (RFC 6455 section 5.2), or as it must not."""
    first = (0x80 if final else 0) | reserved << 4 | opcode
    size = len(payload)
    mask = 0x80 if masked else 0
    if size < 126:
        head = bytes((first, mask | size))
    elif size < 65_536:
        head = bytes((first, mask | 126)) + LENGTH16.pack(size)
    else:
        head = bytes((first, mask | 127)) + LENGTH64.pack(size)
    return head + (b"\0\0\0\0" if masked else b"") + payload  # a mask of zeros changes nothing


def token_of(relay: Relay) -> str:
    """The token that a relay of the test made for itself; it listens a moment before it has one."""
    with until("the relay to make its token") as deadline:
        while time.monotonic() < deadline:
            for file in relay.home.glob("state/**/token"):
                return file.read_text().strip()
            time.sleep(0.02)
    raise AssertionError("no token")


class RawLink:
    """A WebSocket to a relay over a plain blocking socket."""

    masks = True

    def __init__(self, port: int, receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", port))
        self._received = b""
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /connect HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: egtunnel.v1\r\n\r\n".encode()
        )
        while b"\r\n\r\n" not in self._received:
            self._more()
        head, self._received = self._received.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 101 "), head

    def __enter__(self) -> RawLink:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    # -- sending

    def send_raw(self, data: bytes) -> None:
        """Bytes of the connection, as they are."""
        self.socket.sendall(data)

    def send(self, *frames: bytes) -> None:
        """One binary message of frames."""
        self.socket.sendall(websocket_frame(BINARY, b"".join(frames), masked=self.masks))

    def flood(self, data: bytes, most: int) -> int:
        """Send ``data`` again and again, read nothing, until the relay takes no more or ``most`` bytes are out."""
        sent = 0
        self.socket.settimeout(2.0)
        try:
            while sent < most:
                self.socket.sendall(data)
                sent += len(data)
        except OSError:
            pass  # the relay stopped reading, or ended the link: both are its right, the test looks at which
        self.socket.settimeout(PATIENCE)
        return sent

    def hello(self, token: str, client_id: str = "", **members: Any) -> None:
        """The first message of a client."""
        self.send(message("hello", token=token, client_id=client_id or os.urandom(16).hex(), version=1, **members))

    def log_in(self, token: str, client_id: str = "") -> dict[str, Any]:
        """Say hello and return the welcome."""
        self.hello(token, client_id)
        return self.read_message("welcome")

    def claim(self, tunnel: int = 1, **members: Any) -> dict[str, Any]:
        """Claim a tunnel; the relay's answer, ``claimed`` or ``refused``."""
        self.send(message("claim", tunnel=tunnel, **{"kind": "http", "key": "test", **members}))
        return self.read_message("claimed", "refused")

    # -- receiving

    def _more(self) -> None:
        try:
            data = self.socket.recv(65_536)
        except ConnectionError as error:
            raise LinkEnded(0, str(error)) from None
        if not data:
            raise LinkEnded(0, "end of the connection")
        self._received += data

    def _take(self, size: int) -> bytes:
        while len(self._received) < size:
            self._more()
        data, self._received = self._received[:size], self._received[size:]
        return data

    def read(self) -> bytes:
        """The next binary message. Raises LinkEnded."""
        while True:
            first, size = self._take(2)
            masked, size = size & 0x80, size & 0x7F
            if size == 126:
                (size,) = LENGTH16.unpack(self._take(2))
            elif size == 127:
                (size,) = LENGTH64.unpack(self._take(8))
            mask = self._take(4) if masked else b""
            payload = self._take(size)
            if masked:
                payload = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
            if first == 0x80 | CLOSE:
                raise LinkEnded(int.from_bytes(payload[:2], "big"), payload[2:].decode())
            if first == 0x80 | BINARY:
                return payload

    def frames(self) -> list[tuple[int, int, int, bytes]]:
        """The frames of the next message: type, flags, channel, payload. Whole, or the relay is at fault."""
        data = self.read()
        found = []
        while data:
            kind, flags, length, channel = HEADER.unpack_from(data)
            payload = data[8 : 8 + length]
            assert len(payload) == length
            found.append((kind, flags, channel, payload))
            data = data[8 + length :]
        return found

    def read_message(self, *kinds: str) -> dict[str, Any]:
        """The next control message of one of these types; other frames are passed over."""
        members: dict[str, Any] = self.wait_for_frame(FrameType.MESSAGE, lambda found: found["type"] in kinds)
        return members

    def wait_for_frame(self, kind: int, wanted: Any = lambda _: True) -> Any:
        """Pass over frames up to one of this type: the JSON of a MESSAGE, else ``(channel, payload)``."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for found, _, channel, payload in self.frames():
                if found == kind:
                    value = json.loads(payload) if kind == FrameType.MESSAGE else (channel, payload)
                    if wanted(value):
                        return value
        raise AssertionError(f"no frame of type {kind}")

    def answer_pings(self) -> None:
        """Answer the first heartbeat, as a relay measures its round trip at once."""
        _, payload = self.wait_for_frame(FrameType.PING)
        self.send(frame(FrameType.PONG, 0, payload))

    def ending(self) -> tuple[int, str, int | None]:
        """Read until the relay ends the link: close code, reason, and the code of a GOAWAY that came before, if any."""
        gone: int | None = None
        try:
            while True:
                for kind, _, _, payload in self.frames():
                    if kind == FrameType.GOAWAY:
                        gone = U32_U16.unpack_from(payload)[1]
        except LinkEnded as end:
            return end.code, end.reason, gone


class RawRelay(RawLink):
    """The relay's end of a link, made by hand on a connection that a client has made."""

    masks = False

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.socket.settimeout(PATIENCE)
        self._received = b""
        while b"\r\n\r\n" not in self._received:
            self._more()
        head, self._received = self._received.split(b"\r\n\r\n", 1)
        key = next(
            line.split(b": ")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")
        )
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
        connection.sendall(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: egtunnel.v1\r\n\r\n".encode()
        )

    def let_in(self) -> dict[str, Any]:
        """Answer the hello with a welcome, and the first claim as granted; that claim."""
        self.read_message("hello")
        self.send(message("welcome", session_id="s", heartbeat=15))
        claim = self.read_message("claim")
        self.send(message("claimed", tunnel=claim["tunnel"], url="http://fake.localhost", name="fake"))
        return claim

    def open(self, channel: int, **metadata: Any) -> None:
        """Open a channel, as for a visitor."""
        self.send(frame(FrameType.OPEN, channel, U32.pack(65_536) + json.dumps(metadata).encode()))


def credit(channel: int, increment: int) -> bytes:
    """A CREDIT frame."""
    return frame(FrameType.CREDIT, channel, U32.pack(increment))


def reset(channel: int, code: int = 0) -> bytes:
    """A RESET frame."""
    return frame(FrameType.RESET, channel, U16.pack(code))


def accept(channel: int, window: int = 65_536) -> bytes:
    """An ACCEPT frame."""
    return frame(FrameType.ACCEPT, channel, pack("!I", window))
