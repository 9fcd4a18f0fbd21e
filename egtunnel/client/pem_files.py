"""PEM files that the user names: authorities to believe, and the certificate and key that the client shows."""

from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import crypto
from twisted.internet.ssl import Certificate, trustRootFromCertificates

from egtunnel.errors import ConfigurationError

__all__ = ["OwnCertificate", "authorities", "doubts", "own_certificate"]

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)
_KEY = re.compile(rb"-----BEGIN ([A-Z ]*)PRIVATE KEY-----.+?-----END \1PRIVATE KEY-----\n?", re.DOTALL)


@attrs.frozen
class OwnCertificate:
    """What the client shows: its certificate, those between it and the authority, and the key."""

    certificate: x509.Certificate
    chain: Sequence[x509.Certificate]
    key: Any = attrs.field(repr=False)

    def options(self) -> dict[str, Any]:
        """The same as arguments of Twisted's ``CertificateOptions``."""
        return {
            "certificate": self.certificate,
            "extraCertChain": list(self.chain),
            "privateKey": self.key,
        }


def authorities(file: str, named: str = "CA file") -> Any:
    """Trust in the authorities of a file; raises ``ConfigurationError``, which begins with ``named``."""
    try:
        certificates = [Certificate.loadPEM(block) for block in _CERTIFICATE.findall(_content(file, named))]
    except (crypto.Error, ValueError) as error:
        raise ConfigurationError(f"{named} {file}: {error}") from error
    if not certificates:
        raise ConfigurationError(f"{named} {file}: it holds no PEM certificate")
    return trustRootFromCertificates(certificates)


def own_certificate(certificate: str, key: str = "", options: tuple[str, str] = ("--cert", "--key")) -> OwnCertificate:
    """The certificate of a file with the key of another, or of the same file; raises ``ConfigurationError``.

    :param options: by which the two files are named.
    """
    first, second = options
    content = _content(certificate, first)
    try:
        chain = [x509.load_pem_x509_certificate(block) for block in _CERTIFICATE.findall(content)]
    except ValueError as error:
        raise ConfigurationError(f"{first} {certificate}: a certificate in it cannot be read: {error}") from error
    if not chain:
        raise ConfigurationError(f"{first} {certificate}: it holds no PEM certificate")
    block = _KEY.search(_content(key, second) if key else content)
    if block is None and not key:
        raise ConfigurationError(
            f"{first} {certificate}: it holds no private key; name the key's file with {second} FILE"
        )
    if block is None:
        raise ConfigurationError(f"{second} {key}: it holds no PEM private key")
    place = f"{second} {key or certificate}"
    private = _private(block[0], place)
    if private.public_key() != chain[0].public_key():
        raise ConfigurationError(f"{place}: the key does not belong to the certificate in {certificate}")
    return OwnCertificate(chain[0], chain[1:], private)


def doubts(certificate: str, key: str, now: datetime | None = None) -> list[str]:
    """What a person should know of files that can be used all the same, a line each."""
    found: list[str] = []
    file = key or certificate
    if Path(file).stat().st_mode & stat.S_IROTH:
        found.append(f"every user of this machine can read the private key in {file}; change that: chmod o-r {file}")
    ends = own_certificate(certificate, key).certificate.not_valid_after_utc
    if ends < (now or datetime.now(UTC)):
        found.append(f"the certificate in {certificate} expired on {ends:%Y-%m-%d}; a relay will refuse it")
    return found


def _content(file: str, named: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{named} {file}: it cannot be read: {error.strerror}") from error


def _private(block: bytes, place: str) -> Any:
    try:
        return load_pem_private_key(block, None)
    except TypeError as error:  # so it says that there is a passphrase
        raise ConfigurationError(f"{place}: the key has a passphrase; egclient needs one without") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(f"{place}: the private key cannot be read") from error
