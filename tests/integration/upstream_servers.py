"""Real servers as upstreams that keep a record: each whole request is one line of a file, and the answer is that line.

What they refuse as no request at all they note too: bytes left over from one request that begin the next.
"""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

from tests.integration.daemons import Daemon, free_port, listening, until
from tests.integration.programs import program

__all__ = ["SERVERS", "Line", "Server", "start_server"]

NGINX = """
daemon off; pid {folder}/nginx.pid; worker_processes 1; error_log stderr crit; user root;
events {{ worker_connections 512; }}
http {{
  access_log off; client_max_body_size 0; keepalive_requests 100000; default_type text/plain;
  client_body_temp_path {folder}/tmp; proxy_temp_path {folder}/tmp; fastcgi_temp_path {folder}/tmp;
  uwsgi_temp_path {folder}/tmp; scgi_temp_path {folder}/tmp;
  log_format seen escape=none "$request_uri\\t$content_length\\t$http_x_marker\\t$http_x_port";
  map "$status $request" $fault {{ default 0; "~^400 (?![A-Za-z]+ [^ ]+ HTTP/1[.]1$)" 1; }}
  log_format fault escape=default "$request";
  server {{
    listen 127.0.0.1:{port}; access_log {folder}/faults.log fault if=$fault;
    location / {{ proxy_pass http://unix:{folder}/inner; proxy_set_header X-Port $remote_port; }}
  }}
  server {{
    listen unix:{folder}/inner; access_log {folder}/seen.log seen;
    location / {{ return 200 "$request_uri\\t$content_length\\t$http_x_marker\\t$http_x_port"; }}
  }}
}}
"""
"""``return`` answers before a body has come, so an outer server reads it, and an inner one counts what is whole."""

GUNICORN = """
def app(environ, start_response):
    body = environ["wsgi.input"].read()
    if len(body) < int(environ.get("CONTENT_LENGTH") or 0):
        raise OSError("the body is not whole")
    parts = environ["RAW_URI"], str(len(body)), environ.get("HTTP_X_MARKER", ""), environ["REMOTE_PORT"]
    line = "\\t".join(parts).encode("latin-1")
    with open("seen.log", "ab") as seen:
        seen.write(line + b"\\n")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(line)))])
    return [line]
"""

GUNICORN_FAULT = re.compile("Invalid request(?!.*expectation)")

NODE = """
const fs = require('fs');
const server = require('http').createServer((request, response) => {
  let size = 0;
  request.on('data', (piece) => { size += piece.length; });
  request.on('end', () => {
    if (!request.complete) return;
    const marker = request.headers['x-marker'] || '';
    const line = Buffer.from([request.url, size, marker, request.socket.remotePort].join('\\t'), 'latin1');
    fs.appendFileSync('seen.log', Buffer.concat([line, Buffer.from('\\n')]));
    response.writeHead(200, {'Content-Type': 'text/plain', 'Content-Length': line.length});
    response.end(line);
  });
});
server.on('clientError', (error, socket) => {
  if (/^HPE_(?!INVALID_EOF_STATE)/.test(error.code)) fs.appendFileSync('faults.log', error.code + '\\n');
  socket.destroy();
});
server.keepAliveTimeout = 60000;
server.listen(+process.argv[2], '127.0.0.1');
"""

TWISTED = """
import sys
from twisted.internet import reactor
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import Site

def refuse(self, refuse=HTTPChannel._respondToBadRequestAndDisconnect):
    with open("faults.log", "ab") as faults:
        faults.write(b"bad request\\n")
    refuse(self)

HTTPChannel._respondToBadRequestAndDisconnect = refuse

class Record(Resource):
    isLeaf = True

    def render(self, request):
        size, port = len(request.content.read()), request.transport.getPeer().port
        line = b"\\t".join([request.uri, b"%d" % size, request.getHeader(b"x-marker") or b"", b"%d" % port])
        with open("seen.log", "ab") as seen:
            seen.write(line + b"\\n")
        request.setHeader(b"content-type", b"text/plain")
        request.setHeader(b"content-length", b"%d" % len(line))
        return b"" if request.method == b"HEAD" else line

reactor.listenTCP(int(sys.argv[1]), Site(Record()), interface="127.0.0.1")
reactor.run()
"""

SERVERS = ("nginx", "gunicorn", "node", "twisted")


@attrs.frozen
class Line:
    """One whole request: its target and the size of its body; the visitor's X-Marker; the port it came from."""

    target: str
    size: int
    marker: str
    port: str

    @classmethod
    def of(cls, text: bytes) -> Line:
        target, size, marker, port = text.decode("latin-1").rstrip("\n").split("\t")
        return cls(target, int(size) if size.isdigit() else 0, marker, port)


class Server:
    """A server in a folder of its own; ``daemon`` is its process."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.port = free_port()
        self._log = folder / "seen.log"
        self._faults = folder / "faults.log"
        self._read = self._told = 0
        self.daemon = Daemon(getattr(self, f"_{name}")(folder), folder)
        with contextlib.ExitStack() as stack:
            stack.callback(self.daemon.end)
            listening(self.port)
            stack.pop_all()

    def seen(self) -> list[Line]:
        """The whole requests since the last time, in order."""
        if not self._log.exists():
            return []
        with self._log.open("rb") as log:
            log.seek(self._read)
            lines = [line for line in log if line.endswith(b"\n")]
        self._read += sum(map(len, lines))
        return [Line.of(line) for line in lines]

    def seen_until(self, marker: str) -> list[Line]:
        """The same, as soon as the request of that marker is among them."""
        found: list[Line] = []
        with until(f"{marker} to reach {self.name}") as deadline:
            while time.monotonic() < deadline:
                found += self.seen()
                if any(line.marker == marker for line in found):
                    return found
                time.sleep(0.01)
        return found

    def faults(self) -> list[str]:
        """What came that was no request at all, since the last time; bodies that were cut are none."""
        if self.name == "gunicorn":
            lines = [line for line in self.daemon.output.splitlines() if GUNICORN_FAULT.search(line)]
        else:
            lines = self._faults.read_text().splitlines() if self._faults.exists() else []
        news, self._told = lines[self._told :], len(lines)
        return news

    def _nginx(self, folder: Path) -> list[str]:
        (folder / "tmp").mkdir()
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=self.port))
        return [program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")]

    def _gunicorn(self, folder: Path) -> list[str]:
        (folder / "app.py").write_text(GUNICORN)
        options = ["--worker-class", "gthread", "--threads", "4", "--keep-alive", "60", "--worker-tmp-dir", str(folder)]
        bind = ["--bind", f"127.0.0.1:{self.port}"]
        return [sys.executable, "-m", "gunicorn", *options, *bind, "--no-control-socket", "app:app"]

    def _node(self, folder: Path) -> list[str]:
        (folder / "server.js").write_text(NODE)
        return [program("node"), "server.js", str(self.port)]

    def _twisted(self, folder: Path) -> list[str]:
        (folder / "server.py").write_text(TWISTED)
        return [sys.executable, "server.py", str(self.port)]


@contextlib.contextmanager
def start_server(name: str, folder: Path) -> Iterator[Server]:
    """A server that answers and is ended with the block, and only it."""
    folder.mkdir()
    server = Server(name, folder)
    try:
        yield server
    finally:
        server.daemon.end()
