"""``python -m bench.peers``: install the other tunnels that can be had, for ``make bench``, and say which cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence

from attrs import field, frozen

from bench.errors import MissingProgram
from bench.program import PEER_FOLDER, find_program

__all__ = ["INSTALLS", "Install", "install", "main"]

LIMIT_SECONDS = 900


@frozen
class Install:
    """How one peer is installed by the ordinary client of its registry.

    :ivar programs: what is there afterwards; where all of it is there before, nothing is done
    :ivar command: the client and its arguments
    :ivar environment: added for the client
    """

    peer: str
    programs: tuple[str, ...]
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(factory=dict)


def _go(peer: str, package: str, program: str) -> Install:
    command = ("go", "install", f"{package}@latest")
    return Install(peer, (program,), command, {"GOBIN": str(PEER_FOLDER)})


def _cargo(peer: str, crate: str) -> Install:
    # Cargo adds bin/ itself.
    return Install(peer, (peer,), ("cargo", "install", "--locked", "--root", str(PEER_FOLDER.parent), crate))


INSTALLS: tuple[Install, ...] = (
    _go("chisel", "github.com/jpillora/chisel", "chisel"),
    _go("frp", "github.com/fatedier/frp/cmd/frps", "frps"),
    _go("frp", "github.com/fatedier/frp/cmd/frpc", "frpc"),
    _cargo("bore", "bore-cli"),
    _cargo("rathole", "rathole"),
)


def install(wanted: Install, limit: float = LIMIT_SECONDS) -> str:
    """Install one peer unless it is there.

    :return: why it could not be, in one line; empty when it is there
    """
    if _there(wanted.programs):
        return ""
    client = shutil.which(wanted.command[0])
    if client is None:
        return f"{wanted.command[0]} is not installed"
    PEER_FOLDER.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **wanted.environment}
    command = [client, *wanted.command[1:]]
    try:
        done = subprocess.run(
            command,
            cwd=PEER_FOLDER,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{wanted.command[0]} did not end within {limit:g} s"
    if done.returncode == 0 and _there(wanted.programs):
        return ""
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return f"{wanted.command[0]} ended with status {done.returncode}: {' / '.join(lines[-2:])}"


def _there(programs: Sequence[str]) -> bool:
    try:
        for program in programs:
            find_program(program)
    except MissingProgram:
        return False
    return True


def main(installs: Sequence[Install] = INSTALLS) -> int:
    """Install all.

    :return: 0, also when some could not be had: they are left out of the benchmark, and named there again
    """
    for wanted in installs:
        reason = install(wanted)
        print(f"peers: {', '.join(wanted.programs)}: {reason or 'there'}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
