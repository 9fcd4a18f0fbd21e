"""Certificates and keys out of files: good ones with their names, bad ones with a sentence that names the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from egtunnel.errors import ConfigurationError
from egtunnel.ingress.tls.folder import certificate_files
from egtunnel.ingress.tls.key_pair import KeyPair, read_key_pair
from tests.client.certificates import Authority
from tests.ingress.tls.papers import write_pair

LONGEST = 100_000


def pair(folder: Path, *hosts: str) -> KeyPair:
    """One that was read from two files."""
    write_pair(Authority(folder), folder / "c.pem", folder / "k.pem", *hosts)
    return read_key_pair(folder / "c.pem", folder / "k.pem", LONGEST)


def test_the_names_are_those_of_the_subject_alternative_name(tmp_path: Path) -> None:
    """Hosts in lower case, wildcards as they are, addresses apart."""
    found = pair(tmp_path, "Example.com", "*.example.com", "192.0.2.1", "2001:db8::1")
    assert found.names == {"example.com", "*.example.com"}
    assert found.addresses == {"192.0.2.1", "2001:db8::1"}
    assert found.warning == ""


@pytest.mark.parametrize(
    ("host", "good"),
    [
        ("example.com", True),
        ("EXAMPLE.com.", True),
        ("a.example.com", True),
        ("a.b.example.com", False),
        (".example.com", False),
        ("*.example.com", True),
        ("example.org", False),
        ("com", False),
        ("", False),
        ("192.0.2.1", True),
        ("[2001:DB8:0::1]", True),
        ("192.0.2.2", False),
    ],
)
def test_a_wildcard_is_one_label(tmp_path: Path, host: str, good: bool) -> None:
    """RFC 6125 section 6.4.3."""
    assert pair(tmp_path, "example.com", "*.example.com", "192.0.2.1", "2001:db8::1").covers(host) is good


def test_chain_and_key_may_stand_in_one_file(tmp_path: Path) -> None:
    """As haproxy likes it, and ``certbot-deploy`` writes it."""
    write_pair(Authority(tmp_path), tmp_path / "both.pem", tmp_path / "both.pem", "example.com")
    assert read_key_pair(tmp_path / "both.pem", tmp_path / "both.pem", LONGEST).covers("example.com")


def test_a_key_that_everybody_can_read_is_used_with_a_warning(tmp_path: Path) -> None:
    """Its group may read it."""
    pair(tmp_path, "example.com")
    (tmp_path / "k.pem").chmod(0o640)
    assert read_key_pair(tmp_path / "c.pem", tmp_path / "k.pem", LONGEST).warning == ""
    (tmp_path / "k.pem").chmod(0o604)
    assert "chmod o-r" in read_key_pair(tmp_path / "c.pem", tmp_path / "k.pem", LONGEST).warning


def _encrypted(folder: Path) -> None:
    key = load_pem_private_key((folder / "k.pem").read_bytes(), None)
    (folder / "k.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word"))
    )


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda folder: (folder / "c.pem").unlink(), "cannot read .*c.pem: No such file"),
        (lambda folder: (folder / "k.pem").unlink(), "cannot read .*k.pem: No such file"),
        (lambda folder: (folder / "c.pem").write_bytes(b"nothing"), "c.pem holds no certificate"),
        (lambda folder: (folder / "c.pem").write_bytes(b""), "c.pem holds no certificate"),
        (lambda folder: (folder / "k.pem").write_bytes(b"nothing"), "k.pem holds no private key"),
        (
            lambda folder: (folder / "k.pem").write_bytes(b"-----BEGIN PRIVATE KEY-----\nnot base64\n"),
            "k.pem cannot be read",
        ),
        (_encrypted, "k.pem is encrypted"),
        (lambda folder: (folder / "c.pem").write_bytes(b"x" * (LONGEST + 1)), "c.pem is longer than"),
        (
            lambda folder: write_pair(Authority(folder), folder / "other.pem", folder / "k.pem", "example.com"),
            "k.pem does not belong to the first certificate of .*c.pem",
        ),
        (
            lambda folder: write_pair(Authority(folder), folder / "c.pem", folder / "k.pem"),
            "c.pem names no host",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_name(
    tmp_path: Path, spoil: Callable[[Path], object], complaint: str
) -> None:
    """One sentence, and never the key."""
    pair(tmp_path, "example.com")
    spoil(tmp_path)
    with pytest.raises(ConfigurationError, match=complaint):
        read_key_pair(tmp_path / "c.pem", tmp_path / "k.pem", LONGEST)


def test_a_folder_may_be_certbots_or_flat(tmp_path: Path) -> None:
    """Links are followed, notes and what is being written are passed over."""
    live = tmp_path / "live"
    for name in ("README", ".hidden.pem.new", "a.crt", "a.key", "b.pem", "c.pem", "c.key", "d.key"):
        (tmp_path / name).touch()
    (live / "example.com").mkdir(parents=True)
    (live / "example.com" / "fullchain.pem").touch()
    (tmp_path / "example.com").symlink_to(live / "example.com")
    (tmp_path / "empty").mkdir()
    found = [(certificate.name, key.name) for certificate, key in certificate_files(tmp_path, 10)]
    assert found == [("a.crt", "a.key"), ("b.pem", "b.pem"), ("c.pem", "c.key"), ("fullchain.pem", "privkey.pem")]


def test_a_folder_with_too_many_or_none_at_all_is_refused(tmp_path: Path) -> None:
    """With its name."""
    for number in range(3):
        (tmp_path / f"{number}.pem").touch()
    with pytest.raises(ConfigurationError, match="holds 3 certificates; 2 are read"):
        certificate_files(tmp_path, 2)
    with pytest.raises(ConfigurationError, match="cannot read the folder"):
        certificate_files(tmp_path / "none", 2)
