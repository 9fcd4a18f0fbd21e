"""The rule ``visitor-ca``: visitors show a certificate of an authority, in the TLS handshake with the relay."""

from __future__ import annotations

from typing import Any

from cryptography import x509
from zope.interface import implementer

from egtunnel.guard import AccessError, Asked, Denial, IGuard, Verdict
from egtunnel.interfaces import Visitor

__all__ = ["CertificateRule", "visitor_ca"]

LONGEST, MOST = 24_576, 10
WANTED = Denial(403, "certificate-wanted", "This tunnel wants a certificate, over TLS, on its own host.")
ANOTHER = Denial(421, "misdirected-request", "This tunnel wants a certificate: connect to its own host anew.")
"""Browsers use a connection for several hosts; they make another one then, and are asked on that."""


def visitor_ca(value: Any) -> CertificateRule:
    """The rule: certificates of authorities, as PEM. Raises AccessError."""
    if not isinstance(value, str) or not value.isascii() or not 0 < len(value) <= LONGEST:
        raise AccessError(f"visitor-ca: it must be PEM of at most {LONGEST} characters")
    try:
        found = x509.load_pem_x509_certificates(value.encode("ascii"))
    except ValueError:
        found = []
    if not 1 <= len(found) <= MOST:
        raise AccessError(f"visitor-ca: it must hold 1 to {MOST} certificates")
    return CertificateRule(value)


@implementer(IGuard)
class CertificateRule:
    """Lets in who was asked for a certificate of just these authorities and has shown one."""

    def __init__(self, authority: str) -> None:
        self._authority = authority

    def judge(self, asked: Asked, visitor: Visitor) -> Verdict:
        """By what the connection says; it may be older than the rule."""
        if asked.prefix or not visitor.tls_name:
            return WANTED
        return None if visitor.certified_by == self._authority else ANOTHER

    def admits(self, visitor: Visitor) -> bool:
        """No: the relay ends no TLS of TCP tunnels."""
        return False
