"""What a client's first message says: read strictly, before anything is known of who sent it. Pure but for sessions."""

from __future__ import annotations

from hmac import compare_digest
from typing import Any

import attrs

from egtunnel.errors import HandshakeError
from egtunnel.mux.frames import FrameDecoder, FrameType
from egtunnel.session.messages import Hello, decode
from egtunnel.session.session import Session

__all__ = ["Passport", "read_hello", "read_join", "read_resume"]


def read_hello(data: bytes, size: int) -> Hello:
    """The hello in a link's first message; raises HandshakeError unless it is that and nothing more."""
    if len(data) > size:
        raise HandshakeError(f"the first message is longer than {size} bytes")
    decoder = FrameDecoder()
    frames, fault = decoder.feed(data)
    if fault is not None or decoder.pending or len(frames) != 1 or frames[0].type != FrameType.MESSAGE:
        raise HandshakeError("the first message has to be one MESSAGE frame")
    message = decode(frames[0].payload)
    if not isinstance(message, Hello):
        raise HandshakeError("the first message has to be a hello")
    return message


@attrs.frozen
class Passport:
    """What a hello says of a session that there is already: ``position`` only of one that is to go on."""

    session: str
    secret: str = attrs.field(repr=False)
    position: int = 0

    def opens(self, session: Session) -> bool:
        """Whether it names this session and knows its secret; compared in constant time."""
        known = compare_digest(self.secret.encode("utf-8", "surrogatepass"), session.secret.encode())
        return known and bool(session.secret) and self.session == session.id


def read_resume(members: dict[str, Any] | None) -> Passport | None:
    """``hello.resume``; None: there is none. Raises HandshakeError if it is not what the protocol asks for."""
    if members is None:
        return None
    session, secret, position = (members.get(name) for name in ("session", "secret", "position"))
    if not (isinstance(session, str) and isinstance(secret, str) and type(position) is int and 0 <= position < 2**63):
        raise HandshakeError("hello.resume is not what the protocol asks for")
    return Passport(session, secret, position)


def read_join(members: dict[str, Any] | None) -> Passport | None:
    """``hello.join``; the same without a position."""
    if members is None:
        return None
    session, secret = members.get("session"), members.get("secret")
    if not (isinstance(session, str) and isinstance(secret, str)):
        raise HandshakeError("hello.join is not what the protocol asks for")
    return Passport(session, secret)
