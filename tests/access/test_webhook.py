"""The rule ``webhook``: what is read of a request, when, and what a claim may say."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, fail, succeed

from egtunnel.access.webhook import BAD_SIGNATURE, TOO_OLD, WebhookLimits, WebhookRule, webhook
from egtunnel.guard import AccessError, Asked, BodyTooLarge
from egtunnel.interfaces import Visitor

VISITOR = Visitor("http", "192.0.2.7", 4711, "hooks")
SECRET = "It's a Secret to Everybody"
BODY = b"Hello, World!"
SIGNED = (b"X-Hub-Signature-256", b"sha256=" + hmac.digest(SECRET.encode(), BODY, hashlib.sha256).hex().encode())
GITHUB = {"kind": "github", "header": "", "secrets": [SECRET]}
NOW = 1_000.0


def at_once(work: Callable[[], bool]) -> Deferred[bool]:
    """Instead of a thread."""
    return succeed(work())


def rule(value: Any, now: float = NOW, limits: WebhookLimits | None = None) -> WebhookRule:
    return webhook(value, at_once, lambda: now, limits or WebhookLimits())


def judged(asked_by: WebhookRule, *fields: tuple[bytes, bytes], body: bytes = BODY, upgrade: bytes = b"") -> Any:
    """The verdict, and how often the body was read."""
    read: list[int] = []

    def read_body(asked: Asked, most: int) -> Deferred[bytes]:
        read.append(most)
        return fail(BodyTooLarge()) if len(body) > most else succeed(body)

    asked = Asked(b"POST", b"/", fields=list(fields), upgrade=upgrade, read_body=read_body)
    verdict: Any = asked_by.judge(asked, VISITOR)
    if isinstance(verdict, Deferred):
        results: list[Any] = []
        verdict.addBoth(results.append)
        (verdict,) = results
    return verdict, len(read)


def test_the_right_signature() -> None:
    """The body is read once, and goes on."""
    assert judged(rule(GITHUB), SIGNED) == (None, 1)


def test_a_wrong_one() -> None:
    """One byte of the body."""
    assert judged(rule(GITHUB), SIGNED, body=b"Hello, World?") == (BAD_SIGNATURE, 1)


def test_no_signature_has_nothing_read() -> None:
    """Nor an upgrade, after which anything could follow."""
    assert judged(rule(GITHUB)) == (BAD_SIGNATURE, 0)
    assert judged(rule(GITHUB), SIGNED, upgrade=b"websocket") == (BAD_SIGNATURE, 0)


def slack(moment: int) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes]]:
    digest = hmac.digest(SECRET.encode(), b"v0:%d:%b" % (moment, BODY), hashlib.sha256).hex().encode()
    return (b"X-Slack-Signature", b"v0=" + digest), (b"X-Slack-Request-Timestamp", b"%d" % moment)


def test_an_old_one_has_nothing_read() -> None:
    """However right it is."""
    asked_by = rule({"kind": "slack", "header": "", "secrets": [SECRET]})
    assert judged(asked_by, *slack(700)) == (None, 1)
    assert judged(asked_by, *slack(699)) == (TOO_OLD, 0)
    assert judged(asked_by, *slack(1_301)) == (TOO_OLD, 0)


def test_a_body_that_took_too_long_makes_it_an_old_one() -> None:
    """The window is for when all of it is there."""
    moments = iter([NOW, NOW + 301])
    asked_by = webhook(
        {"kind": "slack", "header": "", "secrets": [SECRET]}, at_once, lambda: next(moments), WebhookLimits()
    )
    assert judged(asked_by, *slack(1_000)) == (TOO_OLD, 1)


def test_a_large_body_is_worked_out_elsewhere() -> None:
    """And only a large one."""
    works: list[Callable[[], bool]] = []

    def later(work: Callable[[], bool]) -> Deferred[bool]:
        works.append(work)
        return at_once(work)

    for thread, count in ((len(BODY) + 1, 0), (len(BODY), 1)):
        asked_by = webhook(GITHUB, later, lambda: NOW, WebhookLimits(thread=thread))
        assert judged(asked_by, SIGNED)[0] is None
        assert len(works) == count


def test_more_than_may_be_held() -> None:
    """The seam says 413."""
    verdict, _ = judged(rule(GITHUB, limits=WebhookLimits(body=5)), SIGNED)
    assert verdict.check(BodyTooLarge)


def test_a_connection_without_http() -> None:
    """Never."""
    assert not rule(GITHUB).admits(attrs.evolve(VISITOR, kind="tcp"))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "gitlab"},
        {"kind": []},
        {"header": "x-signature"},
        {"header": None},
        {"kind": "hmac"},
        {"kind": "hmac", "header": "X-Upper"},
        {"kind": "hmac", "header": "x\ny"},
        {"secrets": []},
        {"secrets": SECRET},
        {"secrets": [7]},
        {"secrets": ["tooshrt"]},
        {"secrets": [SECRET] * 11},
        {"kind": "standard", "secrets": ["whsec_no base 64"]},
        {"kind": "standard", "secrets": ["whsec_\u00fcmlaut"]},
        {"more": 1},
    ],
)
def test_what_cannot_be_a_rule(change: dict[str, Any]) -> None:
    """And the reason never repeats a secret."""
    value = {**GITHUB, **change}
    with pytest.raises(AccessError) as refused:
        rule(value)
    assert not any(isinstance(each, str) and len(each) > 1 and each in refused.value.text for each in value["secrets"])


def test_the_rule_shows_no_secret() -> None:
    """However it is printed."""
    assert SECRET not in repr(rule(GITHUB)) and SECRET not in str(vars(WebhookLimits) | {"rule": rule(GITHUB)})
