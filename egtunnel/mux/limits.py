"""What a peer may ask of a mux, as named limits."""

from __future__ import annotations

import attrs

from egtunnel.mux.flight import ACK_EVERY
from egtunnel.mux.frames import MAX_PAYLOAD

__all__ = ["MuxLimits"]


@attrs.frozen
class MuxLimits:
    """What a peer may ask of a mux.

    ``channels``: open at once, both sides' together. ``unaccepted``: opened by us and not yet accepted.
    ``control``: bytes of frames other than DATA that wait to be sent. ``quantum``: bytes of DATA one channel sends in
    its turn while others wait. ``flight``: bytes under way on a short path (``Flight``); with fewer than ``ACK_EVERY``
    the peer would never acknowledge any. ``replay``: bytes under way on any path, which are kept until the peer has
    acknowledged them; twice the longest frame at least. Raises ValueError for limits that cannot work.
    """

    channels: int = attrs.field(default=4096, validator=attrs.validators.ge(0))
    unaccepted: int = attrs.field(default=4096, validator=attrs.validators.ge(0))
    control: int = attrs.field(default=1_048_576, validator=attrs.validators.ge(0))
    quantum: int = attrs.field(
        default=32_768, validator=attrs.validators.and_(attrs.validators.ge(1), attrs.validators.le(MAX_PAYLOAD))
    )
    flight: int = attrs.field(default=73_728, validator=attrs.validators.ge(ACK_EVERY))
    replay: int = attrs.field(default=8_388_608, validator=attrs.validators.ge(2 * MAX_PAYLOAD))
