"""Tokens that somebody else knows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from egtunnel.access.external import CheckLimits, ExternalCheck
from egtunnel.access.fetching import FetchError, FetchRefused
from egtunnel.errors import Refused
from egtunnel.store.records import TokenRecord


class Service:
    """Answers with a value, or an error."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[tuple[bytes, str, dict[str, Any]]] = []
        self.clock = Clock()
        fetcher: Any = self
        limits = CheckLimits(fresh=60, stale=3600)
        self.check = ExternalCheck(fetcher, "https://x.test/", self.clock.seconds, self.clock.seconds, limits)

    def ask(self, method: bytes, url: str, fields: Any, body: bytes) -> Deferred[Any]:
        self.asked.append((method, url, json.loads(body)))
        return fail(self.answer) if isinstance(self.answer, Exception) else succeed(self.answer)

    def login(self, token: str = "a token") -> TokenRecord:
        found: list[Any] = []
        self.check.login(token, "192.0.2.1").addBoth(found.append)
        if not isinstance(found[0], TokenRecord):
            found[0].raiseException()
        record: TokenRecord = found[0]
        return record


def test_who_is_known_there_is_let_in_with_what_it_may_do() -> None:
    """Ids are of a kind that the store has not; the token itself is not kept."""
    service = Service({"owner": "ann", "scope": {"names": ["ann-*"]}, "expires_in": 90})
    record = service.login()
    assert service.asked == [(b"POST", "https://x.test/", {"token": "a token", "address": "192.0.2.1"})]
    assert (record.owner, record.scope, record.expires) == ("x-ann", {"names": ["ann-*"]}, 90)
    assert record.id.startswith("x-") and "a token" not in repr(record)


def test_an_answer_holds_for_a_while_and_longer_while_nobody_answers() -> None:
    """A refusal ends it at once."""
    service = Service({"owner": "ann"})
    service.login()
    service.clock.advance(59)
    service.login()
    assert len(service.asked) == 1
    service.clock.advance(1)
    service.answer = FetchError("away")
    service.login()
    assert len(service.asked) == 2
    service.answer = FetchRefused("401")
    with pytest.raises(Refused, match="does not know"):
        service.login()
    service.answer = FetchError("away")
    with pytest.raises(Refused) as found:
        service.login()
    assert (found.value.reason, found.value.retry) == ("check-away", True)


def test_a_token_is_over_in_its_time_also_while_nobody_answers() -> None:
    """``expires_in`` counts from the answer."""
    service = Service({"owner": "ann", "expires_in": 30})
    service.login()
    service.clock.advance(30)
    service.answer = FetchError("away")
    with pytest.raises(Refused, match="does not answer"):
        service.login()


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"owner": ""},
        {"owner": 7},
        {"owner": "x" * 121},
        {"owner": "a", "scope": {"colours": []}},
        {"owner": "a", "scope": []},
        {"owner": "a", "expires_in": 0},
        {"owner": "a", "expires_in": True},
        {"owner": "a", "expires_in": "1h"},
    ],
    ids=repr,
)
def test_an_answer_that_cannot_be_lets_nobody_in(answer: Any) -> None:
    """It is the check's fault, and may be tried again."""
    with pytest.raises(Refused) as found:
        Service(answer).login()
    assert (found.value.reason, found.value.retry) == ("check-failed", True)


def test_what_is_no_token_is_not_asked_about() -> None:
    """Nothing longer than a token may be travels on."""
    service = Service({"owner": "ann"})
    for wrong in ("", "x" * 4097):
        with pytest.raises(Refused):
            service.check.login(wrong, "192.0.2.1")
    assert not service.asked
