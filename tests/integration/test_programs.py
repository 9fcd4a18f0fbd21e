"""Real programs through tunnels: git over HTTP; ssh, rsync and psql over TCP. They know nothing of it, and it shows."""

from __future__ import annotations

import contextlib
import getpass
import http.server
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import pytest

from tests.integration.daemons import Client, Daemon, Relay, free_port, listening
from tests.integration.programs import program, run
from tests.integration.transfers import WebService, blocks
from tests.integration.upstreams import sha256_of

Tunnel = Callable[[int], int]
MIB = 1 << 20


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """One relay for all these tests; its log is calm at the end."""
    running = Relay(tmp_path_factory.mktemp("programs"), "--tcp-ports", "23700-23799")
    try:
        yield running.ready()
        running.assert_calm()
    finally:
        running.end()


# -- git


class GitPages(http.server.BaseHTTPRequestHandler):
    """``git http-backend`` as a CGI program (RFC 3875); ``root`` is the folder of the repositories."""

    protocol_version = "HTTP/1.1"
    root: Path

    def do_GET(self) -> None:
        self._ask_git(b"")

    def do_POST(self) -> None:
        length = self.headers["Content-Length"]
        self._ask_git(self.rfile.read(int(length)) if length else b"".join(self._chunks()))

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _ask_git(self, body: bytes) -> None:
        url = urlsplit(self.path)
        variables = {
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REMOTE_USER": "visitor",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        head, _, content = run(["git", "http-backend"], env=variables, data=body).stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


def git(folder: Path, *words: str) -> str:
    """git in a folder, with nobody's own settings."""
    settings = ["-c", "user.name=Visitor", "-c", "user.email=visitor@example.org", "-c", "init.defaultBranch=main"]
    surroundings = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
    done = run([program("git"), *settings, *words], cwd=folder, env=surroundings | {"no_proxy": "*"})
    return done.stdout.decode().strip()


def test_git_clone_push_and_fetch_over_http(tmp_path: Path, connect: Callable[..., Client]) -> None:
    """A clone, a push of 4 MiB in chunks, and a pull of it by another clone: the same commits everywhere."""
    git(tmp_path, "init", "--bare", "origin.git")
    git(tmp_path / "origin.git", "config", "http.receivepack", "true")
    git(tmp_path, "clone", str(tmp_path / "origin.git"), "author")
    author = tmp_path / "author"
    (author / "first").write_bytes(next(blocks(1)))
    git(author, "add", "first")
    git(author, "commit", "-m", "first")
    git(author, "push", "origin", "HEAD:main")

    class Pages(GitPages):
        root = tmp_path

    with WebService(Pages) as service:
        url = connect("--local", str(service.port)).url()
        git(tmp_path, "clone", "--branch", "main", f"{url}/origin.git", "one")
        git(tmp_path, "clone", "--branch", "main", f"{url}/origin.git", "two")
        (tmp_path / "one" / "large").write_bytes(b"".join(os.urandom(MIB) for _ in range(4)))
        git(tmp_path / "one", "add", "large")
        git(tmp_path / "one", "commit", "-m", "large")
        git(tmp_path / "one", "-c", "http.postBuffer=65536", "push", "origin", "main")
        git(tmp_path / "two", "pull")
    heads = {git(tmp_path / place, "rev-parse", "main") for place in ("origin.git", "one", "two")}
    assert len(heads) == 1
    assert git(tmp_path / "two", "log", "--format=%s") == "large\nfirst"
    assert git(tmp_path / "two", "fsck", "--full") == ""
    assert sha256_of(tmp_path / "one" / "large") == sha256_of(tmp_path / "two" / "large")


def test_git_clone_of_plain_files(tmp_path: Path, connect: Callable[..., Client], nginx: Any) -> None:
    """The dumb protocol: git walks through hundreds of small files that nginx serves."""
    place = Path(tempfile.mkdtemp(dir=nginx.www))
    git(tmp_path, "init", "author")
    for number in range(20):
        (tmp_path / "author" / f"file{number}").write_text(f"{number}\n" * 1000)
        git(tmp_path / "author", "add", ".")
        git(tmp_path / "author", "commit", "-m", f"number {number}")
    git(tmp_path, "clone", "--bare", "author", str(place / "plain.git"))
    git(place / "plain.git", "update-server-info")
    url = connect("--local", str(nginx.port)).url()
    git(tmp_path, "clone", f"{url}/{place.name}/plain.git", "copy")
    assert git(tmp_path / "copy", "rev-parse", "HEAD") == git(tmp_path / "author", "rev-parse", "HEAD")
    assert git(tmp_path / "copy", "fsck", "--full") == ""


# -- ssh and rsync


@attrs.frozen
class Account:
    """An account behind a tunnel: ``ssh`` is the command that reaches it, without the host's name."""

    port: int
    ssh: list[str]

    def run(self, command: str, data: bytes | None = None, status: int = 0) -> bytes:
        """A command there."""
        return run([*self.ssh, "localhost", command], data=data, status=status).stdout


@pytest.fixture
def account(tmp_path: Path, start: Callable[[Daemon], Daemon], connect: Callable[..., Client]) -> Account:
    """A real sshd with keys of its own, reached by its public port."""
    sshd, keygen, ssh = program("sshd"), program("ssh-keygen"), program("ssh")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd drops its rights into this folder
    for name in ("host", "user"):
        run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)])
    port = free_port()
    config = tmp_path / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nPidFile none\nStrictModes no\nUsePAM no\n"
        f"AuthorizedKeysFile {tmp_path}/user.pub\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
    )
    start(Daemon([sshd, "-D", "-e", "-f", str(config)], tmp_path))
    listening(port)
    public = connect("--local", f"localhost:{port}", "--tcp", "0").tcp_port()
    kind, key = (tmp_path / "host.pub").read_text().split()[:2]
    (tmp_path / "known").write_text(f"[localhost]:{public} {kind} {key}\n")
    options = [f"IdentityFile={tmp_path}/user", f"UserKnownHostsFile={tmp_path}/known", "IdentitiesOnly=yes"]
    options += ["BatchMode=yes", "StrictHostKeyChecking=yes", f"User={getpass.getuser()}", f"Port={public}"]
    command = [ssh, "-F", "none", *(word for option in options for word in ("-o", option))]
    return Account(public, command)


def test_ssh(account: Account) -> None:
    """The host's own key is seen; commands, their status, what they read and what they write come through."""
    assert account.run("echo hello from there") == b"hello from there\n"
    account.run("exit 7", status=7)
    data = b"".join(blocks(8))
    assert account.run("cat", data=data) == data


def test_ssh_conversation(account: Account) -> None:
    """A line at a time in both directions: nothing waits for more."""
    with subprocess.Popen([*account.ssh, "localhost", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as there:
        assert there.stdin is not None
        assert there.stdout is not None
        for number in range(20):
            there.stdin.write(b"line %d\n" % number)
            there.stdin.flush()
            assert there.stdout.readline() == b"line %d\n" % number
        there.stdin.close()
        assert there.wait(30) == 0


def test_rsync_there_and_back(account: Account, tmp_path: Path) -> None:
    """A tree goes there, is changed, and only the change comes back; rsync checks every file by its digest."""
    rsync = [program("rsync"), "--archive", "--checksum", "--delete", "-e", " ".join(account.ssh)]
    here, there, back = (tmp_path / name for name in ("here", "there", "back"))
    (here / "deep" / "er").mkdir(parents=True)
    for number, block in enumerate(blocks(8)):
        (here / "deep" / f"{number}").write_bytes(block)
    (here / "deep" / "er" / "empty").touch()
    run([*rsync, f"{here}/", f"localhost:{there}/"])
    with (there / "deep" / "3").open("r+b") as changed:
        changed.seek(500_000)
        changed.write(b"changed")
    shutil.copytree(here, back)
    run([*rsync, f"localhost:{there}/", f"{back}/"])
    run(["diff", "--recursive", str(there), str(back)])
    assert run(["diff", "--recursive", str(here), str(there)], status=1).stdout.count(b"differ") == 1


# -- PostgreSQL


@pytest.fixture
def database(start: Callable[[Daemon], Daemon]) -> Iterator[int]:
    """The local port of a PostgreSQL server of our own; it refuses to run as root, so root lends it another name."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    programs = found[-1] if found else None
    initdb, server = program("initdb", programs), program("postgres", programs)
    place = Path(tempfile.mkdtemp(prefix="egtunnel-pg-"))
    become: list[str] = []
    if os.geteuid() == 0:
        become = [program("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups"]
        os.chown(place, 65534, 65534)
    try:
        run(
            [*become, initdb, "-D", f"{place}/data", "-U", "visitor", "-A", "trust", "-E", "UTF8", "--no-sync"],
            cwd=place,
        )
        port = free_port()
        options = ["-D", f"{place}/data", "-p", str(port), "-h", "127.0.0.1", "-k", str(place), "-c", "fsync=off"]
        running = start(Daemon([*become, server, *options], place))
        running.wait_for("ready to accept connections")
        yield port
        running.stop()
    finally:
        shutil.rmtree(place, ignore_errors=True)


def test_psql(database: int, connect: Callable[..., Client], tmp_path: Path) -> None:
    """Queries, a large result, COPY both ways, an error, and several sessions at once."""
    psql = program("psql")
    public = connect("--local", str(database), "--tcp", "0").tcp_port()

    def ask(query: str, port: int = public, **options: Any) -> str:
        target = ["-h", "127.0.0.1", "-p", str(port), "-U", "visitor", "-d", "postgres"]
        return run([psql, "-X", "-q", "-A", "-t", *target, "-c", query], **options).stdout.decode().strip()

    assert ask("select 6 * 7") == "42"
    large = "select n, md5(n::text), repeat('x', 100) from generate_series(1, 50000) as n"
    assert ask(large) == ask(large, port=database)
    ask("create table words (n int, word text)")
    rows = "".join(f"{number}\tword {number}\n" for number in range(100_000))
    ask("copy words from stdin", data=rows.encode())
    assert ask("select count(*), sum(n) from words") == "100000|4999950000"
    assert ask("copy (select * from words order by n) to stdout") + "\n" == rows
    with pytest.raises(AssertionError, match="division by zero"):
        ask("select 1 / 0")
    with contextlib.ExitStack() as stack:
        target = ["-h", "127.0.0.1", "-p", str(public), "-U", "visitor", "-d", "postgres"]
        sessions = [
            stack.enter_context(subprocess.Popen([psql, "-X", "-A", "-t", *target, "-c", "select pg_sleep(0.5), 7"]))
            for _ in range(10)
        ]
        assert [session.wait(60) for session in sessions] == [0] * 10
