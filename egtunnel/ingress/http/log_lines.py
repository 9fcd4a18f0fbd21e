"""Lines of the access log: one request is one line, whatever bytes its peers sent. Pure."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import NamedTuple

from egtunnel.ingress.http.head import RequestHead
from egtunnel.ingress.http.headers import Fields

__all__ = ["FORMATS", "Entry", "Line", "combined", "json_line"]

GONE = 499
"""The status of a request whose visitor had gone before there was a response, as nginx writes it."""

_ODD = re.compile(rb"[^ !#-\[\]-~]")
_CREDENTIALS = re.compile(rb"^([A-Za-z][A-Za-z0-9+.-]*:)?//[^/]*@")
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


class Entry(NamedTuple):
    """What there is to say of one request.

    ``host``: the visitor's address. ``head``: None for what could not be read. ``protocol``: ``HTTP/1.1`` or
    ``HTTP/2.0``. ``status``: 0 if there was none. ``sent``: bytes of the body, or of what the connection became.
    ``seconds``: from the head to the end. ``complete``: the response was whole. ``error``: the relay's own word for it.
    """

    host: str
    head: RequestHead | None
    protocol: str
    scheme: str
    tunnel: str
    status: int
    sent: int
    seconds: float
    complete: bool
    error: str


Line = Callable[[Entry, float, int], bytes]
"""Makes a line of an entry, the time at which the request began (seconds since 1970), and the most bytes of a field."""


class _Said(NamedTuple):
    """What the visitor's head says, without queries."""

    method: bytes
    path: bytes
    protocol: str
    host: str
    referer: bytes
    agent: bytes


_SHARE = re.compile(rb"/share/[^/?#]*")
_HIDDEN = b"/share/..."
"""Who reads a link of a share in a log could use it."""
_NOTHING_SAID = _Said(b"", b"", "", "", b"", b"")


def _said(entry: Entry, most: int) -> _Said:
    head = entry.head
    if head is None:
        return _NOTHING_SAID
    referer, agent = _two(head.raw)
    return _Said(
        head.method,
        _cut(_SHARE.sub(_HIDDEN, head.target.partition(b"?")[0]), most),
        entry.protocol if head.modern else "HTTP/1.0",
        head.host.name,
        _cut(_SHARE.sub(_HIDDEN, _without_secrets(referer)), most) if referer else b"",
        _cut(agent, most),
    )


def _two(raw: Fields) -> tuple[bytes, bytes]:
    """Referer and User-Agent."""
    referer = agent = b""
    for name, value in raw:
        size = len(name)
        if size == 7:
            if name.lower() == b"referer":
                referer = value
        elif size == 10 and name.lower() == b"user-agent":
            agent = value
    return referer, agent


def _without_secrets(url: bytes) -> bytes:
    """A URL without query, fragment, user and password."""
    plain = url.partition(b"?")[0].partition(b"#")[0]
    return _CREDENTIALS.sub(rb"\1//", plain) if b"@" in plain else plain


def _cut(text: bytes, most: int) -> bytes:
    return text if len(text) <= most else text[:most] + b"..."


def combined(entry: Entry, began: float, most: int) -> bytes:
    """Apache's combined format; after it: host, tunnel, seconds, scheme, how it ended, and the relay's own error."""
    said = _said(entry, most)
    asked = f"{_text(said.method)} {_text(said.path)} {said.protocol}" if said.method else "-"
    line = (
        f'{entry.host or "-"} - - [{_apache_time(int(began))}] "{asked}" {entry.status or GONE} {entry.sent} '
        f'"{_text(said.referer) or "-"}" "{_text(said.agent) or "-"}" '
        f'"{said.host or "-"}" "{entry.tunnel or "-"}" {entry.seconds:.3f} {entry.scheme} '
        f"{'complete' if entry.complete else 'cut'} {entry.error or '-'}\n"
    )
    return line.encode("ascii", "backslashreplace")


def _text(value: bytes) -> str:
    """Text within quotes: all that is not printable ASCII, quotes and backslashes as ``\\xhh``."""
    return (value if _ODD.search(value) is None else _ODD.sub(_escaped, value)).decode("ascii")


def _escaped(match: re.Match[bytes]) -> bytes:
    return b"\\x%02x" % match[0][0]


def json_line(entry: Entry, began: float, most: int) -> bytes:
    """An object; a byte beyond ASCII is shown as the character of that number."""
    said = _said(entry, most)
    milliseconds = int(began * 1000)
    quoted = encode_basestring_ascii  # an encoder of whole objects takes half as long again
    line = (
        f'{{"time":"{_iso_time(milliseconds // 1000)}.{milliseconds % 1000:03}Z","client":{quoted(entry.host)},'
        f'"scheme":"{entry.scheme}","protocol":"{said.protocol}","method":{quoted(said.method.decode("latin-1"))},'
        f'"host":"{said.host}","path":{quoted(said.path.decode("latin-1"))},"status":{entry.status or GONE},'
        f'"bytes":{entry.sent},"seconds":{entry.seconds:.3f},"tunnel":{quoted(entry.tunnel)},'
        f'"referer":{quoted(said.referer.decode("latin-1"))},"agent":{quoted(said.agent.decode("latin-1"))},'
        f'"complete":{"true" if entry.complete else "false"},"error":{quoted(entry.error)}}}\n'
    )
    return line.encode("ascii")


@lru_cache(maxsize=64)
def _apache_time(seconds: int) -> str:
    when = time.gmtime(seconds)  # strftime would write the month as the locale says
    month = _MONTHS[when.tm_mon - 1]
    return f"{when.tm_mday:02}/{month}/{when.tm_year}:{when.tm_hour:02}:{when.tm_min:02}:{when.tm_sec:02} +0000"


@lru_cache(maxsize=64)
def _iso_time(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


FORMATS: dict[str, Line] = {"combined": combined, "json": json_line}
"""By their names in ``--access-log-format``."""
