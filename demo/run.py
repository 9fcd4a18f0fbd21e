"""``make demo``: a small site, a relay and a client as three processes on loopback, until Ctrl-C.

``--check`` fetches the site through its public URL instead of waiting, and ends with status 0 if all is well.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

from demo.check import check
from demo.processes import DemoError, Process, Stopped
from demo.site import PAGES

ROOT = Path(__file__).resolve().parents[1]
USUAL_PORT = 7070


def say(line: str = "") -> None:
    """One line for the person, at once."""
    print(line, flush=True)


def free_port(wanted: int) -> int:
    """``wanted`` if nobody listens there, else any other port of loopback."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            chosen: int = probe.getsockname()[1]
            return chosen
    raise DemoError("loopback has no free port")


def environment(state: Path) -> dict[str, str]:
    """The caller's variables, but with a state folder of our own and none of the caller's egtunnel settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EGTUNNEL_")}
    return kept | {"XDG_STATE_HOME": str(state), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def start(stack: ExitStack, state: Path, stop: threading.Event) -> tuple[str, list[Process]]:
    """Start all three; returns the public URL and the processes, which end with ``stack``."""
    twistd = [str(Path(sys.executable).with_name("twistd")), "-n"]
    processes: list[Process] = []

    def run(name: str, argv: list[str]) -> Process:
        process = Process(name, argv, state, environment(state))
        stack.callback(process.end)
        processes.append(process)
        return process

    site = run("site", [sys.executable, "-m", "demo.site"]).wait_for(r"^(http://\S+)", stop)
    say(f"  site    {site} serves demo/pages")
    port = free_port(USUAL_PORT)
    relay = run("relay", [*twistd, "egrelay", "--port", str(port)])
    relay.wait_for(r"(egclient)", stop)
    say(f"  relay   http://localhost:{port}")
    link = f"ws://localhost:{port}"
    client = run("client", [*twistd, "egclient", "--relay", link, "--local", site, "--name", "demo"])
    public = client.wait_for(r"^(http://\S+) -> ", stop)
    say("  client  connected to the relay")
    return public, processes


def stay(public: str, processes: list[Process], stop: threading.Event) -> None:
    """Wait for the end that the person asks for; raises ``DemoError`` if a process ends before."""
    say()
    say("The site has a public address. Open it in a browser:")
    say()
    say(public)
    say()
    say("Ctrl-C ends it all.")
    while not stop.wait(0.5):
        for process in processes:
            if not process.running:
                raise DemoError(process.obituary())


def main() -> int:
    """Run the demo; returns its exit status."""
    parser = argparse.ArgumentParser(prog="demo", description="a small site through a real tunnel on this machine")
    parser.add_argument("--check", action="store_true", help="check that it works, and end")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    try:
        with ExitStack() as stack:
            state = Path(tempfile.mkdtemp(prefix="egtunnel-demo-"))
            stack.callback(shutil.rmtree, state, ignore_errors=True)
            say("egtunnel demo: three processes on this machine")
            public, processes = start(stack, state, stop)
            if options.check:
                say(public)
                check(public, PAGES, say)
            else:
                stay(public, processes, stop)
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr, flush=True)
        return 1
    except Stopped:
        pass  # the person's wish, met by leaving the stack
    say("all ended" if not options.check else "all is well, all ended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
