"""Every limit a visitor or a client can meet from the outside: what lies beyond it gets its name, the rest goes on."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from egtunnel.errors import HandshakeError, OverLimit, Superseded
from egtunnel.mux.frames import FrameType
from tests.integration.daemons import Client, Daemon, Relay, free_port, until
from tests.integration.house import calm_since
from tests.integration.rawhttp import Connection, connect_many, get
from tests.integration.rawlink import LinkEnded, RawLink, frame, message, token_of
from tests.integration.upstreams import Nginx, Upstream

Start = Callable[[Daemon], Daemon]
Links = Callable[[Relay], RawLink]


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory, nginx: Nginx) -> Iterator[Relay]:
    """A relay with its default limits, and the honest tunnel ``good``."""
    with contextlib.ExitStack() as stack:
        relay = Relay(tmp_path_factory.mktemp("usual"), "--tcp-ports", f"{free_port()}", "--hold", "1")
        stack.callback(relay.end)
        client = Client(relay.ready(), "--local", str(nginx.port), "--name", "good")
        stack.callback(client.end)
        client.url()
        yield relay
        client.assert_calm()


@pytest.fixture(scope="module", autouse=True)
def silent(usual: Relay) -> Iterator[RawLink]:
    """A link that says nothing from the beginning of this module on; the last test looks what became of it."""
    with RawLink(usual.port) as link:
        yield link


@pytest.fixture(autouse=True)
def _the_rest_goes_on(usual: Relay) -> Iterator[None]:
    """After each test the honest tunnel of the relay with usual limits serves, and its log is calm."""
    line = len(usual.lines)
    yield
    assert get(usual.port, usual.host("good"), "/hello").body == b"hello from nginx\n"
    calm_since(usual, line)


@pytest.fixture
def links() -> Iterator[Links]:
    """``links(relay)``: a link that is closed with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda relay: stack.enter_context(RawLink(relay.port))


def special(tmp_path: Path, start: Start, *options: str) -> Relay:
    """A relay with other limits."""
    relay = Relay(tmp_path, *options)
    start(relay)
    return relay.ready()


# -- clients


def test_one_client_too_many_is_asked_to_come_back_and_let_in_later(tmp_path: Path, start: Start, links: Links) -> None:
    """With ``--max-clients 2`` the third is refused, ``full``, and told when to come; when one leaves it may."""
    relay = special(tmp_path, start, "--max-clients", "2", "--resume-window", "0")
    token = token_of(relay)
    first, second = links(relay), links(relay)
    first.log_in(token)
    second.log_in(token)
    third = links(relay)
    third.hello(token)
    refused = third.read_message("refused")
    assert (refused["code"], refused["retry"]) == ("full", True)
    assert refused["after"] > 0
    assert first.claim()["type"] == "claimed"
    second.socket.close()
    relay.wait_for("is over")
    links(relay).log_in(token)
    relay.assert_calm()


def test_links_that_wait_to_say_hello_are_counted(tmp_path: Path, start: Start, links: Links) -> None:
    """256 may; the next is closed with over-limit; one that says hello is let in and makes room for another."""
    relay = special(tmp_path, start)
    waiting = [links(relay) for _ in range(256)]
    refused = links(relay)
    assert refused.read()[:1] == bytes([FrameType.GOAWAY])
    with pytest.raises(LinkEnded) as end:
        refused.read()
    assert end.value.code == 4000 + OverLimit.code
    waiting[0].log_in(token_of(relay))
    links(relay).log_in(token_of(relay))
    calm_since(relay, 0)


def test_a_newer_link_of_the_same_client_takes_over(usual: Relay, links: Links) -> None:
    """The older one is told that it was superseded; the name moves with the client."""
    token, identity = token_of(usual), os.urandom(16).hex()
    older, newer = links(usual), links(usual)
    older.log_in(token, identity)
    assert older.claim(name="moves")["type"] == "claimed"
    newer.log_in(token, identity)
    assert older.ending()[0] == 4000 + Superseded.code
    assert newer.claim(name="moves")["type"] == "claimed"


def test_a_message_of_a_mebibyte_is_taken_and_a_longer_one_ends_the_link(usual: Relay, links: Links) -> None:
    """1 MiB of frames is answered; one more frame ends the link as too big (1009)."""
    link = links(usual)
    link.log_in(token_of(usual))
    ping = frame(FrameType.PING, 0, b"12345678")
    pieces = [ping] * (65_536 - 4096) + [message("nonsense", padding="x" * 65_470)]
    assert len(b"".join(pieces)) <= 1_048_576
    link.send(*pieces)
    link.read_message("notice")
    link.send(*[ping] * 65_537)
    assert link.ending()[0] == 1009


# -- tunnels of one client


def test_one_tunnel_too_many_is_refused_and_the_others_stay(usual: Relay, links: Links) -> None:
    """100 tunnels; the next claim is refused, ``too-many-tunnels``; a release makes room for one."""
    link = links(usual)
    welcome = link.log_in(token_of(usual))
    most = welcome["limits"]["tunnels"]
    for number in range(1, most + 1):
        assert link.claim(number, key=f"k{number}")["type"] == "claimed"
    refused = link.claim(most + 1)
    assert (refused["code"], refused["tunnel"], refused.get("retry", False)) == ("too-many-tunnels", most + 1, False)
    link.send(message("release", tunnel=1))
    assert link.claim(most + 1)["type"] == "claimed"


NAMES: dict[str, str] = {
    **dict.fromkeys(["www", "WWW", "www.", "admin", "api", "mail", "_acme-challenge", "connect"], "reserved-name"),
    **dict.fromkeys(
        ["-a", "a-", "a_b", "a b", "a.b", "ä", "x" * 64, "xn--abc", "a/b", "a\r\nb", "\0", "."], "bad-name"
    ),
}


@pytest.mark.parametrize(("name", "code"), NAMES.items(), ids=map(ascii, NAMES))
def test_a_name_that_cannot_be_is_refused_by_its_reason(usual: Relay, links: Links, name: str, code: str) -> None:
    """Reserved or malformed, whatever its case and dots; the next claim of the same client is granted."""
    link = links(usual)
    link.log_in(token_of(usual))
    refused = link.claim(1, name=name)
    assert (refused["type"], refused.get("code"), refused.get("retry", False)) == ("refused", code, False)
    assert link.claim(2)["type"] == "claimed"


@pytest.mark.parametrize(
    "host",
    ["localhost", "app.localhost", "LOCALHOST.", "127.0.0.1", "127.1", "::1", "single", "a..b", "a b.com", "ä.com"],
)
def test_a_host_that_cannot_be_is_refused(usual: Relay, links: Links, host: str) -> None:
    """The relay's own domain, addresses and nonsense are no hosts of a client's own."""
    link = links(usual)
    link.log_in(token_of(usual))
    assert link.claim(host=host)["code"] == "bad-host"


@pytest.mark.parametrize(
    ("claim", "code"),
    [
        ({"kind": "sctp"}, "bad-kind"),
        ({"tunnel": 0}, "bad-number"),
        ({"name": "a", "host": "a.example"}, "bad-name"),
        ({"host_header": "a\r\nX-Evil: b"}, "bad-host"),
        ({"kind": "tcp", "port": 22}, "port-out-of-range"),
        ({"kind": "tcp", "port": 70_000}, "port-out-of-range"),
    ],
    ids=["kind", "number", "name and host", "Host header", "a low port", "no port at all"],
)
def test_a_claim_that_cannot_be_is_refused_by_its_reason(
    usual: Relay, links: Links, claim: dict[str, Any], code: str
) -> None:
    """Each with its code; the session goes on."""
    link = links(usual)
    link.log_in(token_of(usual))
    assert link.claim(**claim).get("code") == code
    assert link.claim(9)["type"] == "claimed"


def test_what_another_client_has_is_taken(usual: Relay, links: Links) -> None:
    """Name, host and port, each refused by name to a second client."""
    one, other = links(usual), links(usual)
    one.log_in(token_of(usual))
    other.log_in(token_of(usual))
    wanted: list[tuple[dict[str, Any], str]] = [
        ({"name": "mine"}, "name-taken"),
        ({"host": "mine.example"}, "host-taken"),
        ({"kind": "tcp"}, "no-free-port"),  # the range holds one port
    ]
    for number, (claim, code) in enumerate(wanted, 1):
        assert one.claim(number, **claim)["type"] == "claimed"
        assert other.claim(number, **claim)["code"] == code
    other.send(message("claim", tunnel=4, kind="http", name="MINE."))
    assert other.read_message("refused")["code"] == "name-taken"


def test_a_port_that_another_program_has_is_worth_another_try(tmp_path: Path, start: Start, links: Links) -> None:
    """The port of the range is taken by a stranger: refused with ``retry``; once it is free the claim is granted."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        relay = special(tmp_path, start, "--tcp-ports", str(port))
        link = links(relay)
        link.log_in(token_of(relay))
        refused = link.claim(kind="tcp", port=port)
        assert (refused["code"], refused["retry"]) == ("port-unavailable", True)
        assert link.claim(kind="tcp", port=0)["code"] == "no-free-port"
    assert link.claim(kind="tcp", port=port)["type"] == "claimed"
    relay.assert_calm()


def test_a_client_with_a_reserved_name_ends_with_one_clear_line(usual: Relay, start: Start) -> None:
    """The real client: exit status 1, and a line that names the name."""
    client = Client(usual, "--local", "8080", "--name", "admin")
    start(client)
    assert client.exit_status() == 1
    assert "admin is reserved" in client.output
    client.assert_calm()


# -- visitors


def never_answer(connection: socket.socket) -> None:
    """Take what comes and say nothing."""
    while connection.recv(65_536):
        pass


THREE = ("--max-channels", "3")


@pytest.mark.parametrize(("relays", "clients"), [(THREE, ()), ((), THREE)], ids=["of the relay", "of the client"])
def test_one_visitor_too_many_gets_over_limit_and_the_others_stay(
    tmp_path: Path, start: Start, nginx: Nginx, relays: tuple[str, ...], clients: tuple[str, ...]
) -> None:
    """``--max-channels 3``: three visitors wait for an answer, the fourth gets 429; other clients' visitors do not."""
    relay = special(tmp_path, start, *relays)
    with Upstream(never_answer) as upstream, contextlib.ExitStack() as stack:
        client = Client(relay, "--local", str(upstream.port), "--name", "slow", *clients)
        start(client)
        client.url()
        request = f"GET / HTTP/1.1\r\nHost: {relay.host('slow')}\r\n\r\n".encode()
        visitors = connect_many(stack, relay.port, 3)
        for visitor in visitors:
            visitor.send(request)
        with until("the fourth visitor to be refused") as deadline:
            while time.monotonic() < deadline:
                with Connection(relay.port, timeout=1.0) as fourth, contextlib.suppress(TimeoutError):
                    fourth.send(request)
                    answer = fourth.answer()
                    break
        assert (answer.status, answer.error) == (429, "over-limit"), answer
        assert "retry-after" in answer.headers
        other = Client(relay, "--local", str(nginx.port), "--name", "other")
        start(other)
        other.url()
        assert get(relay.port, relay.host("other"), "/hello").status == 200, "the limit is one client's alone"
    relay.assert_calm()
    client.assert_calm()


def test_one_visitor_too_many_at_a_tcp_port_is_closed_at_once(tmp_path: Path, start: Start) -> None:
    """1,000 connections at one port are served; the next is closed; when some leave, the next is served."""

    def echo(connection: socket.socket) -> None:
        while data := connection.recv(100):
            connection.sendall(data)

    relay = special(tmp_path, start, "--tcp-ports", str(free_port()))
    with Upstream(echo) as upstream, contextlib.ExitStack() as stack:
        client = Client(relay, "--local", str(upstream.port), "--tcp", "0")
        start(client)
        port = client.tcp_port()
        visitors = connect_many(stack, port, 1000)
        for visitor in visitors:
            visitor.send(b"hello")
        for visitor in visitors:
            assert visitor.socket.recv(100) == b"hello"
        with Connection(port) as beyond:
            assert beyond.rest() == b""
        visitors[0].send(b"again")
        assert visitors[0].socket.recv(100) == b"again"
        for visitor in visitors[500:]:
            visitor.socket.close()
        with until("room for a visitor") as deadline:
            while time.monotonic() < deadline:
                with Connection(port) as late:
                    late.send(b"late")
                    late.finish()
                    if late.rest() == b"late":
                        break
    relay.assert_calm()
    client.assert_calm()


def test_many_visitors_wait_while_a_client_is_slow_to_accept_them(tmp_path: Path, start: Start, nginx: Nginx) -> None:
    """1,500 come while it stands still, and none is cut."""
    relay = special(tmp_path, start, "--tcp-ports", str(free_port()), "--max-per-port", "2000")
    client = Client(relay, "--local", str(nginx.port), "--tcp", "0")
    start(client)
    port = client.tcp_port()
    with contextlib.ExitStack() as stack:
        client.process.send_signal(signal.SIGSTOP)
        visitors = connect_many(stack, port, 1500)
        for visitor in visitors:
            visitor.send(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        with until("the relay to have all of them") as deadline:
            while len(os.listdir(f"/proc/{relay.pid}/fd")) < 1500 and time.monotonic() < deadline:
                time.sleep(0.05)
        client.process.send_signal(signal.SIGCONT)
        for visitor in visitors:
            assert visitor.answer().status == 200
    relay.assert_calm()
    client.assert_calm()


def test_a_visitor_waits_for_a_client_that_is_away_and_gets_client_away(usual: Relay, links: Links) -> None:
    """After the hold: 503, client-away, with Retry-After; a name that never was gets 404 at once."""
    link = links(usual)
    link.log_in(token_of(usual))
    link.claim(name="leaves")
    link.socket.close()
    usual.wait_for("is over")
    answer = get(usual.port, usual.host("leaves"))
    assert (answer.status, answer.error) == (503, "client-away")
    assert int(answer.headers["retry-after"]) > 0
    answer = get(usual.port, usual.host("never-was"))
    assert (answer.status, answer.error) == (404, "unknown-tunnel")


def test_the_waiting_room_holds_a_thousand_and_all_of_them_are_served(
    tmp_path: Path, start: Start, nginx: Nginx
) -> None:
    """1,001 visitors come while the client is away: the last is told so at once, the others are served in the end."""
    relay = special(tmp_path, start, "--hold", "60", "--max-per-address", "2000", "--resume-window", "0")
    options = ("--local", str(nginx.port), "--name", "back")
    client = Client(relay, *options)
    start(client)
    client.url()
    client.kill()
    relay.wait_for("is over")
    request = f"GET /hello HTTP/1.1\r\nHost: {relay.host('back')}\r\nConnection: close\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        visitors = connect_many(stack, relay.port, 1001)
        for visitor in visitors:
            visitor.send(request)
        last = select.poll()
        last.register(visitors[-1].socket, select.POLLIN)
        assert last.poll(30_000), "the last is over the limit"
        answer = visitors.pop().answer()
        assert (answer.status, answer.error) in ((503, "client-away"), (429, "over-limit"))
        again = Client(relay, *options)
        start(again)
        assert {visitor.answer().status for visitor in visitors} == {200}
    relay.assert_calm()
    again.assert_calm()


def test_a_link_that_does_not_say_hello_in_time_is_ended(silent: RawLink) -> None:
    """The close code is that of a handshake error, and the reason says what was missing."""
    with pytest.raises(LinkEnded, match="hello") as end:
        silent.read_message("welcome")
    assert end.value.code == 4000 + HandshakeError.code
