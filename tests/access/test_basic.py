"""Users' names and passwords: slow hashes, worked out once, and patience with who does not know them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import argon2
import attrs
import bcrypt
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from egtunnel.access.basic import WRONG, BasicRule, basic
from egtunnel.access.hashing import Hashing
from egtunnel.access.limits import AccessLimits
from egtunnel.errors import OverLimit
from egtunnel.guard import AccessError, Asked, Denial
from egtunnel.interfaces import Visitor

BCRYPT = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()
ARGON2 = argon2.PasswordHasher(1, 8, 1).hash("s\u00e9same")


@attrs.define
class Gate:
    """The rule, with hashes that are worked out when the test says so."""

    limits: AccessLimits = attrs.field(factory=AccessLimits)
    clock: Clock = attrs.field(factory=Clock)
    begun: list[tuple[Callable[[], bool], Deferred[bool]]] = attrs.field(factory=list)
    rule: BasicRule = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        hashing = Hashing(self._run, self.limits)
        self.rule = basic({"ali": BCRYPT, "zo\u00e9": ARGON2}, hashing, self.clock.seconds, self.limits)

    def _run(self, work: Callable[[], bool]) -> Deferred[bool]:
        done: Deferred[bool] = Deferred()
        self.begun.append((work, done))
        return done

    def work(self) -> int:
        """Work out what has begun; returns how many hashes that took."""
        count = 0
        while self.begun:
            work, done = self.begun.pop(0)
            done.callback(work())
            count += 1
        return count

    def ask(self, user: str, password: str, host: str = "192.0.2.7") -> Any:
        """The verdict about a request with these; every hash is worked out."""
        verdict = self.judge(asked(user, password), host)
        self.work()
        return verdict.result if isinstance(verdict, Deferred) else verdict

    def judge(self, request: Asked, host: str = "192.0.2.7") -> Any:
        """The verdict, or what will be it."""
        return self.rule.judge(request, Visitor("http", host, 4711, "app"))


def asked(user: str, password: str, prefix: bytes = b"") -> Asked:
    """A request with name and password."""
    shown = base64.b64encode(f"{user}:{password}".encode())
    return Asked(b"GET", b"/", fields=[(b"Authorization", b"Basic " + shown)], prefix=prefix)


@pytest.mark.parametrize(("user", "password"), [("ali", "open sesame"), ("zo\u00e9", "s\u00e9same")])
def test_who_knows_the_password_comes_in_and_it_does_not_go_on(user: str, password: str) -> None:
    """Of bcrypt and of argon2; the second time without a hash."""
    gate = Gate()
    request = asked(user, password)
    verdict = gate.judge(request)
    assert gate.work() == 1 and verdict.result is None
    assert request.withheld == {b"authorization"}
    assert gate.judge(asked(user, password)) is None and gate.begun == []


@pytest.mark.parametrize(("user", "password"), [("ali", "open"), ("ali", ""), ("bob", "open sesame"), ("", "")])
def test_anybody_else_is_asked_again(user: str, password: str) -> None:
    """A user who is not there takes a hash, too: the time says nothing."""
    gate = Gate()
    assert gate.ask(user, password) is WRONG
    assert WRONG.status == 401 and b"Basic" in dict(WRONG.fields)[b"WWW-Authenticate"]


@pytest.mark.parametrize(
    "value",
    [b"", b"Basic", b"Basic !!!", b"Basic YWxp", b"Bearer abc", b"Basic " + base64.b64encode(b"a:" + b"b" * 2000)],
)
def test_what_is_no_password_costs_no_hash(value: bytes) -> None:
    """It is answered at once."""
    gate = Gate()
    request = Asked(b"GET", b"/", fields=[(b"authorization", value)])
    assert gate.judge(request) is WRONG and gate.begun == [] and not request.withheld
    assert gate.judge(Asked(b"GET", b"/")) is WRONG


def test_passwords_are_asked_for_on_the_tunnels_own_host_only() -> None:
    """Below the relay's own host a browser would show them to other tunnels, too."""
    gate = Gate()
    denial = gate.judge(Asked(b"GET", b"/", prefix=b"/t/app"))
    assert (denial.status, denial.fields) == (403, ())


def test_the_same_password_of_many_requests_is_worked_out_once() -> None:
    """As when a page has fifty pictures."""
    gate = Gate()
    verdicts = [gate.judge(asked("ali", "open sesame")) for _ in range(50)]
    assert gate.work() == 1
    assert [verdict.result for verdict in verdicts] == [None] * 50


def test_what_was_right_is_forgotten_after_a_while() -> None:
    """And there is room for so many."""
    gate = Gate()
    gate.ask("ali", "open sesame")
    gate.clock.advance(gate.limits.remember + 1)
    gate.judge(asked("ali", "open sesame"))
    assert len(gate.begun) == 1


def test_an_address_that_guesses_has_to_wait() -> None:
    """Others do not, and what is right already needs no guess."""
    gate = Gate()
    gate.ask("ali", "open sesame")
    for number in range(gate.limits.wrong):
        assert gate.ask("ali", f"guess {number}") is WRONG
    denial = gate.ask("ali", "one more")
    assert isinstance(denial, Denial) and denial.status == 429
    assert 1 <= int(dict(denial.fields)[b"Retry-After"]) <= gate.limits.wrong_window
    assert gate.ask("ali", "one more", "192.0.2.8") is WRONG
    assert gate.ask("ali", "open sesame") is None
    gate.clock.advance(gate.limits.wrong_window)
    assert gate.ask("ali", "one more") is WRONG


def test_a_visitor_who_leaves_takes_nobody_with_it() -> None:
    """Others wait for the same hash."""
    gate = Gate()
    first, second = (gate.judge(asked("ali", "open sesame")) for _ in range(2))
    first.addErrback(lambda reason: None)
    first.cancel()
    gate.work()
    assert second.result is None


def test_hashes_wait_in_a_bounded_queue() -> None:
    """So many of one address; the next is refused and may come again. Who else asks has its turn."""
    gate = Gate(AccessLimits(threads=1, waiting=6, waiting_of_one=3))
    waiting = [gate.judge(asked("ali", f"guess {number}")) for number in range(4)]
    failed: list[Any] = []
    waiting[3].addErrback(failed.append)
    assert failed[0].check(OverLimit)
    other = gate.judge(asked("ali", "open sesame", b""), "192.0.2.8")
    assert gate.work() == 4 and other.result is None
    assert [verdict.result for verdict in waiting[:3]] == [WRONG] * 3


@pytest.mark.parametrize(
    "value",
    [
        {}, [], None, "ali:x", {"": BCRYPT}, {"a:b": BCRYPT}, {"a\n": BCRYPT}, {"ali": ""}, {"ali": "open sesame"},
        {"ali": 1},
        {"ali": BCRYPT[:-1]}, {"ali": BCRYPT.replace("$04$", "$31$")}, {"ali": "$argon2id$v=19$m=8,t=1,p=1$x"},
        {"ali": ARGON2.replace("m=8", "m=4194304")}, {"ali": ARGON2.replace("t=1", "t=1000")},
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused(value: object) -> None:
    """A hash that takes minutes or gigabytes, too; and no refusal repeats one."""
    gate = Gate()
    with pytest.raises(AccessError) as caught:
        basic(value, gate.rule._hashing, gate.clock.seconds, gate.limits)
    for kept in value.values() if isinstance(value, dict) else ():
        assert not kept or str(kept) not in caught.value.text


def test_there_are_so_many_users_at_most() -> None:
    """And no more."""
    gate = Gate()
    users = {f"user{number}": BCRYPT for number in range(gate.limits.users + 1)}
    with pytest.raises(AccessError):
        basic(users, gate.rule._hashing, gate.clock.seconds, gate.limits)


def test_without_http_there_is_no_password() -> None:
    """A rule for requests lets no other connection in."""
    assert not Gate().rule.admits(Visitor("tcp", "192.0.2.7", 4711, "20000"))
