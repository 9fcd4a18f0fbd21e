"""Signatures of webhooks: what each service writes into which header, and over which bytes. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence

import attrs

__all__ = ["KINDS", "OWN_HEADER", "Signed", "Values", "read_signed"]

KINDS = ("github", "stripe", "slack", "standard", "hmac")
OWN_HEADER = "x-signature"
"""Where ``hmac`` looks unless it is told another header."""

_DIGITS, _LONGEST, _MOST = 15, 4_096, 16
Values = Callable[[bytes], list[bytes]]
"""The values of a header, by its name in lower case."""


@attrs.frozen
class Signed:
    """What a request says of its signature.

    ``before``: bytes that are signed in front of the body. ``digests``: HMAC-SHA256 values, one of which has to be
    right. ``moment``: when it was signed, in seconds since 1970; None: the scheme has no moment.
    """

    before: bytes
    digests: tuple[bytes, ...]
    moment: int | None = None

    def fresh(self, now: float, window: float) -> bool:
        """Whether it was signed within ``window`` seconds of now, before or after."""
        return self.moment is None or abs(now - self.moment) <= window

    def fits(self, secrets: Sequence[bytes], body: bytes) -> bool:
        """Whether one of the secrets made one of the digests; all are tried, however early one fits."""
        right = False
        for secret in secrets:
            made = hmac.new(secret, self.before, hashlib.sha256)  # the body may be large: no copy of it
            made.update(body)
            wanted = made.digest()
            for digest in self.digests:
                right |= hmac.compare_digest(wanted, digest)
        return right


def read_signed(kind: str, header: str, values: Values) -> Signed | None:
    """What the headers say; None: nothing that could be a signature of this kind.

    :param header: the one that ``hmac`` reads, in lower case.
    """
    if kind == "github":
        return _github(values)
    if kind == "stripe":
        return _stripe(values)
    if kind == "slack":
        return _slack(values)
    return _standard(values) if kind == "standard" else _plain(header, values)


def _github(values: Values) -> Signed | None:
    """``X-Hub-Signature-256: sha256=<hex>`` over the body."""
    digest = _hex(_one(values, b"x-hub-signature-256"), b"sha256=")
    return Signed(b"", (digest,)) if digest else None


def _stripe(values: Values) -> Signed | None:
    """``Stripe-Signature: t=<seconds>,v1=<hex>,...`` over ``<seconds>.<body>``."""
    parts = [part.strip().partition(b"=") for part in _one(values, b"stripe-signature").split(b",")]
    moments = [value for name, _, value in parts if name == b"t"]
    digests = [_hex(value) for name, _, value in parts if name == b"v1"]
    return _timed(moments[0] if len(moments) == 1 else b"", b"%b.", digests)


def _slack(values: Values) -> Signed | None:
    """``X-Slack-Signature: v0=<hex>`` over ``v0:<X-Slack-Request-Timestamp>:<body>``."""
    digest = _hex(_one(values, b"x-slack-signature"), b"v0=")
    return _timed(_one(values, b"x-slack-request-timestamp"), b"v0:%b:", [digest])


def _standard(values: Values) -> Signed | None:
    """Standard Webhooks: ``v1,<base64>`` (several, with blanks between) over ``<id>.<seconds>.<body>``."""
    name = _one(values, b"webhook-id")
    texts = _one(values, b"webhook-signature").split(b" ")
    digests = [_base64(text.removeprefix(b"v1,")) for text in texts if text.startswith(b"v1,")]
    if not name or b"." in name or b"%" in name:
        return None
    return _timed(_one(values, b"webhook-timestamp"), name + b".%b.", digests)


def _plain(header: str, values: Values) -> Signed | None:
    """The digest alone over the body: in hexadecimal digits, also after ``sha256=``, or in Base64."""
    value = _one(values, header.encode("ascii")).removeprefix(b"sha256=")
    digest = _hex(value) or _base64(value)
    return Signed(b"", (digest,)) if digest else None


def _one(values: Values, name: bytes) -> bytes:
    """The value of a header that is there once; empty: it is not, or is no sensible one."""
    found = values(name)
    return found[0] if len(found) == 1 and len(found[0]) <= _LONGEST else b""


def _timed(moment: bytes, before: bytes, digests: list[bytes]) -> Signed | None:
    digests = [digest for digest in digests if digest]
    if not moment.isdigit() or len(moment) > _DIGITS or not 1 <= len(digests) <= _MOST:
        return None
    return Signed(before % moment, tuple(digests), int(moment))


def _hex(text: bytes, start: bytes = b"") -> bytes:
    """The 32 bytes of 64 digits; empty: it is something else."""
    digits = text.removeprefix(start)
    if len(digits) != 64 or not text.startswith(start):
        return b""
    try:
        return binascii.unhexlify(digits)
    except binascii.Error:
        return b""


def _base64(text: bytes) -> bytes:
    try:
        digest = base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
    return digest if len(digest) == hashlib.sha256().digest_size else b""
