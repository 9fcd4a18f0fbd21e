"""A real pgbouncer before a test's PostgreSQL, in transaction mode, as hosted databases put one there."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.integration.daemons import free_port, listening
from tests.store.postgres import Postgres

__all__ = ["Pooler"]

SETTINGS = """\
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {users}
pool_mode = transaction
default_pool_size = 3
logfile = {log}
"""


class Pooler:
    """Listens on ``port``; refuses to be root, so root runs it as ``postgres``."""

    def __init__(self, server: Postgres) -> None:
        program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
        if program is None:
            pytest.skip("pgbouncer is not installed")
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="egtunnel-pooler-"))
        users, settings = self._folder / "users", self._folder / "pgbouncer.ini"
        users.write_text(f'"egtunnel" "{server.password}"\n')
        settings.write_text(SETTINGS.format(server=server.port, port=self.port, users=users, log=self._folder / "log"))
        argv = [program, "-q", str(settings)]
        if os.getuid() == 0:
            for path in (self._folder, users, settings):
                shutil.chown(path, "postgres")
            argv = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--", *argv]
        self._process = subprocess.Popen(argv, cwd=self._folder, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        listening(self.port)

    def end(self) -> None:
        """Stop it, and leave nothing."""
        self._process.kill()
        self._process.wait(30)
        shutil.rmtree(self._folder)
