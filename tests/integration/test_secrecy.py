"""What looks for secrets finds them; the whole run is looked through by it."""

from __future__ import annotations

import http.client
from pathlib import Path

import pytest

from tests.integration import secrecy
from tests.integration.daemons import Client, Relay
from tests.integration.secrecy import leaks, look_through, secrets_of
from tests.integration.upstreams import Nginx


@pytest.mark.parametrize(
    "planted",
    [
        "eg_" + "a" * 12 + "_" + "b" * 43,
        "ega_" + "x" * 43,
        "GET /share/" + "x" * 32 + "/a HTTP/1.1",
        "/.egtunnel/share?ticket=" + "x" * 60,
        "the-secret-of-a-test",
    ],
)
def test_a_planted_secret_is_found(planted: str) -> None:
    """In whichever line of a log."""
    text = f"2026 calm\n2026 said {planted} here\n2026 calm\n".encode()
    assert list(leaks(text, [b"the-secret-of-a-test"])) == [f"2026 said {planted} here"]


def test_what_is_no_secret_is_not_reported() -> None:
    """Ids, masked links, and what a test's own address looks like."""
    text = b"eg_abc /share/... /share/x token 0123456789ab revoked /shared/" + b"x" * 40
    assert not list(leaks(text, []))


def test_files_of_a_daemon_are_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its token file says what to look for."""
    monkeypatch.setattr(secrecy, "LEAKS", [])
    state = tmp_path / "state" / "egtunnel" / "relay"
    state.mkdir(parents=True)
    (state / "token").write_text("a-token-of-this-relay\n")
    (tmp_path / "access").write_text("calm\nGET /?a-token-of-this-relay\n")
    assert secrets_of(tmp_path, {"EGTUNNEL_TOKEN": "short"}) == [b"a-token-of-this-relay"]
    look_through("egrelay", "calm\n", tmp_path, {})
    assert secrecy.LEAKS == ["access: GET /?a-token-of-this-relay"]


def visit(relay: Relay, host: str, path: str, headers: dict[str, str]) -> None:
    """A request with these headers, whatever becomes of it."""
    connection = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=30)
    connection.request("GET", path, headers={"Host": host, **headers})
    connection.getresponse().read()
    connection.close()


def test_secrets_in_requests_do_not_get_into_logs(tmp_path: Path, nginx: Nginx) -> None:
    """In query, credentials, cookies and headers, with a log of each kind; wrong tokens, too."""
    secret = "an-unlikely-secret-of-this-test"
    for kind in ("combined", "json"):
        file = tmp_path / f"access-{kind}"
        relay = Relay(tmp_path, "--store", "sqlite", "--access-log", str(file), "--access-log-format", kind)
        relay.ready()
        client = Client(relay, "--local", str(nginx.port), "--name", f"app-{kind}", env={"EGTUNNEL_TOKEN": ""})
        client.url()
        headers = {"Authorization": f"Bearer {secret}", "Cookie": f"a={secret}", "X-Egtunnel-Passphrase": secret}
        headers["Referer"] = f"http://ann:{secret}@localhost/share/{'x' * 32}/?q={secret}"
        for path in (f"/hello?token={secret}", f"/share/{'x' * 32}/a", f"/.egtunnel/share?ticket={secret}"):
            visit(relay, relay.host(f"app-{kind}"), path, headers)
            visit(relay, f"localhost:{relay.port}", path, headers)
        visit(relay, f"localhost:{relay.port}", "/api/v1/status", headers)
        wrong = Client(relay, "--local", "1", env={"EGTUNNEL_TOKEN": secret})
        assert wrong.exit_status() == 1
        for daemon in (wrong, client, relay):
            daemon.end()
        text = relay.output + client.output + wrong.output + file.read_text()
        assert "/share/..." in file.read_text()
        assert secret not in text and "x" * 32 not in text
