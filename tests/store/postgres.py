"""A real PostgreSQL server for tests, on a port of loopback, in a folder of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.integration.daemons import free_port, listening

__all__ = ["Postgres"]

SPEED = "-c fsync=off -c max_connections=40 -c shared_buffers=32MB"


def programs() -> Path:
    """The folder with initdb and pg_ctl."""
    found = shutil.which("initdb") or next(map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)
    if found is None:
        pytest.skip("PostgreSQL is not installed")
    return Path(found).resolve().parent  # the other programs lie beside the real one


class Postgres:
    """A server that can be stopped and started again; it refuses to be root, so root runs it as ``postgres``."""

    def __init__(self) -> None:
        self._programs = programs()
        self._folder = Path(tempfile.mkdtemp(prefix="egtunnel-pg-"))
        self.password = secrets.token_hex(16)
        self.port = free_port()
        word = self._folder / "password"
        word.write_text(self.password)
        if os.getuid() == 0:
            shutil.chown(self._folder, "postgres")
            shutil.chown(word, "postgres")
        self._run("initdb", "-D", self._data, "-U", "egtunnel", "-A", "scram-sha-256", "--pwfile", str(word), "-N")
        self.start()

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self._folder} {SPEED}"
        self._run("pg_ctl", "-D", self._data, "-w", "-t", "60", "-l", str(self._folder / "log"), "-o", options, "start")
        listening(self.port)

    def stop(self) -> None:
        """Stop at once; connections are cut."""
        self._run("pg_ctl", "-D", self._data, "-w", "-m", "immediate", "stop")

    def database(self) -> str:
        """The URL of a new, empty database."""
        name = f"store_{secrets.token_hex(4)}"
        self.sql(f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, name: str) -> str:
        """The URL of a database."""
        return f"postgresql://egtunnel:{self.password}@127.0.0.1:{self.port}/{name}"

    def sql(self, statement: str) -> str:
        """What psql prints."""
        return self._run(
            "psql",
            "-X",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            statement,
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-U",
            "egtunnel",
            "postgres",
        )

    def end(self) -> None:
        """Stop, and leave nothing."""
        if (Path(self._data) / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self._folder)

    def _run(self, program: str, *words: str) -> str:
        argv = [str(self._programs / program), *words]
        if os.getuid() == 0:
            argv = ["runuser", "-u", "postgres", "--", *argv]
        done = subprocess.run(
            argv,
            cwd=self._folder,
            env={**os.environ, "PGPASSWORD": self.password},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program == "psql" else subprocess.DEVNULL,  # pg_ctl's server would keep a pipe
            text=True,
            timeout=90,
            check=True,
        )
        return (done.stdout or "").strip()
