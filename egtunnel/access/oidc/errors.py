"""What goes wrong with a login."""

from __future__ import annotations

from egtunnel.errors import EgtunnelError

__all__ = ["FetchError", "LoginError"]


class FetchError(EgtunnelError):
    """A provider is away, or answers what cannot be used. The text is for who runs the relay."""

    word = "login-unavailable"


class LoginError(EgtunnelError):
    """A login that is not confirmed. The text is for the visitor."""

    word = "login-refused"
