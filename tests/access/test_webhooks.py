"""Signatures of webhooks, with the test vectors that their senders publish."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed

from egtunnel.access.limits import AccessLimits
from egtunnel.access.webhook_rule import OLD, WANTED, WRONG, webhook
from egtunnel.access.webhooks import KINDS
from egtunnel.guard import AccessError, Asked
from egtunnel.interfaces import Visitor

LIMITS = AccessLimits()
SECRET = "It's a Secret to Everybody"
BODY = b"Hello, World!"
GITHUB = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
"""docs.github.com, "Validating webhook deliveries", section "Testing the webhook payload validation"."""
SLACK_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar"
    b"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2F"
    b"hooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id="
    b"398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
SLACK = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
"""api.slack.com, "Verifying requests from Slack": the worked example, signed at 1531420618."""
SLACK_TIME = 1_531_420_618.0


def digest(data: bytes, secret: str = SECRET) -> str:
    """An HMAC-SHA256 as hexadecimal digits."""
    return hmac.new(secret.encode(), data, hashlib.sha256).hexdigest()


class Sent:
    """A request with a body; ``read``: how much of it the rule asked for."""

    def __init__(self, body: bytes = BODY, **fields: str) -> None:
        self.read = 0
        self.body = body
        pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
        self.asked = Asked(b"POST", b"/hook", fields=pairs, read_body=self._read)

    def _read(self, most: int) -> Any:
        self.read = most
        return succeed(self.body)


def verdict(sent: Sent, kind: str, *secrets: str, now: float = SLACK_TIME, header: str = "") -> Any:
    """What the rule says of it."""
    rule = webhook({"kind": kind, "header": header, "secrets": list(secrets or (SECRET,))}, lambda: now, LIMITS)
    found = rule.judge(sent.asked, Visitor("http", "192.0.2.7", 4711, "app"))
    return found.result if isinstance(found, Deferred) else found


def test_githubs_own_example_is_accepted() -> None:
    """And nothing that differs in one byte."""
    assert verdict(Sent(X_Hub_Signature_256=GITHUB), "github") is None
    assert verdict(Sent(b"Hello, World?", X_Hub_Signature_256=GITHUB), "github") is WRONG
    assert verdict(Sent(X_Hub_Signature_256=GITHUB[:-1] + "6"), "github") is WRONG
    assert verdict(Sent(X_Hub_Signature_256=GITHUB), "github", "another secret") is WRONG


def test_slacks_own_example_is_accepted_when_it_was_sent() -> None:
    """Five minutes later it is old; its time is signed, too."""
    fields = {"X_Slack_Signature": SLACK, "X_Slack_Request_Timestamp": "1531420618"}
    assert verdict(Sent(SLACK_BODY, **fields), "slack", SLACK_SECRET) is None
    for away in (-301.0, 301.0):
        sent = Sent(SLACK_BODY, **fields)
        assert verdict(sent, "slack", SLACK_SECRET, now=SLACK_TIME + away) is OLD
        assert sent.read == 0
    fields["X_Slack_Request_Timestamp"] = "1531420619"
    assert verdict(Sent(SLACK_BODY, **fields), "slack", SLACK_SECRET) is WRONG


def test_stripe_signs_time_and_body_with_each_of_its_secrets() -> None:
    """One that fits is enough; schemes other than v1 do not count."""
    good, other = digest(b"1531420618.Hello, World!"), digest(b"1531420618.Hello, World!", "old")
    assert verdict(Sent(Stripe_Signature=f"t=1531420618,v1={other},v1={good},v0={other}"), "stripe") is None
    assert verdict(Sent(Stripe_Signature=f"t=1531420618,v1={other}"), "stripe") is WRONG
    assert verdict(Sent(Stripe_Signature=f"t=1531420618,v0={good}"), "stripe") is WANTED
    assert verdict(Sent(Stripe_Signature=f"t=1531420619,v1={good}"), "stripe") is WRONG
    assert verdict(Sent(Stripe_Signature=f"t=1531420618,v1={good}"), "stripe", now=SLACK_TIME + 301) is OLD


@pytest.mark.parametrize("prefix", ["", "sha256="])
def test_any_sender_that_signs_the_body(prefix: str) -> None:
    """In the usual header, or in one that is named."""
    assert verdict(Sent(X_Signature=prefix + digest(BODY)), "hmac") is None
    assert verdict(Sent(X_Gitea_Signature=prefix + digest(BODY)), "hmac", header="X-Gitea-Signature") is None
    assert verdict(Sent(X_Signature=prefix + digest(BODY)), "hmac", header="X-Gitea-Signature") is WANTED


def test_a_secret_may_change_without_a_gap() -> None:
    """Both hold meanwhile."""
    assert verdict(Sent(X_Hub_Signature_256=GITHUB), "github", "the next one", SECRET) is None


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("github", {}),
        ("github", {"X_Hub_Signature_256": ""}),
        ("github", {"X_Hub_Signature_256": GITHUB.removeprefix("sha256=")}),
        ("github", {"X_Hub_Signature_256": GITHUB[:-2]}),
        ("github", {"X_Hub_Signature": GITHUB}),
        ("slack", {"X_Slack_Signature": SLACK}),
        ("slack", {"X_Slack_Signature": SLACK, "X_Slack_Request_Timestamp": "now"}),
        ("slack", {"X_Slack_Signature": SLACK[3:], "X_Slack_Request_Timestamp": "1531420618"}),
        ("stripe", {"Stripe_Signature": "t=1531420618"}),
        ("stripe", {"Stripe_Signature": f"v1={'0' * 64}"}),
        ("stripe", {"Stripe_Signature": f"t=1,t=2,v1={'0' * 64}"}),
        ("stripe", {"Stripe_Signature": "t=" + "9" * 100 + f",v1={'0' * 64}"}),
        ("stripe", {"Stripe_Signature": "," * 10_000}),
        ("hmac", {"X_Signature": "zz" * 32}),
    ],
)
def test_without_a_whole_signature_no_body_is_read(kind: str, fields: dict[str, str]) -> None:
    """It is refused at once."""
    sent = Sent(BODY, **fields)
    assert verdict(sent, kind) is WANTED and sent.read == 0


def test_two_signatures_are_none() -> None:
    """Nobody knows which one the service would believe."""
    sent = Sent(X_Hub_Signature_256=GITHUB)
    sent.asked.fields.append((b"x-hub-signature-256", GITHUB.encode()))
    assert verdict(sent, "github") is WANTED


def test_the_body_is_read_up_to_its_limit() -> None:
    """The seam refuses what is longer."""
    sent = Sent(X_Hub_Signature_256=GITHUB)
    verdict(sent, "github")
    assert sent.read == LIMITS.webhook_body


@pytest.mark.parametrize(
    "value",
    [
        None, [], {"kind": "github"}, {"kind": "gitlab", "header": "", "secrets": ["s"]},
        {"kind": "github", "header": "", "secrets": []}, {"kind": "github", "header": "", "secrets": [""]},
        {"kind": "github", "header": "", "secrets": ["the-secret"] * 6},
        {"kind": ["github"], "header": "", "secrets": ["s"]},
        {"kind": "hmac", "header": "a b", "secrets": ["the-secret"]},
        {"kind": "hmac", "header": None, "secrets": ["s"]},
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(value: Any) -> None:
    """And no refusal repeats a secret."""
    with pytest.raises(AccessError) as caught:
        webhook(value, lambda: 0.0, LIMITS)
    assert "the-secret" not in caught.value.text


def test_every_digest_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every secret, however early one fits."""
    compared: list[bytes] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return one == other

    monkeypatch.setattr("egtunnel.access.webhooks.hmac.compare_digest", compare)
    assert verdict(Sent(X_Hub_Signature_256=GITHUB), "github", SECRET, "next") is None
    assert len(compared) == 2


def test_without_http_there_is_no_signature() -> None:
    """A rule for requests lets no other connection in."""
    for kind in KINDS:
        rule = webhook({"kind": kind, "header": "", "secrets": ["s"]}, lambda: 0.0, LIMITS)
        assert not rule.admits(Visitor("tcp", "192.0.2.7", 4711, "20000"))
