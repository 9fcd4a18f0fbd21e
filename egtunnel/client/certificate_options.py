"""The option of a tunnel whose visitors show a certificate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from egtunnel.configuration import folder, parameter
from egtunnel.errors import ConfigurationError

__all__ = ["CERTIFICATE_PARAMETERS", "read_visitor_ca"]

FILE = 65_536
LONGEST, MOST = 24_576, 10

CERTIFICATE_PARAMETERS: list[list[Any]] = [
    parameter("visitor-ca", None, "only visitors with a certificate of the authority in this PEM file", folder),
]


def read_visitor_ca(values: Mapping[str, Any]) -> str:
    """The authority as PEM, and nothing else of the file; empty: none. Raises ConfigurationError."""
    file = values["visitor-ca"]
    if file is None:
        return ""
    try:
        with file.open("rb") as content:
            found = x509.load_pem_x509_certificates(content.read(FILE))
    except OSError as error:
        raise ConfigurationError(f"--visitor-ca: cannot read {file}: {error.strerror}") from None
    except ValueError:
        found = []
    text = "".join(certificate.public_bytes(Encoding.PEM).decode("ascii") for certificate in found)
    if not 1 <= len(found) <= MOST or len(text) > LONGEST:
        raise ConfigurationError(f"--visitor-ca: in {file} there must be 1 to {MOST} certificates as PEM")
    return text
