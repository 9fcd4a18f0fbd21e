"""``ssh -R``: the bar that every ratio is taken against."""

from __future__ import annotations

import contextlib
import getpass
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from bench.contenders.base import Ground, Running
from bench.errors import DidNotStart
from bench.program import find_program, running, wait_for_port
from bench.site import Site
from bench.version import first_line

__all__ = ["OpenSsh", "server_configuration"]

PRIVILEGE_FOLDER = Path("/run/sshd")


def server_configuration(port: int, folder: Path) -> str:
    """The whole sshd_config: one key opens it, for forwarding alone, and nothing outside the folder is read."""
    lines = [
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {folder}/host_key",
        f"AuthorizedKeysFile {folder}/user_key.pub",
        "PidFile none",
        "StrictModes no",
        "UsePAM no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin prohibit-password",
        "AllowTcpForwarding remote",
        "LogLevel ERROR",
    ]
    return "\n".join(lines) + "\n"


class OpenSsh:
    """An sshd and an ssh of our own, with default ciphers and no compression."""

    name: ClassVar[str] = "ssh"
    encrypts: ClassVar[bool] = True
    programs: ClassVar[tuple[str, ...]] = ("ssh", "sshd", "ssh-keygen")

    def version(self) -> str:
        return first_line("ssh", "-V")

    @contextlib.contextmanager
    def run(self, ground: Ground) -> Iterator[Running]:
        folder, port, public = ground.folder, ground.ports.take(), ground.ports.take()
        for key in ("host_key", "user_key"):
            _make_key(folder / key)
        (folder / "sshd_config").write_text(server_configuration(port, folder))
        # sshd starts itself anew for each connection and insists on an absolute path for that.
        server_command = [find_program("sshd"), "-D", "-e", "-f", str(folder / "sshd_config")]
        _make_privilege_folder()
        with running("sshd", server_command, folder) as server:
            wait_for_port(port, server)
            with running("ssh", self._client_command(ground, port, public), folder, {"SSH_AUTH_SOCK": ""}) as client:
                wait_for_port(public, client)
                yield Running(Site(public, f"127.0.0.1:{public}"), (server,), (client,))

    def _client_command(self, ground: Ground, port: int, public: int) -> list[str]:
        options = {
            "BatchMode": "yes",
            "ExitOnForwardFailure": "yes",
            "IdentitiesOnly": "yes",
            "LogLevel": "ERROR",
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
        }
        forward = f"127.0.0.1:{public}:127.0.0.1:{ground.upstream_port}"
        command = [find_program("ssh"), "-N", "-F", "none", "-p", str(port), "-i", str(ground.folder / "user_key")]
        for name, value in options.items():
            command += ["-o", f"{name}={value}"]
        return [*command, "-R", forward, f"{getpass.getuser()}@127.0.0.1"]


def _make_key(path: Path) -> None:
    command = [find_program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise DidNotStart(f"ssh-keygen: {done.stderr.strip()}")


def _make_privilege_folder() -> None:
    """Debian's sshd wants this folder when run as root, which only its service unit makes.

    It stays afterwards: another sshd may have come to count on it.
    """
    with contextlib.suppress(PermissionError):  # not root: then sshd does not need it
        PRIVILEGE_FOLDER.mkdir(mode=0o755, exist_ok=True)
