"""One nginx with ``proxy_pass``: no tunnel, but what one good proxy costs on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from bench.contenders.base import Ground, Running
from bench.program import find_program, running, wait_for_port
from bench.site import Site
from bench.upstream import user_line
from bench.version import first_line

__all__ = ["NginxProxy", "proxy_configuration"]

CONFIGURATION = """\
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile 16384;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    tcp_nodelay on;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream service {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://service;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_request_buffering off;
        }}
    }}
}}
"""


def proxy_configuration(port: int, upstream: int, folder: Path, user: str) -> str:
    """The whole configuration file: kept connections on both sides, nothing stored on the way, no access log."""
    return CONFIGURATION.format(port=port, upstream=upstream, folder=folder, user=user)


class NginxProxy:
    """A reverse proxy of one process; all it costs is told as the relay's, for there is no client."""

    name: ClassVar[str] = "nginx-proxy"
    encrypts: ClassVar[bool] = False
    programs: ClassVar[tuple[str, ...]] = ("nginx",)

    def version(self) -> str:
        return first_line("nginx", "-v")

    @contextmanager
    def run(self, ground: Ground) -> Iterator[Running]:
        port, folder = ground.ports.take(), ground.folder
        file = folder / "proxy.conf"
        file.write_text(proxy_configuration(port, ground.upstream_port, folder, user_line()))
        command = [find_program("nginx"), "-p", str(folder), "-e", "stderr", "-c", str(file)]
        with running("nginx-proxy", command, folder) as program:
            wait_for_port(port, program)
            yield Running(Site(port, f"127.0.0.1:{port}", speaks_http=True), (program,))
