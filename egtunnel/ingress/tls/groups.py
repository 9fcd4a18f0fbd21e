"""The groups in which keys are agreed on (RFC 8446 section 4.2.7): those of Mozilla's intermediate profile alone."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from OpenSSL import _util as binding

from egtunnel.errors import ConfigurationError

__all__ = ["GROUPS", "set_groups"]

GROUPS = (b"X25519MLKEM768", b"X25519", b"prime256v1", b"secp384r1")
"""Best first. The first is for browsers that fear recordings read by tomorrow's computers; old OpenSSL has it not."""


def set_groups(context: SSL.Context) -> None:
    """Agree on keys in these groups and no others. Raises ConfigurationError if the OpenSSL at hand knows none of them.

    pyOpenSSL has no call for it, so this one reaches for the library below, as Twisted does for its curves.
    """
    library: Any = binding.lib
    raw = context._context
    for groups in (GROUPS, GROUPS[1:]):
        if library.SSL_CTX_set1_curves_list(raw, b":".join(groups)) == 1:
            return
        library.ERR_clear_error()
    raise ConfigurationError("this OpenSSL has none of the groups X25519, P-256 and P-384; install a newer one")
