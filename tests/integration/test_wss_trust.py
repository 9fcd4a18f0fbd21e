"""Who believes whom on the link: certificates good and bad, of the relay and of the client, and what each is told."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.daemons import ROOT, Client, Daemon, SecureRelay, until
from tests.integration.papers import Papers
from tests.integration.programs import curl, plain_lines, program, run
from tests.integration.upstreams import Nginx

Start = Callable[[Daemon], Daemon]
StartSecure = Callable[..., SecureRelay]
Connect = Callable[..., Client]
HELLO = b"hello from nginx\n"


@pytest.fixture
def connect_to(nginx: Nginx, start: Start) -> Connect:
    """``connect_to(relay, *options)``: a client with the tunnel ``app`` to nginx, ended with the test."""

    def run(relay: SecureRelay, *options: str) -> Client:
        client = Client(relay, "--local", str(nginx.port), "--name", "app", *options)
        start(client)
        return client

    return run


def served(relay: SecureRelay, papers: Papers, *options: str) -> bytes:
    """What a visitor of the tunnel ``app`` gets."""
    url = f"https://{relay.host('app')}/hello"
    return curl(url, *papers.curl_options(relay.port), "--retry", "20", "--retry-all-errors", *options)


def moved(relay: SecureRelay, authority: Path, host: str) -> list[str]:
    """Options by which a client names the relay otherwise, or believes somebody else."""
    return ["--relay", f"wss://{host}:{relay.port}", "--ca", str(authority)]


def only_line(client: Client, pattern: str) -> str:
    """The line that matches, once the client has tried several times; it is the only one."""
    client.wait_for(pattern)
    time.sleep(2)  # some attempts more
    (line,) = plain_lines(client)
    assert client.process.poll() is None
    client.assert_calm()
    return line


def test_the_link_comes_back_after_a_restart_of_the_relay(
    papers: Papers, start_secure: StartSecure, connect_to: Connect
) -> None:
    """Over TLS as without: the same address again, by itself."""
    relay = start_secure()
    client = connect_to(relay)
    client.url()
    assert served(relay, papers) == HELLO
    relay.kill()
    again = start_secure(port=relay.port)
    client.wait_for("^connected again")
    assert served(again, papers) == HELLO
    again.assert_calm()
    client.assert_calm()


def test_a_relay_of_an_unknown_authority_is_not_believed(
    papers: Papers, start_secure: StartSecure, connect_to: Connect
) -> None:
    """The system's authorities do not know it, and another --ca does not either; it is said once, and tried again."""
    relay = start_secure()
    stranger = connect_to(relay, *moved(relay, papers.stranger().file, "127.0.0.1"))
    line = only_line(stranger, "nobody that is believed signed the certificate")
    assert "name its file with --ca FILE; trying again" in line
    relay.assert_calm()


def test_a_relay_under_another_name_is_not_believed(
    papers: Papers, start_secure: StartSecure, connect_to: Connect
) -> None:
    """A certificate for other names than the one in --relay; by a name that stands in it, it is believed."""
    papers.issue("localhost", "app.localhost")
    relay = start_secure("--domain", "localhost")
    client = connect_to(relay, *moved(relay, papers.ca, "127.0.0.1"))
    line = only_line(client, "TLS: ")
    assert "the certificate is for another name (localhost, app.localhost)" in line
    assert "not as 127.0.0.1; trying again" in line
    client.end()
    assert connect_to(relay, *moved(relay, papers.ca, "localhost")).url().startswith("https://app.localhost:")


def test_an_expired_certificate_is_waited_out(papers: Papers, start_secure: StartSecure, connect_to: Connect) -> None:
    """The client says so once, and is there when the relay has a new one."""
    names = (papers.domain, f"*.{papers.domain}", "127.0.0.1")
    papers.issue(*names, days=-1)
    relay = start_secure()
    client = connect_to(relay)
    assert "the certificate has expired (on " in only_line(client, "TLS: ")
    relay.end()
    papers.issue(*names)
    again = start_secure(port=relay.port)
    client.url()
    assert served(again, papers) == HELLO


# -- certificates of clients


def test_a_client_with_a_certificate_of_the_relays_authority_is_let_in(
    papers: Papers, start_secure: StartSecure, connect_to: Connect
) -> None:
    """--client-ca and --cert; visitors need none."""
    relay = start_secure("--client-ca", str(papers.ca))
    client = connect_to(relay, "--cert", str(papers.own()))
    client.url()
    assert served(relay, papers) == HELLO
    assert served(relay, papers, "--http2") == HELLO
    relay.assert_calm()
    client.assert_calm()


@pytest.mark.parametrize("link", ["tls", "websocket"])
def test_a_client_without_certificate_ends_with_one_line(
    papers: Papers, start_secure: StartSecure, connect_to: Connect, link: str
) -> None:
    """No further attempt can help, so there is none; the line names the options."""
    relay = start_secure("--client-ca", str(papers.ca))
    client = connect_to(relay, "--link", link)
    assert client.exit_status() == 1
    (line,) = plain_lines(client)
    assert line.startswith("egclient: the relay lets clients in by certificate only: give --cert FILE --key FILE")
    relay.assert_calm()


@pytest.mark.parametrize("link", ["tls", "websocket"])
def test_a_client_with_a_certificate_of_somebody_else_waits_for_a_person(
    papers: Papers, start_secure: StartSecure, connect_to: Connect, link: str
) -> None:
    """It is told what is wrong, once, and does not hammer."""
    relay = start_secure("--client-ca", str(papers.ca))
    client = connect_to(relay, "--cert", str(papers.own("own", papers.stranger())), "--link", link)
    said = "the certificate of this side was not accepted|the relay saw no certificate of ours"
    assert "trying again" in only_line(client, said)
    relay.assert_calm()


def test_a_new_certificate_of_the_client_is_shown_at_the_next_link(
    papers: Papers, start_secure: StartSecure, connect_to: Connect
) -> None:
    """A key that others can read is said at the start; files are read anew for each connection."""
    relay = start_secure("--client-ca", str(papers.ca))
    own = papers.own()
    own.chmod(0o644)
    client = connect_to(relay, "--cert", str(own))
    client.wait_for("every user of this machine can read the private key")
    client.url()
    lines = len(client.lines)
    own.write_text("")
    relay.end()
    again = start_secure("--client-ca", str(papers.ca), port=relay.port)
    client.wait_for("it holds no PEM certificate", after=lines)
    papers.own()
    client.wait_for("^connected again", after=lines)
    assert served(again, papers) == HELLO


def test_the_commands_of_the_guide_make_certificates_that_serve(
    papers: Papers, start_secure: StartSecure, connect_to: Connect, tmp_path: Path
) -> None:
    """docs/howto/mutual-tls.md, its shell commands as they stand there."""
    program("openssl")
    for commands in re.findall(r"```sh\n(.*?)```", (ROOT / "docs/howto/mutual-tls.md").read_text(), re.DOTALL):
        run(["sh", "-ec", commands], cwd=tmp_path)
    relay = start_secure("--client-ca", str(tmp_path / "authority.pem"))
    client = connect_to(relay, "--cert", str(tmp_path / "laptop.pem"), "--key", str(tmp_path / "laptop.key"))
    client.url()
    assert len(plain_lines(client)) == 1  # the key's mode is right
    assert served(relay, papers) == HELLO


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--ca", "/nowhere/ca.pem"], "--ca /nowhere/ca.pem: it cannot be read"),
        (["--cert", "/nowhere/cert.pem"], "--cert /nowhere/cert.pem: it cannot be read"),
        (["--key", "/nowhere/key.pem"], "name the certificate that belongs to it with --cert FILE"),
    ],
)
def test_bad_files_end_the_client_at_once(
    papers: Papers, start: Start, tmp_path: Path, options: list[str], said: str
) -> None:
    """Before anything is tried, with the usage."""
    relay = SecureRelay(tmp_path, papers.domain, papers.ca, *papers.relay_options)
    start(relay)
    relay.ready()
    client = Client(relay, "--local", "8080", *options)
    start(client)
    assert client.exit_status() == 1
    assert said in client.output
    with until("the message", 1):
        assert "Traceback" not in client.output
