"""SIGHUP, with real daemons: the difference is applied, and nobody else notices."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.integration.daemons import PATIENCE, Client, Daemon, Relay, SecureRelay, environment
from tests.integration.papers import Papers
from tests.integration.programs import program
from tests.integration.rawhttp import Connection, get
from tests.integration.steady import SteadyLoad
from tests.integration.test_certificates import serial
from tests.integration.upstreams import Nginx, Upstream

Start = Callable[[Daemon], Daemon]
HELLO = b"hello from nginx\n"


def tunnels(file: Path, named: dict[str, str]) -> None:
    """A configuration with these tunnels: name to the lines that follow it."""
    file.write_text("".join(f'[[tunnel]]\nname = "{name}"\n{lines}\n\n' for name, lines in named.items()))


def hang_up(daemon: Daemon, expected: str) -> None:
    """Send SIGHUP and wait for a line."""
    before = len(daemon.lines)
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.wait_for(expected, after=before)


def all_claimed(client: Client, count: int) -> None:
    """Wait until so many tunnels have their URL."""
    for number in range(count):
        client.wait_for(rf"^http://t{number}\.")


def test_one_tunnel_of_fifty_comes_and_one_goes_under_load(
    relay: Relay, connect: Callable[..., Client], nginx: Nginx, tmp_path: Path
) -> None:
    """The other 49 serve every request of a steady load."""
    file = tmp_path / "client.toml"
    lines = {f"t{number}": f'local = "{nginx.port}"' for number in range(51)}
    tunnels(file, {name: text for name, text in lines.items() if name != "t50"})
    client = connect("--config", str(file))
    all_claimed(client, 50)
    with SteadyLoad(relay.port, [relay.host(f"t{number}") for number in range(1, 50)], "/hello", HELLO) as load:
        load.more(100)
        tunnels(file, {name: text for name, text in lines.items() if name != "t0"})
        hang_up(client, "^added t50")
        client.wait_for(r"^http://t50\.")
        load.more(300)
    print(f"{load.served} requests served")
    assert load.failures == []
    assert "removed t0" in client.output and "changed" not in client.output
    assert (get(relay.port, relay.host("t50"), "/hello").body, get(relay.port, relay.host("t0")).status) == (HELLO, 404)
    client.assert_calm()
    relay.assert_calm()


def test_other_settings_of_a_tunnel_cost_no_request(
    relay: Relay, connect: Callable[..., Client], nginx: Nginx, tmp_path: Path
) -> None:
    """Its target and its policy are changed again and again under load; the last word holds."""
    file = tmp_path / "client.toml"

    def other(connection: object) -> None:
        connection.recv(65_536)  # type: ignore[attr-defined]
        connection.sendall(  # type: ignore[attr-defined]
            b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nother\n"
        )

    with Upstream(other) as upstream:
        tunnels(file, {"app": f'local = "{nginx.port}"'})
        client = connect("--config", str(file))
        client.url()
        with SteadyLoad(relay.port, [relay.host("app")], "/hello", HELLO, b"other\n") as load:
            load.more(30)
            for turn in range(6):
                port = nginx.port if turn % 2 else upstream.port
                tunnels(file, {"app": f'local = "{port}"\nresponse-header-set = ["X-Turn: {turn}"]'})
                hang_up(client, "^changed app")
                load.more(30)
        assert load.failures == []
        last = get(relay.port, relay.host("app"), "/hello")
        assert (last.body, last.headers["x-turn"]) == (HELLO, "5")
    client.assert_calm()
    relay.assert_calm()


def test_a_tcp_port_stays_open_while_its_target_changes(
    relay: Relay, connect: Callable[..., Client], tmp_path: Path
) -> None:
    """Who is connected stays with the service of before, who comes next reaches the new one."""
    file = tmp_path / "client.toml"

    def echo(word: bytes) -> Callable[..., None]:
        def serve(connection: object) -> None:
            while data := connection.recv(100):  # type: ignore[attr-defined]
                connection.sendall(word + data)  # type: ignore[attr-defined]

        return serve

    with Upstream(echo(b"1")) as first, Upstream(echo(b"2")) as second:
        file.write_text(f'[[tunnel]]\nlocal = "{first.port}"\ntcp = 23050\n')
        client = connect("--config", str(file))
        client.tcp_port()
        with Connection(23050) as old:
            old.send(b"a")
            assert old._take(2) == b"1a"
            file.write_text(f'[[tunnel]]\nlocal = "{second.port}"\ntcp = 23050\n')
            hang_up(client, "^changed TCP port 23050")
            with Connection(23050) as new:
                new.send(b"b")
                answer = new._take(2)
            old.send(b"c")
            assert (answer[1:], old._take(2)) == (b"b", b"1c")
        with Connection(23050) as new:
            new.send(b"d")
            assert new._take(2) == b"2d"


def test_a_bad_file_changes_nothing(relay: Relay, connect: Callable[..., Client], nginx: Nginx, tmp_path: Path) -> None:
    """It is named in one line, and the tunnels stay; the next good one is applied. Other options wait for a restart."""
    file = tmp_path / "client.toml"
    tunnels(file, {"app": f'local = "{nginx.port}"'})
    client = connect("--config", str(file))
    client.url()
    for text in ("[[tunnel]\n", '[[tunnel]]\nlocal = "8080"\nnmae = "x"\n', '[[tunnel]]\nlocal = "tcp:nowhere"\n', ""):
        file.write_text(text)
        hang_up(client, "^reload: .*, nothing changed$")
        assert get(relay.port, relay.host("app"), "/hello").body == HELLO
    file.unlink()
    hang_up(client, "^reload: --config: cannot read .*, nothing changed$")
    file.write_text(f'resume-window = 5\n[[tunnel]]\nname = "other"\nlocal = "{nginx.port}"\n')
    hang_up(client, "^reload: not applied before a restart: --resume-window$")
    client.wait_for(r"^http://other\.")
    assert get(relay.port, relay.host("other"), "/hello").body == HELLO
    client.assert_calm()


def test_the_relays_certificate_and_token_are_replaced(
    tmp_path: Path, papers: Papers, start: Start, nginx: Nginx
) -> None:
    """Who is connected stays and serves; new handshakes show the new certificate, and the old token opens no more."""
    token = tmp_path / "relay-token"
    write_token(token, "the-first-token-of-this-relay")
    file = tmp_path / "relay.toml"
    file.write_text(f'token-file = "{token}"\ntcp-ports = "none"\n')
    relay = SecureRelay(tmp_path, papers.domain, papers.ca, *papers.relay_options, "--config", str(file))
    start(relay)
    relay.ready()
    first = Client(relay, "--local", str(nginx.port), "--name", "app", "--token-file", str(token))
    start(first)
    first.url()
    shown = serial(relay.port, papers.domain)
    old = tmp_path / "old-token"
    write_token(old, token.read_text())

    papers.issue(papers.domain, f"*.{papers.domain}", "localhost", "127.0.0.1")
    write_token(token, "the-second-token-of-this-relay")
    file.write_text(f'token-file = "{token}"\ntcp-ports = "24100-24110"\nhold = 1\n')
    hang_up(relay, "^reload: changed --hold; files are read again$")
    relay.wait_for("^reload: not applied before a restart: --tcp-ports$")
    assert serial(relay.port, papers.domain) != shown
    connection = papers.visit(f"https://app.{papers.domain}:{relay.port}")
    connection.request("GET", "/hello")
    assert connection.getresponse().read() == HELLO

    late = Client(relay, "--local", "1", "--token-file", str(old), "--state", str(tmp_path / "late"))
    start(late)
    assert late.exit_status() == 1 and "does not know this token" in late.output
    new = Client(relay, "--local", str(nginx.port), "--token-file", str(token), "--state", str(tmp_path / "new"))
    start(new)
    new.url()

    first.stop()
    again = Client(relay, "--local", str(nginx.port), "--name", "app", "--token-file", str(token))
    start(again)
    again.url()  # the name is still its own, though it shows another token now

    file.write_text("hold = 'soon'\n")
    hang_up(relay, "^reload: .*--hold.*, nothing changed$")
    for daemon in (relay, first, new, again):
        daemon.assert_calm()
    assert "token-of-this-relay" not in relay.output + first.output + new.output


def write_token(file: Path, token: str) -> None:
    """A file with a token that nobody else can read."""
    file.touch(mode=0o600)
    file.write_text(token.strip() + "\n")


def test_a_client_ends_with_its_terminal(relay: Relay) -> None:
    """Who closes the window sends SIGHUP, too: nobody would be there to stop it later."""
    ours, its = pty.openpty()

    twistd = Path(sys.executable).with_name("twistd")
    process = subprocess.Popen(
        [
            program("setsid"),
            "--ctty",
            str(twistd),
            "-n",
            "egclient",
            *relay.link_options,
            "--local",
            "1",
            "--name",
            "app",
        ],
        cwd=relay.home,
        env={**os.environ, **environment(relay.home / "state")},
        stdin=its,
        stdout=its,
        stderr=its,
    )
    try:
        os.close(its)
        read_until(ours, b"->")
        os.kill(process.pid, signal.SIGHUP)
        read_until(ours, b"reload: nothing changed")
        os.close(ours)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()


def read_until(terminal: int, word: bytes) -> None:
    """Read what a program writes to its terminal until the word has come; an OSError if it ends before."""
    seen = b""
    while word not in seen:
        seen += os.read(terminal, 4096)
