"""Signatures of webhooks: whether a body was sent by who knows the secret, and lately. Pure."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Sequence

import attrs

__all__ = ["KINDS", "Kind", "Signature", "read_signature", "signed"]

Header = Callable[[bytes], Sequence[bytes]]
"""Gives the values of a header by its name (lower case)."""
_HEX = re.compile(rb"[0-9a-fA-F]{64}")
_NUMBER = re.compile(rb"[0-9]{1,12}")
CANDIDATES = 16
"""Signatures in one header that are looked at: Stripe sends one for each secret that it has."""


@attrs.frozen
class Kind:
    """How a sender signs: ``header`` holds the signature, ``timestamp``: it is bound to a moment."""

    header: bytes
    timestamp: bool


KINDS = {
    "github": Kind(b"x-hub-signature-256", False),
    "stripe": Kind(b"stripe-signature", True),
    "slack": Kind(b"x-slack-signature", True),
    "hmac": Kind(b"x-signature", False),
}
"""github: docs.github.com, "Validating webhook deliveries". stripe: docs.stripe.com, "Verify webhook signatures
manually". slack: api.slack.com, "Verifying requests from Slack". hmac: HMAC-SHA256 of the body, hexadecimal digits,
``sha256=`` before them or not."""


@attrs.frozen
class Signature:
    """What a request says of itself: ``before``: what stands before the body in what was signed."""

    digests: tuple[bytes, ...]
    before: bytes = b""
    moment: int | None = None


def read_signature(kind: str, header: Header, name: bytes = b"") -> Signature | None:
    """The signature of a request, from ``name`` if that is another header than the kind's; None: there is none."""
    values = header(name or KINDS[kind].header)
    if len(values) != 1:
        return None
    if kind == "stripe":
        return _stripe(values[0])
    if kind == "slack":
        return _slack(values[0], header(b"x-slack-request-timestamp"))
    digest = values[0].removeprefix(b"sha256=")
    if (kind == "github" and digest == values[0]) or _HEX.fullmatch(digest) is None:
        return None
    return Signature((bytes.fromhex(digest.decode()),))


def signed(signature: Signature, secrets: Sequence[bytes], body: bytes) -> bool:
    """Whether one of the secrets made one of the digests; all are compared, in constant time."""
    good = False
    for secret in secrets:
        made = hmac.new(secret, signature.before, hashlib.sha256)
        made.update(body)
        for digest in signature.digests:
            good |= hmac.compare_digest(made.digest(), digest)
    return good


def _stripe(value: bytes) -> Signature | None:
    pairs = [item.strip().partition(b"=") for item in value.split(b",")[: 2 * CANDIDATES]]
    moments = [text for name, _, text in pairs if name == b"t"]
    digests = [text for name, _, text in pairs if name == b"v1" and _HEX.fullmatch(text)][:CANDIDATES]
    if len(moments) != 1 or _NUMBER.fullmatch(moments[0]) is None or not digests:
        return None
    return Signature(tuple(bytes.fromhex(digest.decode()) for digest in digests), moments[0] + b".", int(moments[0]))


def _slack(value: bytes, moments: Sequence[bytes]) -> Signature | None:
    digest = value.removeprefix(b"v0=")
    if digest == value or _HEX.fullmatch(digest) is None:
        return None
    if len(moments) != 1 or _NUMBER.fullmatch(moments[0]) is None:
        return None
    return Signature((bytes.fromhex(digest.decode()),), b"v0:" + moments[0] + b":", int(moments[0]))
