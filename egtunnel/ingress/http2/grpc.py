"""What tells a gRPC call from other requests: it may last as long as its caller wants. Pure."""

from __future__ import annotations

from egtunnel.ingress.http.headers import Fields

__all__ = ["is_grpc"]


def is_grpc(fields: Fields) -> bool:
    """Whether these headers of a request begin a gRPC call: its deadline is the caller's business, not the relay's."""
    for name, value in fields:
        if len(name) == 12 and name.lower() == b"content-type":
            kind = value.strip(b" \t").lower().partition(b";")[0].rstrip(b" \t")
            return kind == b"application/grpc" or kind.startswith(b"application/grpc+")
    return False
