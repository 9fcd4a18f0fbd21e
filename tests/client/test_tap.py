"""The command line of ``twistd egclient``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock
from twisted.python.usage import UsageError

from egtunnel.client import tap
from egtunnel.client.link_tls import LinkKind, RelayTls
from egtunnel.client.offers import Offer
from egtunnel.client.service import Client
from egtunnel.client.targets import parse_target
from egtunnel.client.upstream_tls import TlsTrust
from egtunnel.hangup import Hangup
from tests.client.certificates import Authority

SECURE = ["--local", "80", "--relay", "wss://localhost"]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the person who runs the tests is seen."""
    for variable in ("EGTUNNEL_RELAY", "EGTUNNEL_TOKEN", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def parsed(*arguments: str) -> tap.Options:
    options = tap.Options()
    options.parseOptions(list(arguments))
    return options


def config(tmp_path: Path, text: str) -> str:
    file = tmp_path / "client.toml"
    file.write_text(text)
    return str(file)


def test_the_defaults(tmp_path: Path) -> None:
    """One service and nothing else said: the relay of this machine, its token file, a made-up name."""
    options = parsed("--local", "8080")
    assert options.relays[0].url == "ws://localhost:7070/connect"
    assert options.tokens[0].file == tmp_path / "egtunnel" / "relay" / "token"
    assert options.tokens[0].awaited
    assert options.offers == [Offer(parse_target("8080"))]
    expected: dict[str, object] = {
        "relay": ["ws://localhost:7070"],
        "token": None,
        "token-file": [],
        "local": "8080",
        "name": None,
        "host": None,
        "tcp": None,
        "tls": None,
        "udp": None,
        "tls-terminate": [],
        "sticky": None,
        "share-name": 0,
        "private": 0,
        "host-header": None,
        "request-header-add": [],
        "request-header-set": [],
        "request-header-remove": [],
        "response-header-add": [],
        "response-header-set": [],
        "response-header-remove": [],
        "path-prefix": None,
        "local-ca": None,
        "allow": [],
        "deny": [],
        "basic": [],
        "basic-file": [],
        "api-key": [],
        "jwt-jwks": None,
        "jwt-issuer": None,
        "jwt-audience": None,
        "webhook": None,
        "webhook-secret-file": None,
        "oidc-issuer": None,
        "oidc-client-id": None,
        "oidc-client-secret-file": None,
        "oidc-allow": [],
        "oidc-scope": [],
        "rate": None,
        "burst": None,
        "rate-per-address": None,
        "max-connections": None,
        "bandwidth-in": None,
        "bandwidth-out": None,
        "visitor-ca": None,
        "local-insecure": 0,
        "listing": 0,
        "proxy-protocol": None,
        "link-path": "",
        "visit": [],
        "listen": [],
        "link-header": [],
        "link-host": None,
        "proxy": None,
        "check": 0,
        "link": "auto",
        "links": 1,
        "link-source": [],
        "ca": None,
        "cert": None,
        "key": None,
        "insecure": 0,
        "resume-window": 60.0,
        "drain": 10.0,
        "max-channels": 4096,
        "state": None,
        "config": None,
    }
    assert dict(options) == expected


def test_every_option_of_a_tunnel_reaches_its_offer() -> None:
    """HTTP with a name or a host, TCP with a port."""
    http = parsed(
        "--local", "https://localhost:8443", "--name", "app", "--host-header", "dev.local", "--local-insecure"
    )
    assert http.offers == [
        Offer(parse_target("https://localhost:8443"), name="app", host_header="dev.local", trust=TlsTrust(verify=False))
    ]
    assert parsed("--local", "80", "--host", "www.example.com").offers[0].host == "www.example.com"
    assert parsed("--local", "22", "--tcp", "0").offers == [Offer(parse_target("22"), kind="tcp")]
    assert parsed("--local", "22", "--tcp", "20001").offers[0].port == 20001
    shared = parsed("--local", "80", "--name", "app", "--share-name", "--sticky", "cookie").offers[0]
    assert (shared.share, shared.sticky, shared.claim(1).share, shared.claim(1).sticky) == (
        True,
        "cookie",
        True,
        "cookie",
    )
    shared = parsed("--local", "80", "--tcp", "20001", "--share-name", "--sticky", "address").offers[0]
    assert (shared.share, shared.sticky) == (True, "address")
    assert parsed("--local", "https://a.example", "--local-ca", "/x/ca.pem").offers[0].trust.authority == "/x/ca.pem"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Give --local TARGET, for example --local 8080"),
        (["--name", "app"], "--name needs --local TARGET"),
        (["--local", "nonsense"], "'nonsense' is none of 8080, host:8080"),
        (["--local", "80", "--tcp", "x"], "--tcp x: it must be a whole number"),
        (["--local", "80", "--tcp", "70000"], "--tcp 70000: it must be from 0 to 65535"),
        (["--local", "80", "--tcp", "1", "--name", "a"], "--tcp and --name do not go together"),
        (["--local", "80", "--tcp", "1", "--host-header", "a"], "--tcp and --host-header do not go together"),
        (["--local", "80", "--name", "a", "--host", "b.example"], "--name and --host do not go together"),
        (["--local", "80", "--name", "two words"], "--name two words: it must be one word"),
        (["--local", "80", "--share-name"], "--share-name: name what is shared"),
        (["--local", "80", "--tcp", "0", "--share-name"], "--share-name: name what is shared"),
        (["--local", "80", "--name", "a", "--sticky", "cookie"], "give --share-name, too"),
        (["--local", "80", "--tls", "a", "--name", "b"], "--tls and --name do not go together"),
        (["--local", "80", "--tls", "a", "--tcp", "0"], "--tls and --tcp do not go together"),
        (["--local", "80", "--tls", "a", "--private"], "--tls and --private do not go together"),
        (["--local", "file:/", "--tls", "a"], "give --tls-terminate CERT KEY, too"),
        (["--local", "80", "--tls-terminate", "/a", "/b"], "give --tls NAME, too"),
        (["--visit", "db"], "--visit NAME and --listen ADDRESS:PORT go together"),
        (["--listen", "5432"], "--visit NAME and --listen ADDRESS:PORT go together"),
        (["--visit", "db", "--listen", "0"], "--listen 0: write it as 127.0.0.1:5432"),
        (["--visit", "db", "--listen", "a/b:1"], "write it as 127.0.0.1:5432"),
        (["--local", "80", "--tcp", "0", "--private"], "a private tunnel has no public port"),
        (["--local", "80", "--udp", "0", "--tcp", "0"], "--udp and --tcp do not go together"),
        (["--local", "80", "--udp", "0", "--proxy-protocol", "v1"], "--udp and --proxy-protocol do not go together"),
        (["--local", "unix:/a", "--udp", "0"], "--udp needs --local PORT or --local HOST:PORT"),
        (["--local", "80", "--listing"], "--listing is for folders"),
        (["--local", "80", "--proxy-protocol", "v3"], "--proxy-protocol v3: it must be v1 or v2"),
        (["--local", "file:/", "--proxy-protocol", "v1"], "--proxy-protocol is for services"),
        (["--local", "file:/no/such/folder"], "there is no such folder"),
        (["--local", "file://host/folder"], "write it as file:/folder"),
        (["--local", "80", "--name", "a", "--share-name", "--sticky", "luck"], "--sticky luck: it must be address or"),
        (["--local", "80", "--tcp", "1", "--share-name", "--sticky", "cookie"], "--sticky cookie is for HTTP"),
        (["--local", "80", "--relay", "ftp://x"], "relay 'ftp://x'"),
        (["--local", "80", "--relay", "wss://example.com"], "example.com wants a token: give --token-file FILE"),
        (["--local", "80", "--token", "a", "--token-file", "b"], "--token and --token-file: give one of them"),
        (["--local", "80", "--token-file", "/nowhere/token"], "there is no token in /nowhere/token"),
        (["--local", "80", "--token", "two lines\nx"], "the token is no token"),
        (["--local", "80", "--config", "/nowhere/client.toml"], "/nowhere/client.toml"),
        (["--lokal", "80"], "lokal"),
        (["--local", "80", "--relay-ca", "/x"], "relay-ca"),
        (["--local", "80", "--ca", "/x/ca.pem"], "--ca is for a relay over TLS: ws://localhost:7070/connect has to be"),
        (["--local", "80", "--cert", "/x", "--key", "/y"], "--cert is for a relay over TLS"),
        ([*SECURE, "--ca", "/nowhere/ca.pem"], "--ca /nowhere/ca.pem: it cannot be read: No such file"),
        ([*SECURE, "--cert", "/nowhere/own.pem"], "--cert /nowhere/own.pem: it cannot be read"),
        ([*SECURE, "--key", "/nowhere/own.key"], "name the certificate that belongs to it with --cert FILE"),
    ],
)
def test_mistakes_are_said_with_the_option(arguments: list[str], said: str) -> None:
    """Before anything is tried."""
    with pytest.raises(UsageError) as caught:
        parsed(*arguments)
    assert said in str(caught.value)


def test_the_files_of_the_links_tls(tmp_path: Path) -> None:
    """--ca, --cert and --key, from the command line or the file; paths are made absolute."""
    authority = Authority(tmp_path)
    certificate, key = authority.pair("own")
    for name, content in (("own.pem", certificate), ("own.key", key)):
        (tmp_path / name).write_bytes(content)
    files = RelayTls(*(str(tmp_path / name) for name in ("authority.pem", "own.pem", "own.key")))
    given = [*SECURE, "--ca", files.authority, "--cert", files.certificate, "--key", files.key]
    assert parsed(*given).relay_tls == files
    lines = f'ca = "{files.authority}"\ncert = "{files.certificate}"\nkey = "{files.key}"\n'
    assert parsed(*SECURE, "--config", config(tmp_path, lines)).relay_tls == files
    assert parsed(*SECURE).relay_tls == RelayTls()


def test_the_kind_of_link() -> None:
    """--link: bare TLS where the relay takes it, unless one is insisted on; no bare link without TLS."""
    for word in ("auto", "tls", "websocket"):
        assert parsed(*SECURE, "--link", word).relay_tls.link.value == word
    assert parsed(*SECURE).relay_tls.link is LinkKind.AUTO
    for arguments, said in (
        ([*SECURE, "--link", "wss"], "it must be one of auto, tls, websocket"),
        (["--local", "80", "--link", "tls"], "--link tls is for relays over TLS: ws://localhost:7070/connect"),
    ):
        with pytest.raises(UsageError) as caught:
            parsed(*arguments)
        assert said in str(caught.value)


def test_the_environment_speaks_where_options_are_absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """EGTUNNEL_RELAY and EGTUNNEL_TOKEN; an option wins over each, a token file too."""
    monkeypatch.setenv("EGTUNNEL_RELAY", "wss://relay.example.com")
    monkeypatch.setenv("EGTUNNEL_TOKEN", "from-environment")
    options = parsed("--local", "80")
    assert (options.relays[0].host, options.tokens[0]()) == ("relay.example.com", "from-environment")
    file = tmp_path / "token"
    file.write_text("from-file")
    options = parsed("--local", "80", "--relay", "wss://other.example.com", "--token-file", str(file))
    assert (options.relays[0].host, options.tokens[0]()) == ("other.example.com", "from-file")
    named = config(tmp_path, f'token-file = "{file}"')
    assert parsed("--local", "80", "--config", named).tokens[0]() == "from-environment"
    monkeypatch.delenv("EGTUNNEL_TOKEN")
    assert parsed("--local", "80", "--config", named).tokens[0]() == "from-file"


def test_a_file_holds_several_tunnels(tmp_path: Path) -> None:
    """One [[tunnel]] table each, with the names of the options."""
    file = config(
        tmp_path,
        """
        relay = "wss://relay.example.com"
        token = "t"
        [[tunnel]]
        local = 8080
        name = "app"
        [[tunnel]]
        local = "https://localhost:8443"
        host = "www.example.com"
        local-insecure = true
        [[tunnel]]
        local = "127.0.0.1:22"
        tcp = 20001
        share-name = true
        sticky = "address"
        """,
    )
    assert parsed("--config", file).offers == [
        Offer(parse_target("8080"), name="app"),
        Offer(parse_target("https://localhost:8443"), host="www.example.com", trust=TlsTrust(verify=False)),
        Offer(parse_target("127.0.0.1:22"), kind="tcp", port=20001, share=True, sticky="address"),
    ]


def test_a_service_typed_by_hand_stands_alone(tmp_path: Path) -> None:
    """--local on the command line: this service now, with the file's relay and token, not the file's tunnels."""
    file = config(tmp_path, 'token = "t"\n[[tunnel]]\nlocal = 1\n')
    assert [offer.target.text for offer in parsed("--config", file, "--local", "2").offers] == ["2"]
    file = config(tmp_path, 'token = "t"\nlocal = 3\n[[tunnel]]\nlocal = 1\n')
    assert [offer.target.text for offer in parsed("--config", file).offers] == ["3", "1"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[tunnel]]\nlocal = 1\n[[tunnel]]\nlokal = 2", "tunnel 2: unknown option 'lokal'; is 'local' meant?"),
        ("[[tunnel]]\nlocal = 1\nrelay = 'x'", "tunnel 1: unknown option 'relay'"),
        ("[[tunnel]]\nname = 'a'", "tunnel 1: local is missing"),
        ("[[tunnel]]\nlocal = 'nonsense'", "tunnel 1: target 'nonsense'"),
        ("[[tunnel]]\nlocal = 1\ntcp = true", "tunnel 1: tcp: it must be a text or a whole number"),
        ("[[tunnel]]\nlocal = 1\ntcp = 1.5", "tunnel 1: tcp: it must be"),
        ("[[tunnel]]\nlocal = [1]", "tunnel 1: local: it must be"),
        ("[[tunnel]]\nlocal = 1\ntcp = 99999", "tunnel 1: --tcp 99999: it must be from 0 to 65535"),
        ("[[tunnel]]\nlocal = 1\nlocal-insecure = 'yes'", "tunnel 1: local-insecure: it must be true or false"),
        ("[tunnel]\nlocal = 1", "write each as a [[tunnel]] table"),
        ("tunnel = 7", "write each as a [[tunnel]] table"),
        ("tunnel = []", "which service?"),
        ("lokal = 1", "unknown option 'lokal'"),
    ],
)
def test_mistakes_in_the_file_are_said_with_their_place(tmp_path: Path, text: str, said: str) -> None:
    """Which table, which key, what is wrong."""
    with pytest.raises(UsageError) as caught:
        parsed("--config", config(tmp_path, text))
    assert said in str(caught.value)


def test_the_service_is_made_and_the_reactor_gets_a_clock_that_never_jumps(tmp_path: Path) -> None:
    """Nothing is connected before the service starts."""
    reactor: Any = MemoryReactorClock()
    wall = reactor.seconds
    root: Any = tap.makeService(parsed("--local", "8080", "--state", str(tmp_path)), reactor)
    assert [type(service) for service in root] == [Client, Hangup]
    assert reactor.seconds != wall
    assert reactor.tcpClients == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--local", "80", "--relay", "ws://relay.example.com", "--token", "t"], "--insecure"),
        (["--local", "tcp:nowhere"], "target 'tcp:nowhere'"),
        (["--local", "https://a.example", "--local-ca", "/nowhere/ca.pem"], "CA file /nowhere/ca.pem"),
    ],
)
def test_what_cannot_work_ends_with_one_line(arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And without a traceback; nothing is started."""
    lines: list[str] = []
    monkeypatch.setattr("egtunnel.terminal.Terminal.fail", lambda self, line: lines.append(line))
    root: Any = tap.makeService(parsed(*arguments), MemoryReactorClock())
    assert list(root) == []
    assert len(lines) == 1
    assert lines[0].startswith("egclient: ")
    assert said in lines[0]
