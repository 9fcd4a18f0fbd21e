"""A client's configuration, read again: the real tap's options, and a client at a relay that the test plays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from egtunnel.client import tap
from egtunnel.client.offering import Difference, difference
from egtunnel.client.offers import Offer
from egtunnel.client.reload import Reload
from egtunnel.client.targets import parse_target
from egtunnel.errors import ConfigurationError
from egtunnel.session.messages import Claim, Message, Release, Unknown
from tests.client.service_case import ServiceCase

SECRET = "a-token-that-nobody-must-see"


class Running:
    """A configuration that was read at the start, and what is told of it from then on."""

    def __init__(self, file: Path, text: str, *arguments: str) -> None:
        self.file = file
        self.said: list[str] = []
        self.changes: list[Difference] = []
        file.write_text(text)
        options = tap.Options()
        options.parseOptions(["--config", str(file), *arguments])
        self.offers = dict(enumerate(options.offers, 1))
        self.reload = Reload(options, self._change, self.said.append)

    def _change(self, offers: Sequence[Offer]) -> Difference:
        if any(offer.name == "unreachable" for offer in offers):
            raise ConfigurationError("target 'x': no")
        found = difference(self.offers, offers, max(self.offers))
        self.offers = dict(enumerate(offers, 1))
        return found

    def reloaded(self, text: str) -> list[str]:
        """What is said when the file holds this."""
        self.file.write_text(text)
        self.said.clear()
        self.reload()
        return self.said


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the person who runs the tests is seen."""
    for variable in ("EGTUNNEL_RELAY", "EGTUNNEL_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def table(local: str, name: str, more: str = "") -> str:
    """A tunnel in the file."""
    return f'[[tunnel]]\nlocal = "{local}"\nname = "{name}"\n{more}\n'


def test_one_line_for_each_tunnel(tmp_path: Path) -> None:
    """What went, what changed, what came."""
    running = Running(tmp_path / "c.toml", table("1", "a") + table("2", "b") + table("3", "c"))
    assert running.reloaded(table("1", "a") + table("2", "b", 'path-prefix = "/x"') + table("4", "d")) == [
        "removed c for 3",
        "changed b for 2",
        "added d for 4",
    ]
    assert running.reloaded(running.file.read_text()) == ["reload: nothing changed"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[tunnel]\n", "c.toml"),
        ("", "which service?"),
        (table("8080", "a", "tcp = 1"), "tunnel 1: --tcp and --name"),
        (table("1", "unreachable"), "target 'x': no"),
        (f'tokn = "{SECRET}"\n' + table("1", "b"), "unknown option 'tokn'"),
        ('token-file = "/nowhere/token"\n' + table("1", "b"), "/nowhere/token"),
    ],
)
def test_a_mistake_changes_nothing(tmp_path: Path, text: str, said: str) -> None:
    """One line, which says what is wrong and no secret."""
    running = Running(tmp_path / "c.toml", table("1", "a"))
    (line,) = running.reloaded(text)
    assert line.startswith("reload: ") and line.endswith(", nothing changed")
    assert said in line and SECRET not in line
    assert [offer.name for offer in running.offers.values()] == ["a"]


def test_other_options_wait_for_a_restart(tmp_path: Path) -> None:
    """Named by name only, each time until the file says again what runs; the tunnels beside them are applied."""
    running = Running(tmp_path / "c.toml", table("1", "a"))
    text = f'token = "{SECRET}"\nresume-window = 5\nlink-path = "/x"\n' + table("2", "b")
    waiting = "reload: not applied before a restart: --link-path, --resume-window, --token"
    assert running.reloaded(text) == ["removed a for 1", "added b for 2", waiting]
    assert running.reloaded(text) == ["reload: nothing changed", waiting]
    assert running.reloaded(table("2", "b")) == ["reload: nothing changed"]


def test_the_command_line_stands_alone(tmp_path: Path) -> None:
    """With a --local typed by hand the tables of the file are left out, as at the start."""
    running = Running(tmp_path / "c.toml", table("1", "a"), "--local", "9", "--name", "z")
    assert running.reloaded(table("2", "b")) == ["reload: nothing changed"]


class ClientTests(ServiceCase):
    def test_a_running_client_gives_back_and_claims(self) -> Deferred[None]:
        """The relay hears of the difference only; and the file of its identity remembers the new tunnels."""
        return self.run_it(self._changes())

    async def _changes(self) -> None:
        relay = self.relay()
        heard: list[Message] = []
        grant = relay.grant

        def granted(claim: Claim) -> Message:
            heard.append(claim)
            return grant(claim)

        relay.grant = granted
        client = self.client(f"ws://127.0.0.1:{relay.port}", self.echo, "1")
        await self.said_lines(2)
        session = relay.sessions[0]
        on_message = session.on_message

        def also_released(message: Message) -> None:
            if isinstance(message, (Release, Unknown)):
                heard.append(message)
            on_message(message)

        session.on_message = also_released
        heard.clear()
        kept = client.enrolment.offering.wished(1)
        found = client.change([kept, Offer(parse_target("2"), name="new")])
        assert (set(found.kept), set(found.removed), set(found.added)) == ({1}, {2}, {3})
        await self.said_lines(3)
        assert [(type(message), getattr(message, "tunnel", 0)) for message in heard] == [(Release, 2), (Claim, 3)]
        (file,) = (self.folder / "client").glob("*.json")
        assert len(json.loads(file.read_text())["tunnels"]) == 3
