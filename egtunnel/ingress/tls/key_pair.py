"""A certificate with its chain and its key, as files give them."""

from __future__ import annotations

import stat
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import attrs
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from egtunnel.errors import ConfigurationError

__all__ = ["KeyPair", "read_key_pair"]


@attrs.frozen(eq=False)
class KeyPair:
    """``names``: host names of the certificate, lower case, perhaps with a wildcard; ``addresses``: IP addresses.

    ``chain``: its own certificate first, as it is sent. ``source``: the file, for people. ``warning``: "" or what is
    wrong with it that does not keep it from being used.
    """

    names: frozenset[str]
    addresses: frozenset[str]
    chain: tuple[x509.Certificate, ...] = attrs.field(repr=False)
    key: Any = attrs.field(repr=False)
    source: Path
    warning: str = ""

    def covers(self, host: str) -> bool:
        """Whether the certificate is good for this host name or address (RFC 6125 section 6.4)."""
        host = host.lower().rstrip(".")
        first, _, rest = host.partition(".")
        if host in self.names or (bool(first) and f"*.{rest}" in self.names):
            return True
        try:
            return ip_address(host.strip("[]")).compressed in self.addresses
        except ValueError:
            return False


def read_key_pair(certificate: Path, key: Path, longest: int) -> KeyPair:
    """Read PEM files, which may be the same one. Raises ConfigurationError that names the file and what is wrong."""
    chain = _chain(certificate, longest)
    private = _key(key, longest)
    plain = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*plain) != chain[0].public_key().public_bytes(*plain):
        raise ConfigurationError(f"the key {key} does not belong to the first certificate of {certificate}")
    names, addresses = _names(chain[0])
    if not names and not addresses:
        raise ConfigurationError(f"{certificate} names no host: it needs a subjectAltName")
    readable = key.stat().st_mode & stat.S_IROTH
    warning = f"everybody on this machine can read the key {key}: chmod o-r {key}" if readable else ""
    return KeyPair(names, addresses, chain, private, certificate, warning)


def _chain(file: Path, longest: int) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(x509.load_pem_x509_certificates(_read(file, longest)))
    except ValueError as error:
        raise ConfigurationError(f"{file} holds no certificate: {error}") from None


def _key(file: Path, longest: int) -> Any:
    data = _read(file, longest)
    start = data.find(b"-----BEGIN")
    while start >= 0 and b"PRIVATE KEY-----" not in data[start : start + 40]:
        start = data.find(b"-----BEGIN", start + 1)
    if start < 0:
        raise ConfigurationError(f"{file} holds no private key")
    try:
        return load_pem_private_key(data[start:], password=None)
    except TypeError:
        raise ConfigurationError(f"the key {file} is encrypted: a relay that starts by itself needs it plain") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(f"the key {file} cannot be read: {error}") from None


def _names(certificate: x509.Certificate) -> tuple[frozenset[str], frozenset[str]]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return frozenset(), frozenset()
    hosts = frozenset(name.lower().rstrip(".") for name in names.get_values_for_type(x509.DNSName))
    return hosts, frozenset(address.compressed for address in names.get_values_for_type(x509.IPAddress))


def _read(file: Path, longest: int) -> bytes:
    try:
        with file.open("rb") as stream:
            data = stream.read(longest + 1)
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror}") from None
    if len(data) > longest:
        raise ConfigurationError(f"{file} is longer than {longest} bytes")
    return data
