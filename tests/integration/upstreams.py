"""Local services for tunnels to lead to: nginx, and small servers of our own that misbehave on purpose."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import socketserver
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

from tests.integration.daemons import Daemon, free_port, listening

__all__ = ["Nginx", "Upstream", "sha256_of"]

CONFIGURATION = """
daemon off; pid {folder}/nginx.pid; worker_processes 1; error_log stderr warn; {user}
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; keepalive_requests 1000000; client_max_body_size 0; types {{ text/html html; }}
  client_body_temp_path {folder}/tmp; proxy_temp_path {folder}/tmp; fastcgi_temp_path {folder}/tmp;
  uwsgi_temp_path {folder}/tmp; scgi_temp_path {folder}/tmp; default_type application/octet-stream;
  server {{
    listen 127.0.0.1:{port}; root {folder}/www;
    location = /hello {{ return 200 "hello from nginx\\n"; }}
    location = /echo-headers {{
      return 200 "$http_host|$http_x_forwarded_for|$http_x_forwarded_proto|$http_forwarded\\n";
    }}
    location = /none {{ return 204; }}
  }}
}}
"""


class Nginx(Daemon):
    """A real nginx in a folder of its own; ``www`` is what it serves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.www = folder / "www"
        self.www.mkdir()
        (folder / "tmp").mkdir()
        (self.www / "index.html").write_text("<h1>a real site</h1>\n")
        self.port = free_port()
        configuration = folder / "nginx.conf"
        configuration.write_text(CONFIGURATION.format(folder=folder, port=self.port, user="user root;"))
        super().__init__(["nginx", "-p", str(folder), "-c", str(configuration)], folder)
        listening(self.port)

    def file(self, name: str, size: int) -> str:
        """Make a file of pseudo-random bytes if it is not there; returns its SHA-256."""
        path = self.www / name
        if not path.exists():
            block = hashlib.shake_256(name.encode()).digest(1 << 20)
            with path.open("wb") as out:
                for number in range(size >> 20):
                    out.write(number.to_bytes(8, "big") + block[8:])
        return sha256_of(path)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, hex."""
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while piece := source.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


class Upstream:
    """A threaded TCP server of the test: ``serve(connection)`` runs for every connection."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        class Conversation(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):  # the other end went away; the test looks at its own side
                    serve(self.request)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 1024

        self._server = Server(("127.0.0.1", 0), Conversation)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
