"""TLS that ends at the client: who does not finish the handshake, and files that change."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.protocol import connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs

from egtunnel.client.termination import KeyFiles, Termination, TerminationLimits
from egtunnel.errors import ConfigurationError
from egtunnel.splice import Half
from tests.client.certificates import Authority


class Channel(StringTransport):
    """Remembers why it was reset."""

    def __init__(self) -> None:
        super().__init__()
        self.reasons: list[Any] = []

    def reset(self, error: Any) -> None:
        self.reasons.append(error)

    def unregisterProducer(self) -> None:
        """Nobody produces."""


class Visitor:
    """TLS of a visitor in memory, beside a channel at the client."""

    def __init__(self, termination: Termination) -> None:
        self.half, self.channel = Half(), Channel()
        self.protocol = termination.around(self.half)
        self.protocol.makeConnection(self.channel)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2", "http/1.1"])
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="app.example")

    def step(self) -> bool:
        """One message each way; whether the handshake is over for the visitor."""
        over = True
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            over = False
        self.protocol.dataReceived(self.outgoing.read())
        self.incoming.write(self.channel.value())
        self.channel.clear()
        return over


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def files(tmp_path: Path) -> KeyFiles:
    """A certificate and its key."""
    issue(tmp_path, Authority(tmp_path))
    return KeyFiles(str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))


def issue(folder: Path, authority: Authority) -> None:
    certificate, key = authority.pair("app.example")
    (folder / "cert.pem").write_bytes(certificate)
    (folder / "key.pem").touch(mode=0o600)
    (folder / "key.pem").write_bytes(key)


def test_a_handshake_that_is_not_finished_is_cut_off(clock: Clock, files: KeyFiles) -> None:
    """After its seconds; one that was finished is not."""
    termination = Termination(files, clock, limits=TerminationLimits(handshake=10.0))
    slow, quick = Visitor(termination), Visitor(termination)
    slow.step()
    while not quick.step():
        pass
    clock.advance(9.9)
    assert (slow.channel.reasons, quick.channel.reasons) == ([], [])
    clock.advance(0.2)
    assert [type(error).__name__ for error in slow.channel.reasons] == ["UpstreamSlow"]
    assert quick.channel.reasons == []
    assert quick.tls.selected_alpn_protocol() == "http/1.1"


def test_a_visitor_who_leaves_leaves_no_timer(clock: Clock, files: KeyFiles) -> None:
    """Within the handshake."""
    visitor = Visitor(Termination(files, clock))
    visitor.step()
    visitor.protocol.connectionLost(connectionDone)
    assert clock.getDelayedCalls() == []


def test_new_files_are_used_and_bad_ones_are_not(clock: Clock, files: KeyFiles, tmp_path: Path) -> None:
    """From the next connection on; what is wrong is said once."""
    termination = Termination(files, clock)

    def shown() -> bytes | None:
        visitor = Visitor(termination)
        while not visitor.step():
            pass
        return visitor.tls.getpeercert(binary_form=True)

    first = shown()
    (tmp_path / "other").mkdir()
    issue(tmp_path, Authority(tmp_path / "other"))
    second = shown()
    assert first != second
    with capturedLogs() as logs:
        (tmp_path / "cert.pem").write_text("nonsense")
        assert [shown(), shown()] == [second, second]
    assert len([log for log in logs if "the certificate of before" in log["log_format"]]) == 1
    (tmp_path / "cert.pem").unlink()
    assert shown() == second


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / "cert.pem").unlink(), "cert.pem: it cannot be read"),
        (lambda folder: (folder / "key.pem").write_text("no key"), "key.pem: it holds no PEM private key"),
        (lambda folder: (folder / "cert.pem").write_text("none"), "cert.pem: it holds no PEM certificate"),
    ],
    ids=["no file", "no key", "no certificate"],
)
def test_files_that_are_bad_at_the_start(
    clock: Clock, files: KeyFiles, tmp_path: Path, spoil: Callable[[Path], object], words: str
) -> None:
    """Are named by the option."""
    spoil(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        Termination(files, clock)
    assert caught.value.text.startswith("--tls-terminate ") and words in caught.value.text
