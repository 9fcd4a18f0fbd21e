"""What a tunnel does to the headers of its requests and responses. Pure. (Being written.)"""

from __future__ import annotations

import attrs

__all__ = ["HeaderPolicy"]

Fields = list[tuple[bytes, bytes]]


@attrs.frozen
class HeaderPolicy:
    """Edits of one tunnel."""

    path_prefix: bytes = b""

    def edit_request(self, fields: Fields) -> Fields:
        """The fields of a request, edited."""
        return fields

    def edit_response(self, fields: Fields) -> Fields:
        """The fields of a response, edited."""
        return fields
