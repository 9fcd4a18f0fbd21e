"""In which groups a relay agrees on keys."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from OpenSSL import SSL, _util

from egtunnel.ingress.tls.context import make_context
from egtunnel.ingress.tls.key_pair import read_key_pair
from tests.client.certificates import Authority
from tests.ingress.tls.papers import write_pair


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> SSL.Context:
    """A relay's context."""
    folder: Path = tmp_path_factory.mktemp("groups")
    write_pair(Authority(folder), folder / "own.pem", folder / "own.pem", "example.com")
    return make_context(read_key_pair(folder / "own.pem", folder / "own.pem", 65_536))


def agreed(server: SSL.Context, groups: bytes, version: int) -> str:
    """The group that a client who knows these alone comes to in a handshake in memory; empty: the handshake fails."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(version)
    if _util.lib.SSL_CTX_set1_curves_list(context._context, groups) != 1:
        pytest.skip(f"this OpenSSL has no {groups.decode()}")
    near, far = SSL.Connection(context, None), SSL.Connection(server, None)
    near.set_connect_state()
    far.set_accept_state()
    for _ in range(4):
        for one, other in ((near, far), (far, near)):
            try:
                one.do_handshake()
            except SSL.WantReadError:
                pass
            except SSL.Error:
                return ""
            with contextlib.suppress(SSL.WantReadError):
                other.bio_write(one.bio_read(65_536))
    return near.get_group_name() or ""


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
@pytest.mark.parametrize("group", [b"X25519", b"prime256v1", b"secp384r1"])
def test_the_groups_of_the_profile_are_taken(server: SSL.Context, group: bytes, version: int) -> None:
    """X25519, P-256 and P-384, in both versions of TLS; P-256 stands behind for the key of the certificate."""
    names = {group.decode().lower(), {b"prime256v1": "secp256r1"}.get(group, "")}
    assert agreed(server, group + b":prime256v1", version).lower() in names


@pytest.mark.parametrize("group", [b"X448", b"secp521r1", b"ffdhe2048"])
def test_no_other_group_is_taken(server: SSL.Context, group: bytes) -> None:
    """The profile names them not: alone they come to nothing, and beside P-256 they are passed over."""
    for version in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
        assert agreed(server, group, version) == ""
        assert agreed(server, group + b":prime256v1", version) == "secp256r1"


def test_the_group_against_tomorrows_computers_is_taken(server: SSL.Context) -> None:
    """X25519MLKEM768, in TLS 1.3 alone."""
    assert agreed(server, b"X25519MLKEM768", SSL.TLS1_3_VERSION) == "X25519MLKEM768"
