"""What an address is counted under, where one visitor may have no more than a share."""

from __future__ import annotations

from egtunnel.interfaces import subscriber

__all__ = ["subscriber"]
