"""Control messages: frozen values to and from the JSON of MESSAGE frames (docs/protocol.md, "Control messages")."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ClassVar

import attrs

from egtunnel.errors import HandshakeError

__all__ = [
    "VERSION",
    "Claim",
    "Claimed",
    "Hello",
    "Message",
    "Notice",
    "RefusedMessage",
    "Release",
    "Share",
    "Shared",
    "Unknown",
    "Welcome",
    "decode",
    "encode",
]

VERSION = 1
"""The version of the wire protocol."""

MAX_TEXT = 1024
"""The longest string member of a control message, characters."""
MAX_EDITS = 64
"""The longest list of edits."""
MAX_EDIT_TEXT = 4096
"""The longest string in an edit, characters."""


@attrs.frozen
class Hello:
    """The client's first message: who it is and what it can do.

    ``resume``: the session that is to go on over this link: ``session`` (its id), ``secret``, and ``position``, how far
    the client has read the relay's counted frames. ``join``: the session beside which a new one is to carry channels:
    ``session`` and ``secret``.
    """

    type: ClassVar[str] = "hello"

    token: str = attrs.field(repr=False)
    client_id: str
    version: int = VERSION
    agent: str = ""
    resume: dict[str, Any] | None = attrs.field(default=None, repr=False)
    join: dict[str, Any] | None = attrs.field(default=None, repr=False)


@attrs.frozen
class Welcome:
    """The relay's answer to a hello it accepts. ``heartbeat`` is in seconds.

    ``resumed``: the session of the hello goes on, and the relay has read the client's counted frames up to here; None:
    this is a new session. ``resume_secret`` lets it go on over another link, within ``resume_window`` seconds.
    """

    type: ClassVar[str] = "welcome"

    session_id: str
    domain: str = ""
    heartbeat: float = 15.0
    resume_secret: str = attrs.field(default="", repr=False)
    resume_window: float = 0.0
    resumed: int | None = None
    limits: dict[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class RefusedMessage:
    """The relay's no: to the login, to the claim of ``tunnel``, or to ``share``. ``after`` is when to try again, in
    seconds.
    """

    type: ClassVar[str] = "refused"

    code: str
    text: str
    retry: bool = False
    after: float = 0.0
    tunnel: int | None = None
    share: int | None = None


@attrs.frozen
class Claim:
    """The client asks for a public name. ``tunnel`` is the client's own number for it, ``key`` names its target.

    The same client gets the same made-up name again for the same key. ``host_header`` rewrites the Host of requests.
    ``protocol`` is ``h2c`` where the service speaks HTTP/2 in the clear, else empty. ``request_headers``,
    ``response_headers`` and ``path_prefix`` are a ``policy.HeaderPolicy``, each edit a list of action, name and value.
    ``share``: other clients of the same token may serve the name, too; ``sticky``, ``address`` or ``cookie``, keeps
    each visitor at one of them. ``access``: rules for visitors, by their names. ``dedicated``: a channel carries one
    request and no second one.
    """

    type: ClassVar[str] = "claim"

    tunnel: int
    kind: str
    name: str = ""
    host: str = ""
    port: int = 0
    key: str = ""
    host_header: str = ""
    protocol: str = ""
    request_headers: list[list[str]] = attrs.field(factory=list)
    response_headers: list[list[str]] = attrs.field(factory=list)
    path_prefix: str = ""
    share: bool = False
    sticky: str = ""
    access: dict[str, Any] = attrs.field(factory=dict, repr=False)
    dedicated: bool = False


@attrs.frozen
class Claimed:
    """The relay bound a public name to the client's tunnel. ``guarded``: it keeps the rules of ``Claim.access``."""

    type: ClassVar[str] = "claimed"

    tunnel: int
    url: str
    name: str = ""
    guarded: bool = False


@attrs.frozen
class Release:
    """The client gives a tunnel's public name back."""

    type: ClassVar[str] = "release"

    tunnel: int


@attrs.frozen
class Share:
    """The client wants a link to some of its tunnels, by its own numbers; ``share`` is its number for the request.

    ``terms``: ``services``, ``permissions``, ``expires_in``, ``uses``, ``passphrase``, ``note``.
    """

    type: ClassVar[str] = "share"

    share: int
    tunnels: list[int]
    terms: dict[str, Any] = attrs.field(factory=dict, repr=False)


@attrs.frozen
class Shared:
    """The link of a share, which is told this once. ``expires``: in seconds since 1970; 0: never."""

    type: ClassVar[str] = "shared"

    share: int
    id: str
    link: str = attrs.field(repr=False)
    expires: float = 0.0


@attrs.frozen
class Notice:
    """A text for the person at the other end; changes nothing."""

    type: ClassVar[str] = "notice"

    text: str


@attrs.frozen
class Unknown:
    """A message of a type this version does not know; it is answered with a notice."""

    type: str


Message = Hello | Welcome | RefusedMessage | Claim | Claimed | Release | Share | Shared | Notice | Unknown

_TYPES: dict[str, type[Any]] = {
    cls.type: cls for cls in (Hello, Welcome, RefusedMessage, Claim, Claimed, Release, Share, Shared, Notice)
}


def _is_edits(value: Any) -> bool:
    """Whether it has the shape of edits; what they say is judged where the claim is."""
    return (
        isinstance(value, list)
        and len(value) <= MAX_EDITS
        and all(isinstance(row, list) and len(row) in (2, 3) and all(map(_is_edit_text, row)) for row in value)
    )


def _is_edit_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_EDIT_TEXT


# What a member may be, by its annotation; bool is not an int here.
_CHECKS: dict[str, Callable[[Any], bool]] = {
    "str": lambda value: isinstance(value, str) and len(value) <= MAX_TEXT,
    "int": lambda value: type(value) is int and 0 <= value < 2**53,
    "int | None": lambda value: value is None or (type(value) is int and 0 <= value < 2**53),
    "float": lambda value: type(value) in (int, float) and 0 <= value < 1e12,
    "list[int]": lambda value: (
        isinstance(value, list) and len(value) <= MAX_EDITS and all(type(each) is int and each >= 0 for each in value)
    ),
    "bool": lambda value: isinstance(value, bool),
    "list[list[str]]": _is_edits,
    "dict[str, Any]": lambda value: isinstance(value, dict),
    "dict[str, Any] | None": lambda value: value is None or isinstance(value, dict),
}


def encode(message: Message) -> bytes:
    """The JSON text of a message; members with their default are left out."""
    members: dict[str, Any] = {"type": message.type}
    for field in attrs.fields(type(message)):
        value = getattr(message, field.name)
        if value != field.default and value not in ({}, []):
            members[field.name] = value
    return json.dumps(members, separators=(",", ":")).encode()


def decode(payload: bytes) -> Message:
    """The message in a MESSAGE frame. Raises HandshakeError if it is not one; unknown members are ignored."""
    try:
        members = json.loads(payload)
    except (ValueError, RecursionError):
        raise HandshakeError("a control message that is not JSON") from None
    if not isinstance(members, dict) or not isinstance(members.get("type"), str):
        raise HandshakeError("a control message without a type")
    kind = members["type"]
    make = _TYPES.get(kind)
    if make is None:
        return Unknown(kind[:MAX_TEXT])
    message: Message = make(**_members(kind, attrs.fields(make), members))
    return message


def _members(kind: str, fields: tuple[attrs.Attribute[Any], ...], members: dict[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = {}
    for field in fields:
        if field.name in members:
            value = members[field.name]
            if not _CHECKS[str(field.type)](value):
                raise HandshakeError(f"{kind}.{field.name} is not what the protocol asks for")
            known[field.name] = value
        elif field.default is attrs.NOTHING:
            raise HandshakeError(f"{kind}.{field.name} is missing")
    return known
