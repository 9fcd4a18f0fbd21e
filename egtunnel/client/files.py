"""A folder as a local service: HTTP spoken by twisted.web within this process, on one end of a socket pair."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import Any, BinaryIO

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.web import http, pages
from twisted.web.resource import IResource
from twisted.web.server import Request, Site
from twisted.web.static import DirectoryLister, File, getTypeAndEncoding, loadMimeTypes
from zope.interface import implementer

from egtunnel.errors import ConfigurationError, UpstreamRefused

__all__ = ["Files", "folder_of"]

MOST_RANGES = 16
"""Parts of a file in one answer. Who asks for more gets the whole: parts may overlap (RFC 9110 section 14.2)."""
WELL_KNOWN = ".well-known"
"""The one name with a dot in front that is served (RFC 8615)."""


def folder_of(text: str) -> Path:
    """The folder of ``file:/srv/www`` or ``file:///srv/www``, absolute. Raises ConfigurationError."""
    words = text.partition(":")[2]
    path = Path(words.removeprefix("//") if words.startswith("///") else words)
    if not words or (words.startswith("//") and not words.startswith("///")):
        raise ConfigurationError(f"target {text[:80]!r}: write it as file:/folder")
    if not path.is_dir():
        raise ConfigurationError(f"target {text[:80]!r}: there is no such folder")
    return path.resolve()


@implementer(IStreamClientEndpoint)
class Files:
    """Each connection is to a web server of the folder.

    :param listing: show what is in folders that have no index page.
    """

    def __init__(self, reactor: Any, folder: Path, listing: bool = False) -> None:
        self._reactor = reactor
        self._site = Site(Folder(str(folder), str(folder), listing))
        self._site.displayTracebacks = False
        self._site.noisy = False

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connected at once; fails with UpstreamRefused where there are no descriptors left."""
        try:
            near, far = socket.socketpair()
        except OSError as error:
            return fail(UpstreamRefused((error.strerror or "no socket").lower()))
        with near, far:
            for end in (near, far):
                end.setblocking(False)
            adopt = self._reactor.adoptStreamConnection
            adopt(far.fileno(), socket.AF_UNIX, self._site)
            transport = adopt(near.fileno(), socket.AF_UNIX, protocolFactory)
        connected: IProtocol = transport.protocol
        return succeed(connected)


class Folder(File):
    """A file or folder below ``root``, which no path and no symbolic link leaves.

    Names that begin with a dot are not there, but ``.well-known``. What is no ordinary file is not there either.
    """

    indexNames = ["index.html", "index.htm"]  # noqa: RUF012 - as twisted.web has them
    contentTypes = {  # noqa: RUF012
        **loadMimeTypes(),
        ".gz": "application/gzip",
        ".bz2": "application/x-bzip2",
        ".js": "text/javascript",
        ".md": "text/markdown",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
        ".webp": "image/webp",
        ".woff2": "font/woff2",
    }
    contentEncodings: dict[str, str] = {}  # noqa: RUF012
    """A ``.tar.gz`` is what a visitor wants to have, not the way in which it is sent."""

    def __init__(self, path: str, root: str, listing: bool, *_: Any, **__: Any) -> None:
        super().__init__(path, defaultType="application/octet-stream")
        self.root = root
        self.listing = listing
        not_found: Any = pages.notFound("Not found", "There is no such page.")
        self.childNotFound = not_found

    def createSimilarFile(self, path: str) -> Folder:
        """One of the same kind."""
        return type(self)(path, self.root, self.listing)

    def getChild(self, path: bytes, request: Request) -> IResource:
        """What is there under one segment of a path."""
        try:
            name = path.decode()
        except UnicodeDecodeError:
            return self.childNotFound
        if "\0" in name or not _shown(name):
            return self.childNotFound
        child: IResource = super().getChild(path, request)
        if isinstance(child, Folder) and not self._within(os.path.realpath(child.path)):
            return self.childNotFound
        return child

    def directoryListing(self) -> IResource:
        """The names in this folder, if they are to be shown."""
        if not self.listing:
            return self.childNotFound
        names = [name for name in os.listdir(self.path) if _shown(name) and self._has(name)]
        return DirectoryLister(self.path, names, self.contentTypes, self.contentEncodings, self.defaultType)

    def redirect(self, request: Request) -> bytes:
        """To the same folder with a slash behind; the visitor's scheme and host are not ours to say."""
        path, mark, query = request.uri.partition(b"?")
        request.setResponseCode(http.MOVED_PERMANENTLY)
        request.setHeader(b"location", b"/" + path.strip(b"/") + b"/" + mark + query)
        return b""

    def openForReading(self) -> BinaryIO:
        """The file, if it is an ordinary one below the root: this is asked of what was opened. Raises OSError."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            opened = f"/proc/self/fd/{descriptor}"
            real = os.readlink(opened) if os.path.exists(opened) else os.path.realpath(self.path)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode) or not self._within(real):
                raise PermissionError(13, "not below the folder")
        except OSError:
            os.close(descriptor)
            raise
        return os.fdopen(descriptor, "rb")

    def render(self, request: Request) -> int | bytes:
        """GET and HEAD; nothing else can be done to files here."""
        request.setHeader(b"server", b"egtunnel")
        if request.method in (b"GET", b"HEAD"):
            return self.render_GET(request)
        request.setResponseCode(http.NOT_ALLOWED)
        request.setHeader(b"allow", b"GET, HEAD")
        return b""

    def render_GET(self, request: Request) -> int | bytes:
        """The file, or the part of it that is asked for (RFC 9110 sections 13 and 14)."""
        request.setHeader(b"x-content-type-options", b"nosniff")
        self.restat(False)
        if not self.isfile():
            answer: int | bytes = super().render_GET(request)
            return answer
        kind, _ = getTypeAndEncoding(self.basename(), self.contentTypes, self.contentEncodings, self.defaultType)
        self.type, self.encoding = (f"{kind}; charset=utf-8" if kind.startswith("text/") else kind), None
        tag = self._tag()
        if not self._wanted(request, tag):
            request.setResponseCode(http.PRECONDITION_FAILED)
            return b""
        if request.setETag(tag) is http.CACHED:
            return b""
        return super().render_GET(request)  # type: ignore[no-any-return]

    render_HEAD = render_GET

    def _tag(self) -> bytes:
        found = os.stat(self.path)
        return f'"{found.st_mtime_ns:x}-{found.st_size:x}"'.encode("ascii")

    def _wanted(self, request: Request, tag: bytes) -> bool:
        """Whether If-Match lets it be; leaves out of the others what does not count (RFC 9110 section 13.2.2)."""
        headers = request.requestHeaders
        match = request.getHeader(b"if-match")
        if match is not None and match.strip() != b"*" and tag not in [each.strip() for each in match.split(b",")]:
            return False
        unchanged = None if match is not None else request.getHeader(b"if-unmodified-since")
        if unchanged is not None and self.getModificationTime() >= _moment(unchanged) + 1:
            return False
        if request.getHeader(b"if-none-match") is not None:
            headers.removeHeader(b"if-modified-since")
        if (request.getHeader(b"range") or b"").count(b",") >= MOST_RANGES:
            headers.removeHeader(b"range")
        condition = request.getHeader(b"if-range")
        if condition is not None and condition.strip() not in (tag, http.datetimeToString(self.getModificationTime())):
            headers.removeHeader(b"range")
        return True

    def _has(self, name: str) -> bool:
        return self._within(os.path.realpath(os.path.join(self.path, name)))

    def _within(self, real: str) -> bool:
        return real == self.root or real.startswith(self.root.rstrip("/") + "/")


def _moment(date: bytes) -> float:
    """Seconds since 1970; of what is no date, the end of time."""
    try:
        return float(http.stringToDatetime(date))
    except (ValueError, IndexError, KeyError):
        return float("inf")


def _shown(name: str) -> bool:
    return not name.startswith(".") or name == WELL_KNOWN
