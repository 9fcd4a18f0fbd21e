"""The API's web server, behind a UNIX socket in the state folder: the ingress reaches it as it reaches a tunnel."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.web.server import Request, Site

from egtunnel.admin.authority import Authority
from egtunnel.admin.desk import Desk
from egtunnel.admin.limits import ApiLimits
from egtunnel.admin.problems import Problem, problem_of

__all__ = ["SOCKET", "ApiServer", "socket_path"]

SOCKET = "api.sock"
LONGEST = 100
"""Bytes of a path that every kernel takes as the name of a socket (unix(7): 108 with what ends it)."""


def socket_path(folder: Path) -> str:
    """Where the socket is; a folder with a long name is reached by a short one."""
    path = str(folder / SOCKET)
    if len(os.fsencode(path)) <= LONGEST:
        return path
    return f"/proc/self/fd/{os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)}/{SOCKET}"


class ApiRequest(Request):
    """Keeps no more of a body than there may be of one; the rest is read, and the answer says so."""

    most = ApiLimits().body
    came = 0

    def handleContentChunk(self, data: bytes) -> None:
        """A piece of the body."""
        self.came += len(data)
        if self.came <= self.most:
            super().handleContentChunk(data)

    def process(self) -> None:
        """Answer."""
        if self.came > self.most:
            self.write(problem_of(self, Problem(413, "body-too-large", f"a body has at most {self.most} bytes")))
            self.finish()
        else:
            super().process()


class ApiServer:
    """Listens for as long as the relay runs."""

    log = Logger()

    def __init__(self, reactor: Any, folder: Path, desk: Desk, authority: Authority) -> None:
        self._reactor = reactor
        self._folder = folder
        self._desk = desk
        self._authority = authority
        self._port: Any = None

    def listen(self) -> None:
        """Listen; a socket that an earlier relay left behind is in nobody's way, as the folder is locked by us."""
        from egtunnel.admin.app import make_app  # noqa: PLC0415 - routes take a moment to load

        factory = type("Requests", (ApiRequest,), {"most": self._desk.limits.body})
        site = Site(make_app(self._desk, self._authority).resource(), requestFactory=factory)
        site.noisy = False
        site.displayTracebacks = False
        site.log = lambda request: None  # type: ignore[method-assign]  # the ingress has an access log
        (self._folder / SOCKET).unlink(missing_ok=True)
        try:
            self._port = self._reactor.listenUNIX(socket_path(self._folder), site, mode=0o600)
        except CannotListenError as error:
            self.log.warn("the API cannot be served: {error}", error=error.socketError)

    def close(self) -> None:
        """Listen no more."""
        self._desk.events.close()
        port, self._port = self._port, None
        if port is not None:
            port.stopListening()
