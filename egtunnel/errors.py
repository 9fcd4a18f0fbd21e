"""Every error egtunnel raises or sends, in one tree; each class names its own wire code and word.

``code`` is the number that travels in RESET and GOAWAY frames (docs/protocol.md, section "Codes"); ``word`` is the
name a person meets in a log, a header or an error page.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "ChannelClosed",
    "ChannelReset",
    "ClientAway",
    "ConfigurationError",
    "Denied",
    "EgtunnelError",
    "FlowControlError",
    "FrameError",
    "HandshakeError",
    "HeartbeatLost",
    "IllegalTransition",
    "LinkLost",
    "LocalProtocolError",
    "OverBudget",
    "OverLimit",
    "ProtocolError",
    "Refused",
    "RemoteProtocolError",
    "Revoked",
    "ShuttingDown",
    "StoreBusy",
    "StoreConflict",
    "StoreError",
    "StoreFull",
    "StoreUnavailable",
    "Superseded",
    "TooManyChannels",
    "UnknownFrameType",
    "UnknownTunnel",
    "UpstreamBroke",
    "UpstreamRefused",
    "UpstreamSlow",
    "error_for_code",
]


class EgtunnelError(Exception):
    """The root of every error of egtunnel; its text is fit to be shown to a person."""

    code: ClassVar[int] = 1
    word: ClassVar[str] = "internal-error"

    @property
    def text(self) -> str:
        """What happened, for a person: the argument given, or the class's own sentence."""
        return str(self) or (type(self).__doc__ or self.word).splitlines()[0]


class ConfigurationError(EgtunnelError):
    """An option or a configuration file says something that cannot be done."""

    word = "bad-configuration"


class ProtocolError(EgtunnelError):
    """The wire protocol was broken; ends the link on which it happened."""

    word = "protocol-error"


class LocalProtocolError(ProtocolError):
    """This side asked for something the protocol does not allow: a defect in egtunnel itself."""


class RemoteProtocolError(ProtocolError):
    """The peer sent what the protocol does not allow."""


class UnknownFrameType(RemoteProtocolError):
    """The peer sent a frame of an unknown type."""

    code = 2
    word = "unknown-frame-type"


class FrameError(RemoteProtocolError):
    """The peer sent a frame whose flags, length or payload do not fit its type."""

    code = 3
    word = "frame-error"


class FlowControlError(RemoteProtocolError):
    """The peer sent more data than it had credit for, or gave an impossible credit."""

    code = 4
    word = "flow-control-error"


class IllegalTransition(RemoteProtocolError):
    """The peer sent a frame that the state of its channel does not allow."""

    code = 5
    word = "illegal-transition"


class HandshakeError(RemoteProtocolError):
    """The peer did not say hello or welcome as the protocol asks, or not in time."""

    code = 6
    word = "handshake-error"


class ChannelReset(EgtunnelError):
    """A channel ended before both of its directions had finished."""

    code = 21
    word = "channel-reset"


class ChannelClosed(ChannelReset):
    """The other side no longer wants this channel."""

    code = 0
    word = "closed"


class TooManyChannels(ChannelReset):
    """The other side has as many channels open as it allows."""

    code = 7
    word = "too-many-channels"


class OverBudget(ChannelReset):
    """The memory budget is used up and this channel held the most of it."""

    code = 8
    word = "over-budget"


class UpstreamRefused(ChannelReset):
    """The local service refused the connection, or its address could not be reached."""

    code = 9
    word = "upstream-refused"


class UpstreamBroke(ChannelReset):
    """The local service broke the connection."""

    code = 10
    word = "upstream-broke"


class UpstreamSlow(ChannelReset):
    """The local service did not answer in time."""

    code = 11
    word = "upstream-slow"


class UnknownTunnel(ChannelReset):
    """The client offers no tunnel of that number."""

    code = 12
    word = "unknown-tunnel"


class ClientAway(ChannelReset):
    """The client that serves this name is not connected at the moment."""

    code = 13
    word = "client-away"


class LinkLost(ChannelReset):
    """The connection between relay and client was lost."""

    code = 14
    word = "link-lost"


class OverLimit(ChannelReset):
    """A limit on connections or requests was reached."""

    code = 15
    word = "over-limit"


class Denied(ChannelReset):
    """An access rule does not let this visitor in."""

    code = 16
    word = "denied"


class Superseded(EgtunnelError):
    """The same client connected again; its newer connection took over."""

    code = 17
    word = "superseded"


class ShuttingDown(EgtunnelError):
    """The other side is shutting down."""

    code = 18
    word = "shutting-down"


class HeartbeatLost(EgtunnelError):
    """The other side did not answer two heartbeats in a row."""

    code = 19
    word = "heartbeat-lost"


class Refused(EgtunnelError):
    """The relay refused a login or a claim; ``retry`` says whether trying again can help."""

    code = 20
    word = "refused"

    def __init__(self, reason: str, text: str, *, retry: bool = False, after: float = 0.0) -> None:
        super().__init__(text)
        self.reason = reason
        self.retry = retry
        self.after = after


class Revoked(EgtunnelError):
    """The token with which the client logged in is no longer good."""

    code = 22
    word = "revoked"


class StoreError(EgtunnelError):
    """The store could not do what was asked of it."""

    word = "store-error"


class StoreUnavailable(StoreError):
    """The store cannot be reached at the moment; it comes back by itself."""

    word = "store-unavailable"


class StoreBusy(StoreUnavailable):
    """More is asked of the store than it can do at the moment."""

    word = "store-busy"


class StoreFull(StoreError):
    """The store has no room on its disk: it can be read and not written."""

    word = "store-full"


class StoreConflict(StoreError):
    """What was to be written exists already, or belongs to something that does not exist."""

    word = "store-conflict"


def _subclasses(root: type[EgtunnelError]) -> list[type[EgtunnelError]]:
    return [root, *(leaf for child in root.__subclasses__() for leaf in _subclasses(child))]


_BY_CODE: dict[int, type[EgtunnelError]] = {
    cls.code: cls for cls in reversed(_subclasses(EgtunnelError)) if cls is not Refused and "code" in vars(cls)
}


def error_for_code(code: int, text: str = "") -> EgtunnelError:
    """The error a RESET or GOAWAY with this code stands for; an unknown code becomes a plain ``ChannelReset``."""
    return _BY_CODE.get(code, ChannelReset)(text)
