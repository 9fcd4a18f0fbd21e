"""Real proxies: tinyproxy for CONNECT, dante for SOCKS5."""

from __future__ import annotations

from pathlib import Path

from tests.integration.daemons import Daemon
from tests.integration.programs import program

__all__ = ["Dante", "Tinyproxy"]


class Tinyproxy(Daemon):
    """An HTTP proxy; ``login``: ``user:password`` that it wants; ``more``: lines of its configuration."""

    def __init__(
        self,
        folder: Path,
        port: int,
        *more: str,
        listen: str = "127.0.0.1",
        login: str = "",
        prefix: list[str] | None = None,
    ) -> None:
        self.port = port
        lines = [f"Port {port}", f"Listen {listen}", "Timeout 600", "MaxClients 50", "LogLevel Warning", *more]
        if login:
            lines.append("BasicAuth " + login.replace(":", " "))
        configuration = folder / f"tinyproxy-{port}.conf"
        configuration.write_text("\n".join([*lines, ""]))
        super().__init__([program("tinyproxy"), "-d", "-c", str(configuration)], folder, prefix=prefix)


class Dante(Daemon):
    """A SOCKS5 proxy without a login, between two addresses of its own."""

    def __init__(self, folder: Path, port: int, inside: str, outside: str, prefix: list[str] | None = None) -> None:
        self.port = port
        configuration = folder / "danted.conf"
        configuration.write_text(
            f"logoutput: stderr\ninternal: {inside} port = {port}\nexternal: {outside}\n"
            "socksmethod: none\nclientmethod: none\nuser.privileged: root\nuser.unprivileged: nobody\n"
            "client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\nsocks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\n"
        )
        super().__init__([program("danted"), "-f", str(configuration)], folder, prefix=prefix)
