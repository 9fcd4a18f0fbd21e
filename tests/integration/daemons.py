"""Start the real daemons and other programs for a test, read what they print, and end exactly those."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.integration.secrecy import look_through

__all__ = ["ROOT", "Client", "Daemon", "Relay", "SecureRelay", "free_port", "listening", "until"]

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30.0
"""How long anything may take to come up on a busy machine, seconds. Not a promise of the product, only of the test."""


def free_port() -> int:
    """A TCP port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def until(what: str, seconds: float = PATIENCE) -> Iterator[float]:
    """A deadline for a loop; the text says what was waited for when it passes."""
    deadline = time.monotonic() + seconds
    yield deadline
    if time.monotonic() > deadline:
        raise AssertionError(f"waited {seconds:g} s for {what}")


def listening(port: int, seconds: float = PATIENCE) -> None:
    """Wait until something accepts connections on a port of loopback."""
    with until(f"port {port} to listen", seconds) as deadline:
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(0.05)


EVERY_RELAY = os.environ.get("EGTUNNEL_TEST_RELAY", "").split()
"""Options for the relays of all tests: with ``--workers 2``, say, nearly all of them have to pass as well."""


class Daemon:
    """A process the test started; its output is read all the time, so that it never blocks."""

    def __init__(
        self,
        argv: list[str],
        folder: Path,
        env: dict[str, str] | None = None,
        prefix: list[str] | None = None,
        descriptors: tuple[int, ...] = (),
    ):
        self.lines: list[str] = []
        self._folder, self._env, self._argv = folder, env or {}, argv
        self._news = threading.Condition()
        self.process = subprocess.Popen(
            [*(prefix or []), *argv],
            cwd=folder,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            pass_fds=descriptors,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        """Everything printed so far."""
        with self._news:
            return "\n".join(self.lines)

    def wait_for(self, pattern: str, seconds: float = PATIENCE, after: int = 0) -> re.Match[str]:
        """The first line from number ``after`` on that matches; an AssertionError with all output if none comes."""
        deadline = time.monotonic() + seconds
        seen = after
        with self._news:
            while True:
                for line in self.lines[seen:]:
                    found = re.search(pattern, line)
                    if found:
                        return found
                seen = len(self.lines)
                left = deadline - time.monotonic()
                if left <= 0 or (self.process.poll() is not None and not self._reader.is_alive()):
                    text = "\n".join(self.lines)
                    raise AssertionError(f"no line like {pattern!r} within {seconds:g} s; it printed:\n{text}")
                self._news.wait(min(left, 0.2))

    def exit_status(self, seconds: float = PATIENCE) -> int:
        """Wait for the end."""
        status = self.process.wait(seconds)
        self._reader.join(5)
        return status

    def stop(self, sign: int = signal.SIGTERM, seconds: float = 10.0) -> int:
        """End it with a signal and wait."""
        if self.process.poll() is None:
            self.process.send_signal(sign)
        try:
            return self.exit_status(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"it did not end within {seconds:g} s of signal {sign}:\n{self.output}") from None

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.exit_status()

    def end(self) -> None:
        """For the end of a test: end it if it still runs, whatever state it is in."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGCONT)
                self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        self._reader.join(5)
        if {"egrelay", "egclient", "egtunnel"} & set(self._argv):  # other programs of a test log what they like
            look_through(self._argv[0], self.output, self._folder, self._env, links="share" not in self._argv)

    def memory(self) -> int:
        """Resident memory now, bytes."""
        return self._status("VmRSS")

    def peak_memory(self) -> int:
        """Most resident memory so far, bytes."""
        return self._status("VmHWM")

    def _status(self, name: str) -> int:
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(text.split(f"{name}:")[1].split()[0]) * 1024

    def descriptors(self) -> int:
        """Open file descriptors now."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def assert_calm(self) -> None:
        """Nothing it printed is a traceback or an unhandled error."""
        for word in ("Traceback", "Unhandled", "exception caught"):
            if word in self.output:
                raise AssertionError(f"{word!r} in the log:\n{self.output}")


def _twistd() -> str:
    """The twistd of the environment the tests run in."""
    beside = Path(sys.executable).with_name("twistd")
    return str(beside) if beside.exists() else str(shutil.which("twistd"))


def environment(state: Path) -> dict[str, str]:
    """Variables for a daemon: its own state home, nothing of the caller's settings."""
    return {
        "XDG_STATE_HOME": str(state),
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "EGTUNNEL_TOKEN": "",
        "EGTUNNEL_RELAY": "",
    }


class Relay(Daemon):
    """``twistd -n egrelay`` on a free port of loopback; its state stays in ``home`` between starts."""

    def __init__(
        self,
        home: Path,
        *options: str,
        port: int = 0,
        env: dict[str, str] | None = None,
        prefix: list[str] | None = None,
        descriptors: tuple[int, ...] = (),
    ):
        self.port = port or free_port()
        self.home = home
        super().__init__(
            [_twistd(), "-n", "egrelay", "--port", str(self.port), *EVERY_RELAY, *options],
            home,
            {**environment(home / "state"), **(env or {})},
            prefix,
            descriptors,
        )

    def ready(self) -> Relay:
        """Wait until it listens."""
        listening(self.port)
        return self

    def host(self, name: str) -> str:
        """The Host header of a tunnel of that name."""
        return f"{name}.localhost:{self.port}"

    @property
    def link_options(self) -> list[str]:
        """How a client reaches it."""
        return ["--relay", f"ws://127.0.0.1:{self.port}"]


class SecureRelay(Relay):
    """A relay that ends TLS itself, with the certificate of these options (``Papers.relay_options``)."""

    def __init__(self, home: Path, domain: str, ca: Path, *options: str, port: int = 0):
        self.domain = domain
        self.ca = ca
        super().__init__(home, *options, port=port)

    def host(self, name: str) -> str:
        """The Host header of a tunnel of that name."""
        return f"{name}.{self.domain}:{self.port}"

    @property
    def link_options(self) -> list[str]:
        """How a client reaches it."""
        return ["--relay", f"wss://127.0.0.1:{self.port}", "--ca", str(self.ca)]


class Client(Daemon):
    """``twistd -n egclient`` beside a relay on this machine, with the same state home."""

    def __init__(self, relay: Relay, *options: str, env: dict[str, str] | None = None, prefix: list[str] | None = None):
        self.relay = relay
        link = [] if "--relay" in options else relay.link_options  # said twice, it would be two relays
        super().__init__(
            [_twistd(), "-n", "egclient", *link, *options],
            relay.home,
            {**environment(relay.home / "state"), **(env or {})},
            prefix,
        )

    def url(self, after: int = 0) -> str:
        """The first public URL it prints."""
        return self.wait_for(r"^(\S+://\S+) -> ", after=after).group(1)

    def tcp_port(self) -> int:
        """The public port of its TCP tunnel."""
        return int(self.wait_for(r"^tcp://[^:]+:(\d+) -> ").group(1))
