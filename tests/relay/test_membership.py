"""Tokens of a real SQLite store at work in one process: opening, logins, revocations, what was refused."""

from __future__ import annotations

import json
import time
from pathlib import Path

import attrs
import pytest
from twisted.internet.defer import Deferred

from egtunnel.errors import ConfigurationError, EgtunnelError, Refused
from egtunnel.relay.addresses import Addresses
from egtunnel.relay.authentication import Grant
from egtunnel.relay.membership import Membership
from egtunnel.relay.settings import RelaySettings
from egtunnel.store.address import parse_store_address
from tests.integration.daemons import free_port
from tests.integration.token_store import TokenStore, state_folder
from tests.store.reactors import Turns


class Desk:
    """A membership over a store in a folder, and what it said."""

    def __init__(self, home: Path, turns: Turns, store: str | None = "") -> None:
        self.turns = turns
        self.said: list[str] = []
        self.fatal: list[EgtunnelError] = []
        self.ended: list[tuple[str, str]] = []
        self.audit = home / "audit"
        state = state_folder(home)
        self.settings = RelaySettings(
            addresses=Addresses("localhost", "http", 7070),
            state=state,
            store=None if store is None else parse_store_address(store, state),
            audit_log=self.audit,
        )
        self.membership = Membership(
            turns.reactor, self.settings, time.time, say=self.said.append, fail=self.fatal.append
        )
        self.membership.authenticator.end = lambda token, error: self.ended.append((token, error.text))

    def login(self, token: str) -> Deferred[Grant]:
        """Somebody shows a token."""
        return self.membership.authenticator.login(token, "tcp4:192.0.2.1:4711")

    def close(self) -> None:
        """All is over."""
        self.turns.wait(self.membership.close())


def test_a_login_waits_for_the_store_to_open_and_a_revocation_ends_it(tmp_path: Path, turns: Turns) -> None:
    """The first clients of a relay that has just begun are not sent away."""
    tokens = TokenStore(tmp_path)
    id, variables = tokens.token(names=["demo-*"])
    desk = Desk(tmp_path, turns)
    desk.membership.open()
    grant = turns.wait(desk.login(variables["EGTUNNEL_TOKEN"]))
    assert grant.id == id and grant.scope.names == ("demo-*",)
    desk.membership.authenticator.entered(grant)
    tokens.revoke(id)
    turns.until(lambda: bool(desk.ended))
    assert desk.ended == [(id, "this token was revoked")]
    with pytest.raises(Refused, match="revoked"):
        turns.wait(desk.login(variables["EGTUNNEL_TOKEN"]))
    desk.close()
    (record,) = tokens.database.read(lambda rows: rows.tokens.list(tokens.owner))
    assert record.last_used is not None
    tokens.close()


def test_what_was_refused_is_in_the_store_and_in_the_file(tmp_path: Path, turns: Turns) -> None:
    """One line of JSON each; what a stranger chose cannot begin another."""
    tokens = TokenStore(tmp_path)
    desk = Desk(tmp_path, turns)
    desk.membership.open()
    audit = desk.membership.audit
    audit.refused(Refused("scope-names", 'not "x"\n{}\x1b'), "id/client")
    audit.refused(Refused("store-away", "come again"), "192.0.2.1")
    turns.until(lambda: desk.membership.store is not None and desk.membership.store.available)
    desk.close()
    (line,) = desk.audit.read_text().splitlines()
    words = json.loads(line)
    assert (words["rule"], words["whom"], words["what"]) == ("scope-names", "id/client", 'not "x"\n{}\x1b')
    (record,) = tokens.refusals()
    assert (record.rule, record.whom) == ("scope-names", "id/client")
    tokens.close()


def test_a_store_that_is_away_at_the_start_is_waited_for(tmp_path: Path, turns: Turns) -> None:
    """The relay begins; who comes meanwhile is asked to come again."""
    desk = Desk(tmp_path, turns, f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    desk.membership.open()
    with pytest.raises(Refused) as refused:
        turns.wait(desk.login("eg_" + "a" * 12 + "_" + "b" * 43))
    assert (refused.value.reason, refused.value.retry) == ("store-away", True)
    assert desk.said[0].startswith("the store is away") and desk.fatal == []
    desk.close()


def test_a_store_that_can_never_be_used_is_fatal(tmp_path: Path, turns: Turns) -> None:
    """A file that is no database."""
    state = state_folder(tmp_path)
    state.mkdir(parents=True)
    (state / "store.sqlite3").write_text("no database " * 1000)
    desk = Desk(tmp_path, turns)
    desk.membership.open()
    turns.until(lambda: bool(desk.fatal))
    desk.close()


def test_without_a_store_no_token_is_known(tmp_path: Path, turns: Turns) -> None:
    """And wrong ones are counted all the same."""
    desk = Desk(tmp_path, turns, None)
    desk.membership.open()
    for _ in range(3):
        with pytest.raises(Refused, match="does not know"):
            turns.wait(desk.login("something"))
    assert len(desk.membership.authenticator.attempts) == 1
    desk.close()


def test_an_audit_log_that_cannot_be_written_is_said_at_once(tmp_path: Path, turns: Turns) -> None:
    """By its name, not that of the access log."""
    settings = attrs.evolve(Desk(tmp_path, turns, None).settings, audit_log=tmp_path / "none" / "audit")
    with pytest.raises(ConfigurationError, match="cannot write the audit log"):
        Membership(turns.reactor, settings, time.time, say=print, fail=print)
