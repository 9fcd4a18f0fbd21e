"""The first minutes with egtunnel: two commands, a public URL, stable names, several tunnels, and clear refusals."""

from __future__ import annotations

import contextlib
import http.server
import socket
import ssl
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.client.certificates import Authority
from tests.integration.daemons import Client, Daemon, Relay, environment, free_port
from tests.integration.programs import curl, plain_lines
from tests.integration.rawhttp import Answer, get
from tests.integration.upstreams import Nginx, Upstream
from tests.proxies import certificate

Start = Callable[[Daemon], Daemon]
Connect = Callable[..., Client]

HELLO = b"hello from nginx\n"
TWISTD = str(Path(sys.executable).with_name("twistd"))


def answers(word: str) -> Callable[[socket.socket], None]:
    """A service that gives every request the same word, so that one knows who answered."""

    def serve(connection: socket.socket) -> None:
        while connection.recv(65_536):
            connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(word)}\r\n\r\n{word}".encode())

    return serve


def fetch(url: str, path: str = "/") -> Answer:
    """A GET of a public URL, by its whole host and port."""
    place = urlsplit(url)
    return get(place.port or 80, place.netloc, path)


def stranger(relay: Relay, folder: Path, *options: str, token: str | None = None) -> Client:
    """A client of another account: a state home of its own, the token given by a file."""
    file = folder / "stranger-token"
    file.write_text(token or (relay.home / "state/egtunnel/relay/token").read_text())
    return Client(relay, "--token-file", str(file), *options, env={"XDG_STATE_HOME": str(folder / "stranger")})


# -- two commands


def test_two_commands_without_options_make_a_tunnel(tmp_path: Path, start: Start, nginx: Nginx) -> None:
    """``egrelay``, ``egclient --local PORT`` and ``curl URL``: nothing else is said, on port 7070."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 7070))
        except OSError:
            pytest.skip("port 7070 is in use on this machine")
    surroundings = environment(tmp_path / "state")
    relay = start(Daemon([TWISTD, "-n", "egrelay"], tmp_path, surroundings))
    relay.wait_for("^egrelay listens on 127.0.0.1:7070")
    assert relay.wait_for("^Connect a client: (.*)").group(1) == "twistd -n egclient --local 8080"
    client = start(Daemon([TWISTD, "-n", "egclient", "--local", str(nginx.port)], tmp_path, surroundings))
    url = client.wait_for(rf"^(http://[a-z0-9-]+\.localhost:7070) -> {nginx.port}$").group(1)
    assert curl(f"{url}/hello") == HELLO
    assert plain_lines(client) == [f"{url} -> {nginx.port}"]
    relay.assert_calm()
    client.assert_calm()


def test_the_two_may_start_in_either_order(tmp_path: Path, start: Start, nginx: Nginx) -> None:
    """A client that is there first waits for its relay, and for the token the relay is going to make."""
    port = free_port()
    options = ["--relay", f"ws://127.0.0.1:{port}", "--local", str(nginx.port)]
    client = start(Daemon([TWISTD, "-n", "egclient", *options], tmp_path, environment(tmp_path / "state")))
    client.wait_for("there is no token in")
    start(Relay(tmp_path, port=port))
    assert fetch(client.wait_for(r"^(http://\S+) -> ").group(1), "/hello").body == HELLO
    client.assert_calm()


def test_the_token_is_kept_from_others_and_never_shown(relay: Relay, connect: Connect, nginx: Nginx) -> None:
    """The state files are their owner's only; no log, no page and no argument holds the token."""
    client = connect("--local", str(nginx.port))
    page = curl(f"http://localhost:{relay.port}/").decode()
    client.url()
    state = relay.home / "state/egtunnel"
    token = (state / "relay/token").read_text().strip()
    assert len(token) >= 32
    for text in (relay.output, client.output, page):
        assert token not in text
    for file in state.rglob("*"):
        others = stat.S_IMODE(file.stat().st_mode) & 0o077
        assert not others, f"{file} can be read by others"


def test_the_relays_own_pages(relay: Relay) -> None:
    """The start page says what this is and how to connect; ``/healthz`` says that the relay is well."""
    page = curl(f"http://localhost:{relay.port}/").decode()
    assert "egtunnel" in page
    assert "egclient" in page
    assert get(relay.port, f"localhost:{relay.port}", "/healthz").status == 200


# -- refusals that end the client


def assert_given_up(client: Client, *words: str) -> None:
    """Exit status 1, exactly one line for the person, and that line says why."""
    assert client.exit_status(20) == 1
    lines = plain_lines(client)
    assert len(lines) == 1, client.output
    assert lines[0].startswith("egclient: ")
    for word in words:
        assert word in lines[0]
    client.assert_calm()


def test_a_wrong_token_ends_the_client_with_one_line(relay: Relay, tmp_path: Path, start: Start) -> None:
    """Status 1, one line, no traceback; the relay's log is calm, too."""
    client = stranger(relay, tmp_path, "--local", "8080", token="wrong" * 8)
    start(client)
    assert_given_up(client, "token")
    assert "wrongwrong" not in client.output + relay.output
    relay.assert_calm()


def test_a_name_of_somebody_else_ends_the_client_with_one_line(
    relay: Relay, connect: Connect, tmp_path: Path, start: Start, nginx: Nginx
) -> None:
    """Another identity with the right token cannot have the name, and its owner is not disturbed."""
    owner = connect("--local", str(nginx.port), "--name", "mine")
    assert owner.url() == f"http://mine.localhost:{relay.port}"
    other = stranger(relay, tmp_path, "--local", "8080", "--name", "mine")
    start(other)
    assert_given_up(other, "mine", "taken")
    assert fetch(owner.url(), "/hello").body == HELLO
    relay.assert_calm()


@pytest.mark.parametrize("name", ["www", "-bad-", "a.b"])
def test_a_name_that_nobody_may_have_ends_the_client_with_one_line(connect: Connect, name: str) -> None:
    """Reserved or malformed: the line says so and repeats the name."""
    assert_given_up(connect("--local", "8080", "--name", name), name)


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--local", "nonsense"),
        ("--local", "0"),
        ("--local", "8080", "--tcp", "70000"),
        ("--local", "8080", "--name", "a", "--host", "b.example"),
        ("--local", "8080", "--tcp", "0", "--name", "a"),
        ("--local", "https://localhost:1", "--local-ca", "/nowhere.pem"),
        ("--local", "8080", "--relay", "ws://192.0.2.1:7070", "--token", "x" * 32),
        ("--local", "8080", "--config", "/nowhere.toml"),
    ],
    ids=" ".join,
)
def test_options_that_cannot_work_are_said_at_once(connect: Connect, options: tuple[str, ...]) -> None:
    """Status 1 and a sentence, before anything is connected; never a traceback."""
    client = connect(*options)
    assert client.exit_status(20) == 1
    client.assert_calm()
    assert plain_lines(client), "nothing was said"


# -- names


def test_names_and_ports_stay_when_both_ends_restart(tmp_path: Path, start: Start, nginx: Nginx) -> None:
    """The chosen name, the wanted name and the TCP port are the same after relay and client were started again."""
    config = tmp_path / "tunnels.toml"
    local = f'local = "{nginx.port}"\n'
    config.write_text(f'[[tunnel]]\n{local}[[tunnel]]\n{local}name = "wanted"\n[[tunnel]]\n{local}tcp = 0\n')
    options = ("--tcp-ports", "23100-23199")

    def addresses() -> list[str]:
        client = Client(relay, "--config", str(config))
        start(client)
        found = sorted(
            client.wait_for(rf"^({kind}) -> ").group(1) for kind in (r"http://wa\S+", r"http://\w+-\S+", r"tcp:\S+")
        )
        for url in found:
            assert curl(f"{url.replace('tcp:', 'http:')}/hello") == HELLO
        client.stop()
        return found

    relay = Relay(tmp_path, *options)
    start(relay)
    relay.ready()
    first = addresses()
    assert len(set(first)) == 3
    assert addresses() == first
    relay.stop()
    relay = Relay(tmp_path, *options, port=relay.port)
    start(relay)
    relay.ready()
    assert addresses() == first


def test_two_clients_of_one_account_are_two(connect: Connect) -> None:
    """With different targets, and with the same one: each has a name of its own and serves what it was started for."""
    with Upstream(answers("one")) as one, Upstream(answers("two")) as two:
        clients = [connect("--local", str(port)) for port in (one.port, two.port, one.port, one.port)]
        urls = [client.url() for client in clients]
        assert len(set(urls)) == 4
        assert [fetch(url).body for url in urls] == [b"one", b"two", b"one", b"one"]
        for client in clients:
            assert client.process.poll() is None
            client.assert_calm()


def test_two_clients_with_the_same_wanted_name_do_not_fight(connect: Connect, nginx: Nginx) -> None:
    """The second ends with one line; the first goes on."""
    first = connect("--local", str(nginx.port), "--name", "once")
    first.url()
    assert_given_up(connect("--local", str(nginx.port), "--name", "once"), "once", "taken")
    assert fetch(first.url(), "/hello").body == HELLO


# -- one client, several tunnels


def test_several_tunnels_from_a_toml_file(relay: Relay, connect: Connect, tmp_path: Path, nginx: Nginx) -> None:
    """A name, a host of one's own, a rewritten Host and a TCP port: one client, one file, each serves its target."""
    with Upstream(answers("second")) as second:
        config = tmp_path / "egclient.toml"
        config.write_text(
            f"""
            [[tunnel]]
            local = "http://127.0.0.1:{nginx.port}"
            name = "site"

            [[tunnel]]
            local = "{second.port}"
            host = "www.example.org"

            [[tunnel]]
            local = "localhost:{nginx.port}"
            name = "dev"
            host-header = "localhost:5173"

            [[tunnel]]
            local = "{second.port}"
            tcp = 0
            """
        )
        client = connect("--config", str(config))
        port = client.tcp_port()
        client.wait_for(r"^http://dev\.localhost:")
        client.wait_for(r"^http://www\.example\.org:")
        assert get(relay.port, relay.host("site"), "/hello").body == HELLO
        assert get(relay.port, f"www.example.org:{relay.port}").body == b"second"
        assert get(relay.port, relay.host("dev"), "/echo-headers").body.startswith(b"localhost:5173|")
        assert get(relay.port, relay.host("site"), "/echo-headers").body.startswith(relay.host("site").encode() + b"|")
        assert get(port, "whatever").body == b"second"
        assert len(plain_lines(client)) == 4


def test_one_refused_tunnel_does_not_end_the_others(
    relay: Relay, connect: Connect, tmp_path: Path, nginx: Nginx
) -> None:
    """The client says which one it goes on without, and serves the rest."""
    config = tmp_path / "egclient.toml"
    local = f'local = "{nginx.port}"\n'
    config.write_text(f'[[tunnel]]\n{local}name = "www"\n[[tunnel]]\n{local}name = "good"\n')
    client = connect("--config", str(config))
    assert client.url() == f"http://good.localhost:{relay.port}"
    client.wait_for("^www for .*reserved.*going on without it")
    assert get(relay.port, relay.host("good"), "/hello").body == HELLO


# -- targets


def test_a_unix_socket_as_target(connect: Connect, tmp_path: Path) -> None:
    """``unix:/path``: a real HTTP server behind a socket file."""
    path = tmp_path / "s"

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"by unix socket")

        def address_string(self) -> str:
            return "unix"

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    class Server(http.server.HTTPServer):
        address_family = socket.AF_UNIX

        def server_bind(self) -> None:
            self.socket.bind(str(path))

    server = Server(("", 0), Page)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        assert fetch(connect("--local", f"unix:{path}").url()).body == b"by unix socket"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def secure_service(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """An https service for ``localhost``: its port, and the file of the authority that vouches for it."""
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(authority, tmp_path, "localhost")["both"])

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(ssl.SSLError), context.wrap_socket(connection, server_side=True) as secured:
            answers("secure")(secured)

    with Upstream(serve) as service:
        yield service.port, authority.file


def test_an_https_target_is_verified(connect: Connect, secure_service: tuple[int, Path]) -> None:
    """Believed with its authority or by the user's own word; refused without, and for another name, with 502."""
    port, authority = secure_service
    known = connect("--local", f"https://localhost:{port}", "--local-ca", str(authority))
    assert fetch(known.url()).body == b"secure"
    blind = connect("--local", f"https://localhost:{port}", "--local-insecure")
    assert fetch(blind.url()).body == b"secure"
    unknown = connect("--local", f"https://localhost:{port}")
    wrong_name = connect("--local", f"https://127.0.0.1:{port}", "--local-ca", str(authority))
    for client in (unknown, wrong_name):
        answer = fetch(client.url())
        assert (answer.status, answer.error) == (502, "upstream-refused")
        client.wait_for("(?i)certificate")
        client.assert_calm()


# -- routing


def test_a_host_of_ones_own(relay: Relay, connect: Connect, nginx: Nginx) -> None:
    """``--host``: found whatever its case, port and final dot; hosts above and below it are not."""
    client = connect("--local", str(nginx.port), "--host", "App.Example.COM")
    assert client.url() == f"http://app.example.com:{relay.port}"
    for host in ("app.example.com", "APP.example.com", f"app.example.com:{relay.port}", "app.example.com."):
        assert get(relay.port, host, "/hello").body == HELLO
    for host in ("example.com", "www.app.example.com", "app.example.com.localhost"):
        assert get(relay.port, host, "/hello").error == "unknown-tunnel"


def test_routing_by_path_on_the_relays_own_host(relay: Relay, connect: Connect) -> None:
    """``/NAME/...``: the prefix is stripped and told in X-Forwarded-Prefix; the rest goes on byte for byte."""
    heads: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        while data := connection.recv(65_536):
            heads.append(data)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with Upstream(serve) as service:
        connect("--local", str(service.port), "--name", "app").url()
        assert get(relay.port, f"localhost:{relay.port}", "/app/a%2fb//./c?q=/app/").body == b"ok"
        assert get(relay.port, f"127.0.0.1:{relay.port}", "/app/").body == b"ok"
        bare = get(relay.port, f"localhost:{relay.port}", "/app?x=1")
    assert heads[0].startswith(b"GET /a%2fb//./c?q=/app/ HTTP/1.1\r\n")
    assert heads[1].startswith(b"GET / HTTP/1.1\r\n")
    assert all(b"x-forwarded-prefix: /app\r\n" in head.lower() for head in heads)
    assert bare.status // 100 == 3
    assert bare.headers["location"] == "/app/?x=1"
    assert len(heads) == 2


def test_the_service_learns_who_asks_from_the_relay_alone(connect: Connect, nginx: Nginx) -> None:
    """``X-Forwarded-For``, ``-Proto`` and ``Forwarded`` are the relay's; what the visitor claims is dropped."""
    url = connect("--local", str(nginx.port)).url()
    forged = ("-H", "X-Forwarded-For: 203.0.113.9", "-H", "Forwarded: for=203.0.113.9", "-H", "X-Forwarded-Proto: x")
    host, address, scheme, forwarded = curl(f"{url}/echo-headers", *forged).decode().strip().split("|")
    assert host == urlsplit(url).netloc
    assert address == "127.0.0.1"
    assert scheme == "http"
    assert "for=127.0.0.1" in forwarded
    assert "203.0.113.9" not in forwarded
