"""The WebSocket conformance suite of Autobahn, against an echo server: direct, and through a tunnel.

    python -m tests.integration.wstest [--cases 1.*,2.*] [--cache FOLDER]

The suite is a Python 2 program. It is installed once, from the package index, into ``$EGTUNNEL_WSTEST`` (default: a
folder in ``/tmp``), with the Python 2.7 named by ``$PYTHON2``, on the PATH, or under ``~/.pyenv``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.integration.daemons import ROOT, Client, Daemon, Relay, free_port, listening

__all__ = ["ALL_CASES", "SuiteMissing", "compare", "echo_server", "install", "run_suite", "through_tunnel"]

ALL_CASES = tuple(f"{family}.*" for family in range(1, 12))
"""Families 12 and 13 are about compression, which is between the two ends and nothing to a tunnel."""

GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}
SLOWEST = 1800.0  # seconds for one run; the suite takes half a minute when nothing else runs


class SuiteMissing(Exception):
    """The suite cannot run here; the text says why."""


# -- the suite itself


def python2() -> Path:
    """A Python 2.7. Raises SuiteMissing."""
    named = os.environ.get("PYTHON2")
    found = [Path(named)] if named else sorted(Path.home().glob(".pyenv/versions/2.7.*/bin/python"))
    on_path = shutil.which("python2.7")
    if not found and on_path is not None:
        found = [Path(on_path)]
    if not found or not found[-1].exists():
        raise SuiteMissing("wstest needs Python 2.7 (set PYTHON2, or install one under ~/.pyenv)")
    return found[-1]


def install(cache: Path | None = None) -> Path:
    """The ``wstest`` program, installed on its first use. Raises SuiteMissing."""
    cache = cache or Path(os.environ.get("EGTUNNEL_WSTEST") or Path(tempfile.gettempdir()) / "egtunnel-wstest")
    program = cache / "venv" / "bin" / "wstest"
    if program.exists():
        return program
    cache.mkdir(parents=True, exist_ok=True)
    python = str(python2())
    modules = str(cache / "virtualenv")
    steps: list[list[str]] = [
        [python, "-m", "pip", "install", "--quiet", "--target", modules, "virtualenv"],
        [python, "-m", "virtualenv", "--quiet", str(cache / "venv")],
        [str(cache / "venv" / "bin" / "pip"), "install", "--quiet", "autobahntestsuite"],
    ]
    for step in steps:
        done = subprocess.run(
            step,
            env={**os.environ, "PYTHONPATH": modules if "virtualenv" in step[1:3] else ""},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise SuiteMissing(f"{' '.join(step)} failed: {done.stderr.strip()[-500:]}")
    return program


def run_suite(program: Path, url: str, folder: Path, cases: tuple[str, ...] = ALL_CASES) -> dict[str, str]:
    """Run the fuzzing client against an echo server at ``url``; the behaviour of each case by its number."""
    folder.mkdir(parents=True)
    specification = {
        "outdir": str(folder / "reports"),
        "servers": [{"agent": "echo", "url": url, "options": {"version": 18}}],
        "cases": list(cases),
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    (folder / "spec.json").write_text(json.dumps(specification))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with (folder / "log").open("wb") as log:
        command = [str(program), "-m", "fuzzingclient", "-s", str(folder / "spec.json")]
        subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=SLOWEST,
            check=False,
        )
    index = folder / "reports" / "index.json"
    if not index.exists():
        raise AssertionError(f"wstest made no report:\n{(folder / 'log').read_text(errors='replace')[-2000:]}")
    results = json.loads(index.read_text())["echo"]
    return {case: _behaviour(result) for case, result in results.items()}


def _behaviour(result: dict[str, str]) -> str:
    """The verdict on a case; a bad closing handshake counts like a bad answer."""
    closing = result.get("behaviorClose", "OK")
    return result["behavior"] if closing in GOOD else f"{result['behavior']}, closing {closing}"


def compare(direct: dict[str, str], tunnelled: dict[str, str]) -> list[str]:
    """What is wrong through the tunnel: a case that is missing, that failed, or that went otherwise than direct."""
    wrong = [f"{case}: did not run" for case in direct.keys() - tunnelled.keys()]
    for case, behaviour in tunnelled.items():
        if behaviour not in GOOD:
            wrong.append(f"{case}: {behaviour} (direct: {direct.get(case)})")
        elif behaviour != direct.get(case):
            wrong.append(f"{case}: {behaviour}, but direct {direct.get(case)}")
    return sorted(wrong)


# -- what it runs against


def echo_server(folder: Path) -> tuple[Daemon, int]:
    """A WebSocket echo server of Autobahn's in a process of its own, and its port."""
    port = free_port()
    command = [sys.executable, "-m", "tests.integration.wstest", "--echo", str(port)]
    server = Daemon(command, folder, {"PYTHONPATH": str(ROOT)})
    listening(port)
    return server, port


def serve_echo(port: int) -> None:
    """Echo every message until the process is ended."""
    from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
    from twisted.internet import reactor

    class Echo(WebSocketServerProtocol):
        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            self.sendMessage(payload, isBinary)

    factory = WebSocketServerFactory()
    factory.protocol = Echo
    factory.setProtocolOptions(failByDrop=False)  # say why, as the suite wants to hear
    reactor.listenTCP(port, factory, interface="127.0.0.1")
    reactor.run()


def through_tunnel(folder: Path, port: int) -> tuple[list[Daemon], str]:
    """A relay and a client for the server on ``port``; the daemons, and the WebSocket URL of the tunnel.

    The tunnel is reached by its path on the relay's own host, as ``*.localhost`` does not resolve everywhere.
    """
    relay = Relay(folder)
    try:
        client = Client(relay.ready(), "--local", str(port), "--name", "echo")
    except BaseException:
        relay.end()
        raise
    try:
        client.url()
    except BaseException:
        client.end()
        relay.end()
        raise
    return [client, relay], f"ws://localhost:{relay.port}/echo/"


# -- by hand


def main() -> int:
    """Run both, print the figures; 0 if the tunnel changed nothing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default=",".join(ALL_CASES), help="families or cases, separated by commas")
    parser.add_argument("--cache", type=Path, help="where the suite is installed")
    parser.add_argument("--echo", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.echo is not None:
        serve_echo(options.echo)
        return 0
    try:
        program = install(options.cache)
    except SuiteMissing as reason:
        print(f"skipped: {reason}")
        return 0
    cases = tuple(options.cases.split(","))
    with tempfile.TemporaryDirectory() as place:
        return _report(Path(place), program, cases)


def _report(folder: Path, program: Path, cases: tuple[str, ...]) -> int:
    echo, port = echo_server(folder)
    running = [echo]
    try:
        direct = run_suite(program, f"ws://localhost:{port}", folder / "direct", cases)
        print("direct: ", dict(Counter(direct.values())), flush=True)
        daemons, url = through_tunnel(folder, port)
        running = [*daemons, echo]
        tunnelled = run_suite(program, url, folder / "tunnel", cases)
        print("through the tunnel: ", dict(Counter(tunnelled.values())), flush=True)
        for daemon in daemons:
            daemon.assert_calm()
    finally:
        for daemon in running:
            daemon.end()
    wrong = compare(direct, tunnelled)
    print("\n".join(wrong) or "the tunnel changes nothing")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
