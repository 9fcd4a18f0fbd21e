"""Certificates for tests: an authority and what it signs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL.SSL import NO_OVERLAPPING_PROTOCOLS
from twisted.internet.ssl import Certificate, CertificateOptions, PrivateCertificate

LIFE = timedelta(days=1)


class Authority:
    """An authority whose certificate lies in ``file``; ``server`` makes a server's TLS for host names or addresses."""

    def __init__(self, folder: Path) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.file = folder / "authority.pem"
        self.file.write_bytes(self._certificate(self.name, self.key, [], authority=True))

    def server(self, *hosts: str, days: float = 1, client_ca: Path | None = None) -> CertificateOptions:
        """TLS of a server that may call itself these hosts, for so many ``days`` from now.

        With ``client_ca`` it insists on a certificate of that authority.
        """
        private = PrivateCertificate.loadPEM(b"".join(self.pair(*hosts, days=days)))
        believed = [Certificate.loadPEM(client_ca.read_bytes())] if client_ca is not None else []
        options: CertificateOptions = private.options(*believed)
        # Twisted's own choice without protocols of ours would end the handshake.
        options.getContext().set_alpn_select_callback(_no_protocol)
        return options

    def pair(self, *hosts: str, days: float = 1) -> tuple[bytes, bytes]:
        """A certificate for these hosts and its key, as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [_general_name(host) for host in hosts]
        pem = self._certificate(x509.Name([]), key, names, ends=timedelta(days=days))
        plain = serialization.NoEncryption()
        return pem, key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)

    def _certificate(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        names: list[x509.GeneralName],
        authority: bool = False,
        ends: timedelta = LIFE,
    ) -> bytes:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * LIFE)
            .not_valid_after(now + ends)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _no_protocol(*_: object) -> bytes:
    nothing: Any = NO_OVERLAPPING_PROTOCOLS
    return nothing  # type: ignore[no-any-return]


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
