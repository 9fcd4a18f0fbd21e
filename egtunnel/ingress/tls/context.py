"""How this relay speaks TLS: Mozilla's intermediate profile, version 5.7."""

from __future__ import annotations

import secrets
from functools import partial
from pathlib import Path
from typing import Any

from cryptography import x509
from OpenSSL import SSL

from egtunnel.errors import ConfigurationError
from egtunnel.ingress.tls.groups import set_groups
from egtunnel.ingress.tls.key_pair import KeyPair
from egtunnel.interfaces import LINK_PROTOCOL

__all__ = ["PROTOCOLS", "check_authority", "make_context"]

PROTOCOLS = (b"h2", b"http/1.1")
"""What ALPN may choose, best first (RFC 7301), where there are no links."""
CIPHERS = b":".join(
    (
        b"ECDHE-ECDSA-AES128-GCM-SHA256",
        b"ECDHE-RSA-AES128-GCM-SHA256",
        b"ECDHE-ECDSA-AES256-GCM-SHA384",
        b"ECDHE-RSA-AES256-GCM-SHA384",
        b"ECDHE-ECDSA-CHACHA20-POLY1305",
        b"ECDHE-RSA-CHACHA20-POLY1305",
    )
)
"""For TLS 1.2: those of the profile with forward secrecy over elliptic curves."""
DEPTH = 8
"""The longest chain of a client's certificate."""


class NoProtocol(SSL.Error):
    """Nothing that the client offers by ALPN is spoken here; the client gets ``no_application_protocol``.

    Its argument is a list of errors like those of OpenSSL's own.
    """


def make_context(pair: KeyPair, authority: Path | None = None, links: bool = False) -> SSL.Context:
    """A server's context for one certificate; with an ``authority`` clients are asked for a certificate of its own.

    ``links``: ALPN may choose a bare link.

    It has keys for session tickets of its own: a session is resumed only with the same certificate and the same
    question to the client.
    """
    openssl: Any = SSL  # the stubs are older than the library
    context: Any = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(openssl.OP_NO_COMPRESSION | openssl.OP_NO_RENEGOTIATION)
    context.set_cipher_list(CIPHERS)
    set_groups(context)
    context.set_session_id(secrets.token_bytes(16))
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_alpn_select_callback(partial(_choose, (LINK_PROTOCOL, *PROTOCOLS) if links else PROTOCOLS))
    context.use_certificate(pair.chain[0])
    for certificate in pair.chain[1:]:
        context.add_extra_chain_cert(certificate)
    context.use_privatekey(pair.key)
    if authority is not None:
        context.load_verify_locations(str(authority))
        context.load_client_ca(str(authority).encode())
        context.set_verify(SSL.VERIFY_PEER, _as_openssl_says)
        context.set_verify_depth(DEPTH)
    made: SSL.Context = context
    return made


def check_authority(file: Path) -> None:
    """Raises ConfigurationError unless this is a PEM file with certificates."""
    try:
        certificates = x509.load_pem_x509_certificates(file.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigurationError(f"{file} holds no certificate: {error}") from None
    if not certificates:
        raise ConfigurationError(f"{file} holds no certificate")


def _as_openssl_says(connection: SSL.Connection, certificate: Any, error: int, depth: int, ok: int) -> bool:
    return bool(ok)


def _choose(spoken: tuple[bytes, ...], connection: SSL.Connection, offered: list[bytes]) -> bytes:
    for protocol in spoken:
        if protocol in offered:
            return protocol
    raise NoProtocol([("egtunnel", "", "no protocol in common")])
