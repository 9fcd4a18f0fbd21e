"""nginx as the upstream of every contender: a small answer, a large file, and a place for uploads."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from bench.program import find_program, running, wait_for_port

__all__ = [
    "ANSWER_BYTES",
    "MIB",
    "Upstream",
    "large_folder",
    "nginx",
    "nginx_configuration",
    "user_line",
    "write_bulk_file",
]

MIB = 1024 * 1024
ANSWER_BYTES = 200
SHARED_MEMORY = Path("/dev/shm")

CONFIGURATION = """\
daemon off;
{user}
worker_processes auto;
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    default_type text/plain;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    client_header_timeout 1h;
    client_max_body_size 0;
    client_body_temp_path {large}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = / {{ return 200 "{answer}"; }}
        location = /bulk {{ root {large}; }}
        location /upload/ {{ root {large}; dav_methods PUT; create_full_put_path on; }}
    }}
}}
"""


@frozen
class Upstream:
    """The running nginx.

    :ivar uploads: the folder in which an upload to ``/upload/NAME`` becomes the file NAME
    :ivar bulk_file: what ``/bulk`` serves, and what uploads send
    """

    port: int
    uploads: Path
    bulk_file: Path


def nginx_configuration(port: int, folder: Path, large: Path, user: str) -> str:
    """The whole configuration file; ``user`` is a ``user ...;`` line or nothing."""
    answer = ("egtunnel bench " * ANSWER_BYTES)[:ANSWER_BYTES]
    return CONFIGURATION.format(port=port, folder=folder, large=large, user=user, answer=answer)


@contextlib.contextmanager
def large_folder(size_mib: int) -> Iterator[Path]:
    """A temporary folder for large files, in memory if they fit there three times, removed at the end."""
    parent: Path | None = None
    if SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free > 3 * size_mib * MIB:
        parent = SHARED_MEMORY
    with tempfile.TemporaryDirectory(prefix="egtunnel-bench-", dir=parent) as name:
        yield Path(name)


def write_bulk_file(path: Path, size_mib: int) -> None:
    """Fill a file with bytes that do not compress within any window used on the way."""
    block = os.urandom(MIB)
    with path.open("wb") as file:
        for _ in range(size_mib):
            file.write(block)


@contextlib.contextmanager
def nginx(port: int, folder: Path, large: Path, size_mib: int) -> Iterator[Upstream]:
    """Run nginx, with its whole world in the two folders.

    :raises MissingProgram: there is no nginx
    :raises DidNotStart: it does not serve
    """
    bulk_file, uploads = large / "bulk", large / "upload"
    write_bulk_file(bulk_file, size_mib)
    uploads.mkdir()
    configuration = folder / "nginx.conf"
    configuration.write_text(nginx_configuration(port, folder, large, user_line()))
    command = [find_program("nginx"), "-p", str(folder), "-e", "stderr", "-c", str(configuration)]
    with running("nginx", command, folder) as program:
        wait_for_port(port, program)
        yield Upstream(port, uploads, bulk_file)


def user_line() -> str:
    """The ``user`` line of a configuration file, or nothing."""
    # As root nginx would drop to an account that may not read our folders, and warns about the line in any other case.
    if os.geteuid() != 0:
        return ""
    return f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(0).gr_name};"
