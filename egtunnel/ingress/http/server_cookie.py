"""The cookie that keeps a visitor at one of several servers: taken out of requests, put into responses. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from egtunnel.ingress.http.headers import Fields
from egtunnel.interfaces import IServer

__all__ = ["NAME", "ServerCookie", "take_cookie"]

NAME = b"egtunnel-server"
_ID = re.compile(rb"[0-9a-f]{16}")


class ServerCookie(NamedTuple):
    """What one visitor showed, ``known``, and how it gets another: ``secure`` over HTTPS, for paths below ``path``."""

    known: str
    secure: bool
    path: bytes

    def field(self, server: IServer | None) -> Fields:
        """What a response has to say: nothing where the visitor is with the server it knows."""
        if server is None or server.id == self.known:
            return []
        secure = b"; Secure" if self.secure else b""
        value = b"%b=%b; Path=%b; HttpOnly; SameSite=Lax%b" % (NAME, server.id.encode(), self.path or b"/", secure)
        return [(b"Set-Cookie", value)]


def take_cookie(fields: Fields) -> tuple[str, Fields]:
    """The first value that could be ours, empty: there is none; and the fields without any cookie of the name."""
    known, kept = "", []
    for name, value in fields:
        if name.lower() == b"cookie" and NAME in value:
            others = []
            for pair in value.split(b";"):
                key, _, text = pair.strip(b" \t").partition(b"=")
                if key.strip(b" \t") != NAME:
                    others.append(pair.strip(b" \t"))
                elif not known and _ID.fullmatch(text.strip(b' \t"')):
                    known = text.strip(b' \t"').decode("ascii")
            if not any(others):
                continue
            value = b"; ".join(others)  # noqa: PLW2901
        kept.append((name, value))
    return known, kept
