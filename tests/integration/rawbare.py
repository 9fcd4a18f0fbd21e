"""A bare link made by hand from the client's end: it says what no egtunnel client would ever say."""

from __future__ import annotations

import socket
import ssl

from egtunnel.mux.frames import HEADER
from tests.integration.daemons import PATIENCE
from tests.integration.papers import Papers
from tests.integration.rawlink import RawLink

__all__ = ["RawBareLink", "shake_hands"]


def shake_hands(papers: Papers, port: int, *protocols: str, name: str = "127.0.0.1") -> ssl.SSLSocket:
    """A TLS connection to a relay that offers these by ALPN; the certificate is verified."""
    context = papers.context()
    context.set_alpn_protocols(list(protocols))
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), PATIENCE), server_hostname=name)


class RawBareLink(RawLink):
    """Frames on TLS; a "message" is one frame."""

    def __init__(self, papers: Papers, port: int) -> None:
        self.socket = shake_hands(papers, port, "egtunnel/1")
        assert self.socket.selected_alpn_protocol() == "egtunnel/1"
        self._received = b""

    def send(self, *frames: bytes) -> None:
        """These frames, as they are."""
        self.socket.sendall(b"".join(frames))

    def read(self) -> bytes:
        """The next frame. Raises LinkEnded, with the code 0."""
        head = self._take(HEADER.size)
        return head + self._take(HEADER.unpack(head)[2])
