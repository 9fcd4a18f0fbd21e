"""The files of ``--ca``, ``--cert`` and ``--key``: what is read from them, and what is said of bad ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from egtunnel.client.pem_files import authorities, doubts, own_certificate
from egtunnel.errors import ConfigurationError
from tests.client.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def kept(folder: Path, name: str, *parts: bytes, mode: int = 0o600) -> str:
    file = folder / name
    file.write_bytes(b"".join(parts))
    file.chmod(mode)
    return str(file)


def test_a_certificate_and_its_key_in_two_files(authority: Authority, tmp_path: Path) -> None:
    """--cert and --key; those between the certificate and the authority go along."""
    certificate, key = authority.pair("client")
    cert_file = kept(tmp_path, "cert.pem", certificate, authority.file.read_bytes())
    found = own_certificate(cert_file, kept(tmp_path, "key.pem", key))
    assert found.key.public_key() == found.certificate.public_key()
    assert [link.subject for link in found.chain] == [authority.name]


@pytest.mark.parametrize("key_first", [False, True])
def test_a_certificate_and_its_key_in_one_file(authority: Authority, tmp_path: Path, key_first: bool) -> None:
    """--cert alone, in either order, whatever text stands between."""
    pair = authority.pair("client")
    parts = reversed(pair) if key_first else pair
    found = own_certificate(kept(tmp_path, "both.pem", b"a note\n", b"\nanother\n".join(parts)))
    assert found.key.public_key() == found.certificate.public_key()
    assert found.chain == []


def test_what_is_wrong_with_files_is_said_with_the_option(authority: Authority, tmp_path: Path) -> None:
    """Missing, not PEM, without a key, with the key of another certificate, with a passphrase."""
    certificate, key = authority.pair("client")
    _, other = authority.pair("client")
    locked = load_pem_private_key(key, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    cert_file = kept(tmp_path, "cert.pem", certificate)
    text = kept(tmp_path, "text", b"not PEM")
    torn = kept(tmp_path, "torn", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    torn_key = kept(tmp_path, "torn-key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    cases = [
        (("/nowhere/cert.pem", ""), "--cert /nowhere/cert.pem: it cannot be read: No such file"),
        ((cert_file, "/nowhere/key.pem"), "--key /nowhere/key.pem: it cannot be read: No such file"),
        ((text, ""), f"--cert {text}: it holds no PEM certificate"),
        ((torn, ""), f"--cert {torn}: a certificate in it cannot be read"),
        ((cert_file, ""), f"--cert {cert_file}: it holds no private key; name the key's file with --key FILE"),
        ((cert_file, text), f"--key {text}: it holds no PEM private key"),
        ((cert_file, torn_key), f"--key {torn_key}: the private key cannot be read"),
        ((cert_file, kept(tmp_path, "other", other)), "the key does not belong to the certificate in"),
        ((cert_file, kept(tmp_path, "locked", locked)), "the key has a passphrase"),
    ]
    for files, said in cases:
        with pytest.raises(ConfigurationError) as caught:
            own_certificate(*files)
        assert said in caught.value.text
    with pytest.raises(ConfigurationError, match=r"--ca /nowhere/ca\.pem: it cannot be read"):
        authorities("/nowhere/ca.pem", "--ca")


@pytest.mark.parametrize(("mode", "doubted"), [(0o600, False), (0o640, False), (0o644, True), (0o604, True)])
def test_a_key_that_everybody_can_read_is_doubted(
    authority: Authority, tmp_path: Path, mode: int, doubted: bool
) -> None:
    """The key's own file counts; its group may read it."""
    certificate, key = authority.pair("client")
    cert_file = kept(tmp_path, "cert.pem", certificate, mode=0o644)
    key_file = kept(tmp_path, "key.pem", key, mode=mode)
    said = doubts(cert_file, key_file)
    assert len(said) == doubted
    assert all(f"chmod o-r {key_file}" in line for line in said)
    both = kept(tmp_path, "both.pem", certificate, key, mode=mode)
    assert len(doubts(both, "")) == doubted


def test_a_certificate_out_of_date_is_doubted(authority: Authority, tmp_path: Path) -> None:
    """It is for the relay to refuse it; the person hears beforehand."""
    both = kept(tmp_path, "both.pem", *authority.pair("client"))
    assert doubts(both, "", datetime.now(UTC)) == []
    (line,) = doubts(both, "", datetime.now(UTC) + timedelta(days=2))
    assert "expired on" in line
