"""``egclient --check``: each step shown failing, with its own words."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.client.certificates import Authority
from tests.integration.daemons import Client, Relay, SecureRelay, environment, free_port, listening
from tests.integration.papers import Papers
from tests.integration.programs import program
from tests.integration.proxy_servers import Tinyproxy
from tests.integration.upstreams import Nginx

Checked = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def checked(tmp_path: Path, nginx: Nginx) -> Checked:
    """``checked(*options)``: the exit status, and the lines but for that of the service."""

    def check(*options: str) -> tuple[int, list[str]]:
        command = [program("twistd", Path(__import__("sys").executable).parent), "egclient", "--local", str(nginx.port)]
        done = subprocess.run(
            [*command, *options, "--check"],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", **environment(tmp_path / "state")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        service, *lines = done.stdout.splitlines()
        assert service == f"good  service {nginx.port}: answers"
        assert "Traceback" not in done.stderr + done.stdout
        return done.returncode, lines

    return check


def fails(checked: Checked, step: str, words: str, *options: str) -> None:
    """The last line is of this step and says this; all before it are good."""
    status, lines = checked(*options)
    assert status == 1
    assert all(line.startswith("good  ") for line in lines[:-1]), lines
    assert lines[-1].startswith("BAD   ") and f", {step}: " in lines[-1], lines
    assert words in lines[-1]


def test_all_is_well(
    checked: Checked, start_secure: Callable[..., SecureRelay], papers: Papers, tmp_path: Path
) -> None:
    """Seven steps, of which one needs a proxy; nothing is claimed."""
    relay = start_secure()
    status, lines = checked("--relay", f"wss://127.0.0.1:{relay.port}", "--ca", str(papers.ca))
    assert status == 0, lines
    assert [line.split(", ")[1].split(":")[0] for line in lines] == [
        "name",
        "TCP",
        "TLS",
        "link",
        "token",
        "round trip",
    ]
    assert "link stands" in lines[3]
    assert "claimed" not in relay.output


def test_a_name_that_nobody_knows(checked: Checked) -> None:
    """Step 1."""
    options = ("--relay", "wss://relay.does-not-exist.invalid", "--token", "x")
    fails(checked, "name", "was not found; is it spelled right", *options)


def test_a_port_that_is_closed(checked: Checked) -> None:
    """Step 2."""
    fails(
        checked,
        "TCP",
        "connection refused; is it running there",
        "--relay",
        f"ws://localhost:{free_port()}",
        "--token",
        "x",
    )


def test_a_proxy_that_refuses(checked: Checked, tmp_path: Path, start: Any, relay: Relay) -> None:
    """Step 3."""
    proxy = start(Tinyproxy(tmp_path, free_port(), "ConnectPort 443"))
    listening(proxy.port)
    options = ("--relay", f"ws://localhost:{relay.port}", "--proxy", f"http://127.0.0.1:{proxy.port}")
    fails(checked, "proxy", "it does not let us through to there; another port", *options)


def test_certificates_that_are_not_good(
    checked: Checked, start_secure: Callable[..., SecureRelay], papers: Papers, tmp_path: Path
) -> None:
    """Step 4: expired, of another host, of nobody known; and no TLS at all."""
    papers.issue(papers.domain, "127.0.0.1", days=-1)
    relay = start_secure()
    good = ("--relay", f"wss://127.0.0.1:{relay.port}")
    fails(checked, "TLS", "the certificate has expired", *good, "--ca", str(papers.ca))
    papers.issue(papers.domain)
    relay.stop()
    again = start_secure()
    good = ("--relay", f"wss://127.0.0.1:{again.port}")
    fails(checked, "TLS", "the certificate is for another name (relay.example)", *good, "--ca", str(papers.ca))
    (tmp_path / "else").mkdir()
    fails(checked, "TLS", "nobody that is believed signed", *good, "--ca", str(Authority(tmp_path / "else").file))


def test_what_does_not_speak_tls(checked: Checked, nginx: Nginx) -> None:
    """Step 4."""
    fails(
        checked,
        "TLS",
        "is the port right, or does this relay speak ws://?",
        "--relay",
        f"wss://localhost:{nginx.port}",
        "--token",
        "x",
    )


def test_what_is_no_relay(checked: Checked, nginx: Nginx) -> None:
    """Step 5: there is no upgrade."""
    fails(checked, "link", "is that a relay", "--relay", f"ws://localhost:{nginx.port}", "--token", "x")


def test_a_token_that_is_wrong(checked: Checked, relay: Relay) -> None:
    """Step 6."""
    fails(checked, "token", "does not know this token", "--relay", f"ws://localhost:{relay.port}", "--token", "wrong")


def test_a_client_that_runs_is_not_disturbed(
    checked: Checked, relay: Relay, connect: Callable[..., Client], nginx: Nginx
) -> None:
    """The check comes as nobody that is known."""
    client = connect("--local", str(nginx.port), "--name", "app")
    client.url()
    status, _ = checked("--relay", f"ws://localhost:{relay.port}")
    assert status == 0
    assert "again" not in client.output
