"""No tunnel at all: the ceiling."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from bench.contenders.base import Ground, Running
from bench.site import Site
from bench.version import first_line

__all__ = ["Direct"]


class Direct:
    """Visitors talk to nginx itself."""

    name: ClassVar[str] = "direct"
    encrypts: ClassVar[bool] = False
    programs: ClassVar[tuple[str, ...]] = ("nginx",)

    def version(self) -> str:
        return first_line("nginx", "-v")

    @contextmanager
    def run(self, ground: Ground) -> Iterator[Running]:
        yield Running(Site(ground.upstream_port, f"127.0.0.1:{ground.upstream_port}"))
