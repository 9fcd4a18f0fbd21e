"""What is wrong with a TLS connection, as a frozen value; and how OpenSSL's errors are read as one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import attrs
from cryptography import x509
from OpenSSL import SSL

__all__ = ["Fault", "FaultKind", "fault_in", "fault_of_certificate", "openssl_words", "wrong_name"]

SHOWN_NAMES = 4


class FaultKind(Enum):
    """What kind of wrong; each asks for another remedy."""

    AUTHORITY = "nobody that is believed signed the certificate"
    EARLY = "the certificate is not valid yet"
    EXPIRED = "the certificate has expired"
    NAME = "the certificate is for another name"
    CERTIFICATE = "the certificate is not good"
    OURS = "the certificate of this side was not accepted"
    NO_NAME = "the other side has no certificate for this name"
    PLAIN = "what answers does not speak TLS"
    OTHER = "the handshake failed"


@attrs.frozen
class Fault:
    """One thing wrong. ``more``: what else is known of it, for a person; "" is nothing."""

    kind: FaultKind
    more: str = ""


_VERIFY = {
    9: FaultKind.EARLY,
    10: FaultKind.EXPIRED,
    2: FaultKind.AUTHORITY,
    18: FaultKind.AUTHORITY,
    19: FaultKind.AUTHORITY,
    20: FaultKind.AUTHORITY,
    21: FaultKind.AUTHORITY,
}
"""Results of OpenSSL's verification (X509_V_ERR_...)."""

_PHRASES = (
    ("unrecognized name", FaultKind.NO_NAME),
    ("alert certificate required", FaultKind.OURS),
    ("alert unknown ca", FaultKind.OURS),
    ("alert bad certificate", FaultKind.OURS),
    ("alert certificate expired", FaultKind.OURS),
    ("alert certificate revoked", FaultKind.OURS),
    ("alert certificate unknown", FaultKind.OURS),
    ("alert unsupported certificate", FaultKind.OURS),
    ("alert decrypt error", FaultKind.OURS),
    ("wrong version number", FaultKind.PLAIN),
    ("packet length too long", FaultKind.PLAIN),
    ("record layer failure", FaultKind.PLAIN),
    ("http request", FaultKind.PLAIN),
)
"""Words of OpenSSL; an alert is what the other side says."""


def fault_of_certificate(code: int, certificate: x509.Certificate, depth: int) -> Fault:
    """What OpenSSL's verification found; ``depth`` is 0 for the certificate itself, more for one that signed it."""
    kind = _VERIFY.get(code, FaultKind.CERTIFICATE)
    if kind is FaultKind.EXPIRED:
        more = f"on {certificate.not_valid_after_utc:%Y-%m-%d}"
    elif kind is FaultKind.EARLY:
        more = f"it begins on {certificate.not_valid_before_utc:%Y-%m-%d}"
    elif kind is FaultKind.AUTHORITY:
        more = f"it is signed by {certificate.issuer.rfc4514_string() or 'nobody'}"[:100]
    else:
        more = f"verification result {code} of OpenSSL"
    return Fault(kind, more + (" (a certificate above it in the chain)" if depth and kind in _DATED else ""))


_DATED = (FaultKind.EXPIRED, FaultKind.EARLY)


def wrong_name(names: Sequence[str]) -> Fault:
    """The certificate is a good one, of other hosts: these."""
    shown = ", ".join(names[:SHOWN_NAMES]) + (", ..." if len(names) > SHOWN_NAMES else "")
    return Fault(FaultKind.NAME, shown or "it names none")


def fault_in(words: str) -> Fault | None:
    """The fault that words of OpenSSL's tell of; None: they tell of none that is known."""
    lower = words.lower()
    for phrase, kind in _PHRASES:
        if phrase in lower:
            return Fault(kind, phrase.removeprefix("alert "))
    return None


def openssl_words(value: SSL.Error) -> str:
    """The last reason of OpenSSL's error queue: ``Error([(library, function, reason), ...])``."""
    queue = value.args[0] if value.args else None
    if isinstance(queue, list) and queue and isinstance(queue[-1], tuple):
        return str(queue[-1][-1])
    return str(value) or "handshake failed"
