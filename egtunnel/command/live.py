"""``egtunnel status``, ``tunnels`` and ``clients``: a relay that runs, asked by its API."""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from egtunnel.command.database import Misread, print_json
from egtunnel.errors import ConfigurationError, EgtunnelError

__all__ = ["NotServed", "add_to"]

PATIENCE = 10.0


class NotServed(EgtunnelError):
    """The API cannot be asked, or says no."""

    word = "not-served"


def add_to(commands: Any) -> None:
    """The commands."""
    for name, run, text in (
        ("status", _status, "show a relay that runs in a few numbers"),
        ("tunnels", _tunnels, "list the tunnels of a relay that runs"),
        ("clients", _clients, "list the clients of a relay that runs"),
    ):
        parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False)
        parser.add_argument("--state", metavar="FOLDER", help="the relay's own state folder, on its machine")
        parser.add_argument("--url", metavar="URL", help="the relay's address, from anywhere else")
        parser.add_argument("--token-file", type=Path, metavar="FILE", help="with --url: the relay's admin-token")
        parser.add_argument("--ca", type=Path, metavar="FILE", help="with --url: PEM file of the authority to believe")
        parser.add_argument("--json", action="store_true", help="print JSON")
        parser.set_defaults(run=run, parser=parser)


def _status(given: argparse.Namespace) -> None:
    found = _ask(given, "/status")
    if given.json:
        print_json(found)
        return
    store = {None: "no store", True: "store there", False: "store away"}[found["store"]]
    processes = f"{found['workers']} processes" if found["workers"] > 1 else "1 process"
    print(f"{found['domain']}: egtunnel {found['version']}, up {_duration(found['uptime'])}, {processes}, {store}")
    print(f"{found['clients']} clients, {found['tunnels']} tunnels, {found['visitors']} connections of visitors")


def _tunnels(given: argparse.Namespace) -> None:
    found = _ask(given, "/tunnels")["tunnels"]
    if given.json:
        print_json(found)
        return
    for row in found:
        there = sum(server["online"] for server in row["servers"])
        rules = f"  rules: {', '.join(row['rules'])}" if row["rules"] else ""
        state = "away" if not there else "there" if there == 1 else f"{there} clients"
        print(f"{row['url']}  {state}{rules}")


def _clients(given: argparse.Namespace) -> None:
    found = _ask(given, "/clients")["clients"]
    if given.json:
        print_json(found)
        return
    for row in found:
        state = "there" if row["online"] else "without a link"
        print(f"{row['client']}  {state}, {row['tunnels']} tunnels, token {row['token']}, session {row['session']}")


def _duration(seconds: float) -> str:
    for size, word in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {word}"
    return f"{seconds:.0f} s"


# -- the API


class _Local(http.client.HTTPConnection):
    """To the relay's UNIX socket."""

    def __init__(self, folder: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._folder = folder

    def connect(self) -> None:
        """Connect."""
        from egtunnel.admin.server import socket_path  # noqa: PLC0415 - help needs no relay

        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(socket_path(self._folder))


def _ask(given: argparse.Namespace, path: str) -> Any:
    """What a GET gives. Raises NotServed or Misread."""
    connection, file = _way(given)
    try:
        token = file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        text = getattr(error, "strerror", None) or "it is not text"
        raise ConfigurationError(f"cannot read the token of the API in {file}: {text}") from None
    try:
        connection.request("GET", f"/api/v1{path}", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        content = answer.read(16 * 1024 * 1024)
        value = json.loads(content)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotServed(f"no relay answers there: {getattr(error, 'strerror', None) or error}") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise NotServed(f"the relay says: {value.get('detail', answer.status)}")
    return value


def _way(given: argparse.Namespace) -> tuple[http.client.HTTPConnection, Path]:
    from egtunnel.admin.authority import FILE_NAME  # noqa: PLC0415
    from egtunnel.configuration import default_state  # noqa: PLC0415

    if given.url is None:
        folder = Path(given.state) if given.state else default_state()
        return _Local(folder), folder / FILE_NAME
    if given.token_file is None or given.state is not None:
        raise Misread("--url goes together with --token-file, and not with --state")
    url = urlsplit(given.url)
    if url.scheme == "http" and url.hostname in ("localhost", "127.0.0.1", "::1"):
        return http.client.HTTPConnection(url.netloc, timeout=PATIENCE), given.token_file
    if url.scheme != "https" or not url.hostname:
        raise Misread(f"--url {given.url}: it must be like https://example.com; http only on this machine")
    context = ssl.create_default_context(cafile=None if given.ca is None else str(given.ca))
    return http.client.HTTPSConnection(url.netloc, timeout=PATIENCE, context=context), given.token_file
