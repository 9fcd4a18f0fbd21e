"""Every count, size and wait of TLS that a stranger could otherwise choose."""

from __future__ import annotations

import attrs

__all__ = ["TLSLimits"]


@attrs.frozen
class TLSLimits:
    """``hello``: bytes of a ClientHello. ``handshake``: seconds until a handshake must be over.

    ``handshakes``: unfinished ones at once; ``rate``: new ones a second. More are closed without a word.
    ``poll``: seconds between two looks at the certificates' files, ``file``: bytes of one of them, ``files``: how many
    of a folder are read. ``tickets``: seconds after which the keys of session tickets are replaced.
    """

    hello: int = 16_384
    handshake: float = 10.0
    handshakes: int = 512
    rate: int = 1_000
    poll: float = 5.0
    file: int = 262_144
    files: int = 10_000
    tickets: float = 43_200.0
