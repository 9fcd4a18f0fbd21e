"""Which hosts a certificate is believed for."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509

from egtunnel.client.certificate_names import is_for, names_of
from tests.client.certificates import Authority


@pytest.mark.parametrize(
    ("names", "host", "good"),
    [
        (["relay.example"], "relay.example", True),
        (["relay.example"], "app.relay.example", False),
        (["*.relay.example"], "app.relay.example", True),
        (["*.relay.example"], "relay.example", False),
        (["*.relay.example"], "a.b.relay.example", False),
        (["xn--rlay-bpa.example"], "xn--rlay-bpa.example", True),
        (["*.localhost", "localhost"], "localhost", True),
        (["*.localhost", "localhost"], "app.localhost", False),
        (["*"], "localhost", False),
        (["192.0.2.1"], "192.0.2.1", True),
        (["192.0.2.1"], "192.0.2.2", False),
        (["2001:db8::1"], "2001:db8:0::1", True),
        (["a.example", "192.0.2.1"], "a.example", True),
        ([], "relay.example", False),
    ],
)
def test_names_and_addresses(tmp_path: Path, names: list[str], host: str, good: bool) -> None:
    """A wildcard stands for one whole label, not in a top-level domain; one that says nothing spoils no other."""
    certificate = x509.load_pem_x509_certificate(Authority(tmp_path).pair(*names)[0])
    assert is_for(host, certificate) is good
    assert names_of(certificate) == names
