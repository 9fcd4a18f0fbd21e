"""Bare TLS links between the real daemons: chosen in the handshake, or else a WebSocket over the same connection."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from tests.integration.daemons import Client, Daemon, SecureRelay, free_port, listening
from tests.integration.papers import Papers
from tests.integration.programs import curl, plain_lines, program
from tests.integration.upstreams import Nginx

Start = Callable[[Daemon], Daemon]
HELLO = b"hello from nginx\n"
KIND = r"the link to \S+ is a (\S+.*) link"


@attrs.frozen
class Home:
    """A relay with TLS, and what starts clients of it."""

    papers: Papers
    relay: SecureRelay
    nginx: Nginx
    start: Start

    def client(self, *options: str, name: str = "app") -> Client:
        """A client with a tunnel to nginx."""
        client = Client(self.relay, "--local", str(self.nginx.port), "--name", name, *options)
        self.start(client)
        return client

    def kind(self, client: Client, name: str = "app") -> str:
        """Which link a client has; its tunnel works."""
        client.url()
        url = f"https://{self.relay.host(name)}/hello"
        assert curl(url, *self.papers.curl_options(self.relay.port)) == HELLO
        return client.wait_for(KIND).group(1)

    def behind(self, proxy: str, *options: str) -> Client:
        """A client whose link goes through a proxy with a certificate, or one that passes TLS on, to the relay."""
        folder, port = self.papers.folder, free_port()
        pem = folder / "both.pem"
        pem.touch(mode=0o600)
        pem.write_bytes(self.papers.cert.read_bytes() + self.papers.key.read_bytes())
        conf = folder / "proxy.conf"
        values = {"port": port, "relay": self.relay.port, "pem": pem, "ca": self.papers.ca, "folder": folder}
        conf.write_text(PROXIES[proxy].format(**values))
        if proxy.startswith("nginx"):
            argv = [program("nginx"), "-p", str(folder), "-c", str(conf)]
        else:
            argv = [program("haproxy"), "-db", "-f", str(conf)]
        self.start(Daemon(argv, folder))
        listening(port)
        return self.client("--relay", f"wss://127.0.0.1:{port}", "--ca", str(self.papers.ca), *options)


NGINX = """daemon off; pid {folder}/nginx.pid; error_log stderr;
events {{}}
http {{
  access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen 127.0.0.1:{port} ssl; ssl_certificate {pem}; ssl_certificate_key {pem};
    location / {{
      proxy_pass https://127.0.0.1:{relay}; proxy_http_version 1.1; proxy_set_header Host 127.0.0.1;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_read_timeout 90s;
    }}
  }}
}}
"""
HAPROXY = """defaults
  timeout connect 5s
  timeout client 90s
  timeout server 90s
"""
PROXIES = {
    "nginx": NGINX,
    "haproxy, ends TLS": HAPROXY
    + """  mode http
listen tls
  bind 127.0.0.1:{port} ssl crt {pem} alpn http/1.1
  server relay 127.0.0.1:{relay} ssl verify required ca-file {ca}
""",
    "haproxy, ends TLS for TCP": HAPROXY
    + """  mode tcp
listen tls
  bind 127.0.0.1:{port} ssl crt {pem}
  server relay 127.0.0.1:{relay} ssl verify required ca-file {ca}
""",
    "haproxy, passes TLS on": HAPROXY
    + """  mode tcp
listen tls
  bind 127.0.0.1:{port}
  server relay 127.0.0.1:{relay}
""",
    "haproxy, passes TLS on and says for whom": HAPROXY
    + """  mode tcp
listen tls
  bind 127.0.0.1:{port}
  server relay 127.0.0.1:{relay} send-proxy-v2
""",
}


@pytest.fixture
def home(tmp_path: Path, start: Start, nginx: Nginx) -> Home:
    """A relay that ends TLS itself."""
    papers = Papers(tmp_path)
    options = [*papers.relay_options, "--tcp-ports", "none", "--trust", "127.0.0.1"]
    relay = SecureRelay(tmp_path, papers.domain, papers.ca, *options)
    start(relay)
    relay.ready()
    return Home(papers, relay, nginx, start)


@pytest.mark.parametrize(("link", "kind"), [("auto", "bare TLS"), ("tls", "bare TLS"), ("websocket", "WebSocket")])
def test_the_link_is_the_one_that_is_asked_for(home: Home, link: str, kind: str) -> None:
    """The log says which."""
    assert home.kind(home.client("--link", link)) == kind


def test_several_links_and_a_stop(home: Home) -> None:
    """Companions are bare links, too; a client that stops tells the relay, and the relay a client."""
    client = home.client("--links", "2")
    assert home.kind(client) == "bare TLS"
    home.relay.wait_for(r"(?s)admitted client")
    client.stop()
    home.relay.wait_for(r"is over: shutting-down, the client is shutting down")
    second = home.client()
    assert home.kind(second) == "bare TLS"
    home.relay.stop()
    second.wait_for(r"the connection to the relay is lost: the relay is shutting down")


@pytest.mark.parametrize(
    ("proxy", "kind"),
    [
        ("nginx", "WebSocket"),
        ("haproxy, ends TLS", "WebSocket"),
        ("haproxy, ends TLS for TCP", "WebSocket"),
        ("haproxy, passes TLS on", "bare TLS"),
        ("haproxy, passes TLS on and says for whom", "bare TLS"),
    ],
)
def test_a_proxy_in_between(home: Home, proxy: str, kind: str) -> None:
    """Who ends TLS does not choose our protocol, and the WebSocket goes on over the same connection."""
    assert home.kind(home.behind(proxy)) == kind


def test_who_insists_is_told_why_not(home: Home) -> None:
    """Behind a proxy that ends TLS ``--link tls`` says what is the matter, and does not fall back."""
    client = home.behind("haproxy, ends TLS", "--link", "tls")
    line = client.wait_for("cannot reach the relay at .*").group()
    assert "a proxy in between ends the TLS" in line
    assert line.endswith("--link auto falls back to a WebSocket; trying again")
    assert "admitted" not in home.relay.output


def test_a_link_that_is_cut_is_followed_by_one_that_goes_on(home: Home) -> None:
    """The session outlives its bare link, as it does any other."""
    client = home.client()
    assert home.kind(client) == "bare TLS"
    client.process.send_signal(signal.SIGSTOP)
    try:
        home.relay.wait_for("is away|nothing was heard|heartbeat", 60)
    finally:
        client.process.send_signal(signal.SIGCONT)
    home.relay.wait_for("goes on, from tcp4:127.0.0.1:")
    assert home.kind(client) == "bare TLS"


@pytest.mark.parametrize("link", ["tls", "websocket"])
def test_what_a_refused_client_says_does_not_depend_on_the_link(home: Home, link: str) -> None:
    """One line, the same for both."""
    wrong = home.client("--link", link, "--token", "x" * 43, name="wrong")
    assert wrong.exit_status() == 1
    assert plain_lines(wrong) == ["egclient: the relay does not know this token"]
    first = home.client("--link", link)
    assert home.kind(first) == {"tls": "bare TLS", "websocket": "WebSocket"}[link]
    home.relay.wait_for("from tcp4:127.0.0.1:")
