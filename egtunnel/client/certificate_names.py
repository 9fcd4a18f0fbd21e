"""Which hosts a certificate is for (RFC 9525), by service-identity. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

from cryptography import x509
from service_identity import CertificateError, VerificationError
from service_identity.hazmat import DNS_ID, DNSPattern, IPAddress_ID, IPAddressPattern, verify_service_identity

__all__ = ["is_address", "is_for", "names_of"]


def is_address(host: str) -> bool:
    """Whether a host is an IP address, not a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def names_of(certificate: x509.Certificate) -> list[str]:
    """DNS names and addresses in a certificate, as they stand there."""
    found = _alternative_names(certificate)
    if found is None:
        return []
    addresses = found.get_values_for_type(x509.IPAddress)
    return [*found.get_values_for_type(x509.DNSName), *(str(address) for address in addresses)]


def is_for(host: str, certificate: x509.Certificate) -> bool:
    """Whether the certificate is good for ``host``, an ASCII name or an address.

    A name in it that cannot be matched by the rules, such as ``*.localhost``, spoils it for itself alone.
    """
    found = _alternative_names(certificate)
    if found is None:
        return False
    shown = found.get_values_for_type(x509.IPAddress)
    addresses = [IPAddressPattern(each) for each in shown if isinstance(each, (IPv4Address, IPv6Address))]
    names = [pattern for name in found.get_values_for_type(x509.DNSName) for pattern in _patterns(name)]
    try:
        wanted = IPAddress_ID(host) if is_address(host) else DNS_ID(host)
        verify_service_identity([*names, *addresses], [wanted], [])
    except (VerificationError, CertificateError, ValueError):
        return False
    return True


def _patterns(name: str) -> list[DNSPattern]:
    try:
        return [DNSPattern.from_bytes(name.encode())]
    except CertificateError:
        return []


def _alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):  # ValueError: extensions that cannot be read
        return None
