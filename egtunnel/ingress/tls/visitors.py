"""Contexts of hosts whose visitors have to show a certificate."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from cryptography import x509
from OpenSSL import SSL, crypto

from egtunnel.ingress.tls.context import DEPTH, make_context
from egtunnel.ingress.tls.key_pair import KeyPair

__all__ = ["VisitorContexts"]

MOST = 256


class VisitorContexts:
    """One for each pair of the relay's certificate and the authority of visitors; the latest are remembered."""

    def __init__(self) -> None:
        self._contexts: OrderedDict[tuple[int, str], tuple[float, KeyPair, SSL.Context]] = OrderedDict()

    def get(self, pair: KeyPair, authority: str, now: float, longest: float) -> SSL.Context:
        """A context not older than ``longest`` seconds; the handshake ends without a certificate of ``authority``.

        :param authority: certificates, as PEM.
        """
        key = (id(pair), authority)
        since, known, context = self._contexts.pop(key, (now, None, None))
        if context is None or known is not pair or now - since > longest:
            since, context = now, _asking(pair, authority)
        self._contexts[key] = since, pair, context
        if len(self._contexts) > MOST:
            self._contexts.popitem(last=False)
        return context


def _asking(pair: KeyPair, authority: str) -> SSL.Context:
    context: Any = make_context(pair)
    store = context.get_cert_store()
    for certificate in x509.load_pem_x509_certificates(authority.encode("ascii")):
        store.add_cert(crypto.X509.from_cryptography(certificate))
        context.add_client_ca(crypto.X509.from_cryptography(certificate))
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *said: bool(said[-1]))
    context.set_verify_depth(DEPTH)
    made: SSL.Context = context
    return made
