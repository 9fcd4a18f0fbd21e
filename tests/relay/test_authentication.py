"""Logins that have to wait for the store, sessions that stand because of them, and what ends those."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from egtunnel.access.scope import Scope
from egtunnel.access.tokens import check, new_token, split
from egtunnel.errors import LinkLost, Refused, Revoked
from egtunnel.mux.frames import U32_U16, FrameType
from egtunnel.relay.attempts import AttemptLimits
from egtunnel.relay.audit import Audit
from egtunnel.relay.authentication import Authenticator, Grant
from egtunnel.relay.reservations import Owner
from egtunnel.session.messages import Hello, RefusedMessage, Welcome
from egtunnel.store.records import RefusalRecord, TokenRecord
from tests.relay.house import TOKEN, House, MemoryClient

NEW = new_token()
RECORD = TokenRecord(NEW.id, NEW.digest, "ann", "laptop", {}, 0.0)


class Home:
    """A house with a store whose answers come when the test says so."""

    def __init__(self, record: TokenRecord = RECORD, **limits: Any) -> None:
        self.record = record
        self.house = House(secret="s" * 16)
        self.asked: list[tuple[str, Deferred[TokenRecord]]] = []
        self.noted: list[RefusalRecord] = []
        audit = Audit(self.wall, self.noted.append)
        self.desk = Authenticator(
            self.house.clock, self.wall, AttemptLimits(**limits), note=audit.note, look=self._look
        )
        door = self.house.door
        door.authenticator = self.desk
        door.refused = audit.refused
        self.desk.end = door.end

    def wall(self) -> float:
        """Time of day."""
        return 1_000_000.0 + self.house.clock.seconds()

    def _look(self, token: str, address: str) -> Deferred[TokenRecord]:
        answer: Deferred[TokenRecord] = Deferred()
        self.asked.append((token, answer))
        return answer

    def hello(self, token: str = NEW.text, client_id: str = "one", **more: Any) -> MemoryClient:
        """A link that has said hello."""
        client = self.house.connect()
        client.say(Hello(token=token, client_id=client_id, **more))
        return client

    def answer(self) -> None:
        """The store has found what was asked first."""
        token, answer = self.asked.pop(0)
        parts = split(token)
        try:
            known = self.record if parts is not None and parts[0] == self.record.id else None
            record = check(known, b"" if parts is None else parts[1], self.wall())
        except Refused as error:
            answer.errback(error)
        else:
            answer.callback(record)

    def leave(self, client_id: str) -> None:
        """The session of a client of the store's token is over."""
        self.house.door.sessions[Owner(NEW.id, client_id)].close(LinkLost())

    def client(self, client_id: str = "one") -> MemoryClient:
        """A client that was let in."""
        client = self.hello(client_id=client_id)
        self.answer()
        client.enter()
        return client


def refused(client: MemoryClient) -> str:
    """The reason of the refusal that a link was answered with."""
    answer = client.answer()
    assert isinstance(answer, RefusedMessage) and client.near.closed == (Refused.code, answer.text)
    return answer.code


def test_a_link_waits_until_the_store_has_answered() -> None:
    """It counts among those that wait; the relay's own token asks nobody."""
    home = Home()
    client = home.hello()
    assert not client.near.sent and len(home.house.door.waiting) == 1
    own = home.hello(TOKEN, "two")
    assert isinstance(own.answer(), Welcome)
    home.answer()
    assert isinstance(client.answer(), Welcome)
    assert not home.house.door.waiting and not home.asked
    assert {owner.token for owner in home.house.door.sessions} > {NEW.id}


def test_a_link_that_went_is_forgotten() -> None:
    """Also one that came too late, or said more than its hello; the store's answer changes nothing."""
    home = Home()
    gone, late, talker = home.hello(), home.hello(), home.hello()
    assert gone.near.receiver is not None
    gone.near.receiver.link_lost("gone")
    talker.say(Hello(token=NEW.text, client_id="one"))
    assert talker.near.closed is not None and len(home.asked) == 3
    home.house.clock.advance(10)
    for client in (late, talker):
        ((kind, payload),) = client.frames()
        assert kind == FrameType.GOAWAY and U32_U16.unpack_from(payload)[1] == 6
    for _ in range(3):
        home.answer()
    assert not gone.near.sent and home.house.door.sessions == {}
    assert len(late.frames()) == len(talker.frames()) == 1
    assert not home.house.clock.getDelayedCalls()


def test_a_session_goes_on_without_the_store() -> None:
    """The secrets of session and token are known; nobody is asked. With another secret, the store is."""
    home = Home()
    client = home.client()
    session = client.session
    assert session is not None
    client.cut()
    wish = {"session": session.id, "secret": session.secret, "position": session.position}
    answer = home.hello(resume=wish).answer()
    assert isinstance(answer, Welcome) and answer.resumed is not None
    assert home.asked == []
    for token, passport in (
        (NEW.text, {**wish, "secret": "x"}),
        (f"eg_{NEW.id}_{new_token().text[-43:]}", wish),
    ):
        home.hello(token, resume=passport)
    assert len(home.asked) == 2


def test_one_more_link_of_a_client_needs_no_store() -> None:
    """A companion of a session that stands."""
    home = Home()
    client = home.client()
    session = client.session
    assert session is not None
    another = home.hello(join={"session": session.id, "secret": session.secret})
    assert isinstance(another.answer(), Welcome) and home.asked == []


def test_a_revoked_token_ends_its_sessions_and_no_other() -> None:
    """With the code that tells the client to stay away."""
    home = Home()
    one, two = home.client("one"), home.client("two")
    own = home.house.client("own")
    home.desk.revoked(NEW.id)
    home.desk.revoked("somebody")
    home.house.carry()
    assert [client.near.closed for client in (one, two)] == [(Revoked.code, "this token was revoked")] * 2
    assert own.near.closed is None and len(home.house.door.sessions) == 1
    assert home.desk.standing(NEW.text) is None


def test_a_token_revoked_while_the_store_was_asked_is_refused() -> None:
    """The answer is older than the revocation."""
    home = Home()
    client = home.hello()
    home.desk.revoked(NEW.id)
    home.answer()
    assert refused(client) == "token-revoked"


def test_sessions_end_when_the_token_expires() -> None:
    """By the time of day, also if that was set back meanwhile; timers go with the sessions."""
    clock, day = Clock(), 86_400.0
    behind = [0.0]
    desk = Authenticator(clock, lambda: clock.seconds() - behind[0], AttemptLimits())
    ended: list[tuple[str, str]] = []
    desk.end = lambda token, error: ended.append((token, error.text))
    desk.entered(Grant(NEW.id, NEW.digest, Scope(), 3.5 * day))
    for _ in range(3):
        clock.advance(day)
    behind[0] = 60.0
    clock.advance(0.5 * day)
    assert ended == []
    clock.advance(60)
    assert ended == [(NEW.id, "this token has expired")]
    desk.entered(Grant(NEW.id, NEW.digest, Scope(), 9 * day))
    desk.left(NEW.id)
    desk.left(NEW.id)
    assert clock.getDelayedCalls() == []


def test_wrong_tokens_are_answered_later_and_then_refused() -> None:
    """One wrong token more each time; then the store is not asked, whatever is shown; the relay's own stays good."""
    home = Home(free=1, first=0.5, refused=3)
    clock = home.house.clock
    wrong = [home.hello(new_token().text) for _ in range(3)]
    for _ in wrong:
        home.answer()
    assert refused(wrong[0]) == "bad-token" and not wrong[1].near.sent
    clock.advance(0.5)
    assert refused(wrong[1]) == "bad-token"
    assert refused(home.hello()) == "too-many-attempts"
    assert home.asked == []
    assert isinstance(home.hello(TOKEN).answer(), Welcome)
    clock.advance(300)
    home.client("later")
    assert [record.rule for record in home.noted].count("too-many-attempts") == 1
    assert [record.rule for record in home.noted].count("bad-token") == 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"revoked": 1.0}, "token-revoked"),
        ({"disabled": 1.0}, "owner-disabled"),
        ({"expires": 5.0}, "token-expired"),
        ({"scope": {"colour": "red"}}, "bad-scope"),
    ],
)
def test_a_known_token_that_is_not_good_is_refused_at_once(change: dict[str, Any], reason: str) -> None:
    """Who knows its secret is not guessing; and it is noted."""
    home = Home(attrs.evolve(RECORD, **change))
    for _ in range(30):
        client = home.hello()
        home.answer()
        assert refused(client) == reason
    assert {record.rule for record in home.noted} == {reason}


def test_a_defect_of_the_relay_is_logged_and_said() -> None:
    """Nobody waits for ever."""
    home = Home()
    client = home.hello()
    with capturedLogs() as events:
        home.asked.pop()[1].errback(ZeroDivisionError())
    assert refused(client) == "login-failed"
    assert any("went wrong" in event["log_format"] for event in events)


def test_a_scope_judges_claims_over_all_clients_of_a_token() -> None:
    """Names, kinds, ports and the number of tunnels; what is given back counts no more."""
    home = Home(attrs.evolve(RECORD, scope={"names": ["demo-*"], "tunnels": 2, "tcp_ports": ["20007-20008"]}))
    one, two = home.client("one"), home.client("two")
    assert one.refused(1, name="other").code == "scope-names"
    assert one.refused(1).code == "scope-names"
    assert one.refused(1, "tcp", port=20_001).code == "scope-tcp-ports"
    one.claim(1, name="demo-1")
    assert two.claim(1, "tcp").name == "20007"
    for client in (one, two):
        refusal = client.refused(2, name="demo-2")
        assert (refusal.code, refusal.retry) == ("scope-tunnels", False)
        assert "rule 'tunnels'" in refusal.text
    one.claim(1, name="demo-3")  # in place of the first
    home.leave("two")
    one.claim(2, name="demo-2")
    assert home.house.client("own").claim(1, name="any").name == "any"


def test_what_a_token_may_do_is_forgotten_with_its_last_session() -> None:
    """Nothing is kept of clients that are gone."""
    home = Home(attrs.evolve(RECORD, expires=2_000_000.0, scope={"tunnels": 1}))
    for name in ("one", "two", "one"):  # the third in place of the first
        home.client(name)
    assert home.desk.scope(NEW.id) is not None
    home.leave("one")
    assert home.desk.scope(NEW.id) is not None
    home.leave("two")
    assert home.desk.scope(NEW.id) is None and home.house.table.scoped == {}
