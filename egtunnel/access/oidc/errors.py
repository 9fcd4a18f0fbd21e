"""What goes wrong with a login."""

from __future__ import annotations

from egtunnel.errors import EgtunnelError

__all__ = ["LoginError"]


class LoginError(EgtunnelError):
    """A login that is not confirmed. The text is for the visitor."""

    word = "login-refused"
