"""Signatures of webhooks: the examples that the services publish, and all that comes near them and is not right."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable

import pytest

from egtunnel.access.webhooks import KINDS, Signed, Values, read_signed

GITHUB = (b"It's a Secret to Everybody", b"Hello, World!")
GITHUB_DIGEST = b"757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
SLACK_SECRET = b"8f742231b10e8888abcd99yyyzzz85a5"
SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&"
    b"channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url="
    b"https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&"
    b"trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
SLACK = {
    b"x-slack-signature": b"v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    b"x-slack-request-timestamp": b"1531420618",
}
STANDARD_SECRET = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
STANDARD = {
    b"webhook-id": b"msg_p5jXN8AQM9LWM0D4loKWxJek",
    b"webhook-timestamp": b"1614265330",
    b"webhook-signature": b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
STANDARD_BODY = b'{"test": 2432232314}'


def headers(fields: dict[bytes, bytes]) -> Values:
    """Each of them once."""
    return lambda name: [fields[name]] if name in fields else []


def read(kind: str, fields: dict[bytes, bytes], header: str = "x-signature") -> Signed:
    """What they say; there is something."""
    signed = read_signed(kind, header, headers(fields))
    assert signed is not None
    return signed


def mac(secret: bytes, data: bytes) -> bytes:
    return hmac.digest(secret, data, hashlib.sha256).hex().encode()


def flipped(body: bytes) -> list[bytes]:
    """The body with one bit of each byte in turn turned over."""
    return [body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :] for at in range(len(body))]


@pytest.mark.parametrize(
    ("kind", "fields", "secret", "body", "moment"),
    [
        ("github", {b"x-hub-signature-256": b"sha256=" + GITHUB_DIGEST}, *GITHUB, None),
        ("slack", SLACK, SLACK_SECRET, SLACK_BODY, 1531420618),
        ("standard", STANDARD, STANDARD_SECRET, STANDARD_BODY, 1614265330),
        ("hmac", {b"x-signature": GITHUB_DIGEST}, *GITHUB, None),
        ("hmac", {b"x-signature": b"sha256=" + GITHUB_DIGEST}, *GITHUB, None),
        ("hmac", {b"x-signature": base64.b64encode(bytes.fromhex(GITHUB_DIGEST.decode()))}, *GITHUB, None),
    ],
)
def test_the_published_examples(
    kind: str, fields: dict[bytes, bytes], secret: bytes, body: bytes, moment: int | None
) -> None:
    """Right as they are; not with one byte of the body, or the secret, another one."""
    signed = read(kind, fields)
    assert signed.moment == moment
    assert signed.fits([secret], body)
    assert signed.fits([b"the next secret", secret], body)
    assert not signed.fits([secret + b"x"], body)
    assert not any(signed.fits([secret], other) for other in [*flipped(body), body + b" ", b""])


def test_stripe() -> None:
    """Several signatures, of which one has to be right, and schemes that are not meant."""
    good = mac(b"whsec_test", b"1492774577.{}")
    text = b"t=1492774577, v1=" + b"0" * 64 + b",v1=" + good + b",v0=" + b"1" * 64
    signed = read("stripe", {b"stripe-signature": text})
    assert (signed.moment, len(signed.digests)) == (1492774577, 2)
    assert signed.fits([b"whsec_test"], b"{}")
    assert not signed.fits([b"whsec_test"], b"{ }")
    later = read("stripe", {b"stripe-signature": text.replace(b"577", b"578")})
    assert not later.fits([b"whsec_test"], b"{}"), "the moment is signed, too"
    only_other = b"t=1492774577,v0=" + good
    assert read_signed("stripe", "", headers({b"stripe-signature": only_other})) is None


def test_another_header_of_hmac() -> None:
    """The one that was asked for, and only that."""
    fields = {b"x-mine": GITHUB_DIGEST}
    assert read("hmac", fields, "x-mine").fits([GITHUB[0]], GITHUB[1])
    assert read_signed("hmac", "x-signature", headers(fields)) is None


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_signature(kind: str) -> None:
    """Nothing, twice, too long, and what has another shape: never an error."""
    assert read_signed(kind, "x-signature", lambda name: []) is None
    junk = (b"", b"=", b",", b"sha256=", b"v0=", b"t=,v1=", b"\xff" * 64, b"g" * 64, b"0" * 63, b"0" * 100_000, b"v1,=")
    for value in junk:
        assert read_signed(kind, "x-signature", lambda name, value=value: [value]) is None  # type: ignore[misc]
    good: dict[str, dict[bytes, bytes]] = {
        "github": {b"x-hub-signature-256": b"sha256=" + GITHUB_DIGEST},
        "stripe": {b"stripe-signature": b"t=1,v1=" + GITHUB_DIGEST},
        "slack": SLACK,
        "standard": STANDARD,
        "hmac": {b"x-signature": GITHUB_DIGEST},
    }
    once = headers(good[kind])
    assert read_signed(kind, "x-signature", once) is not None
    assert read_signed(kind, "x-signature", lambda name: once(name) * 2) is None


@pytest.mark.parametrize("moment", [b"", b"-1", b"1.5", b"1" * 16, b" 1", b"\xb2"])
def test_a_moment_is_whole_seconds(moment: bytes) -> None:
    """Anything else is no signature."""
    assert read_signed("slack", "", headers({**SLACK, b"x-slack-request-timestamp": moment})) is None


def test_parts_that_could_be_taken_for_others_are_refused() -> None:
    """Else an id with a dot could move the border between id, moment and body."""
    for name in (b"msg.1", b"%b", b""):
        assert read_signed("standard", "", headers({**STANDARD, b"webhook-id": name})) is None


@pytest.mark.parametrize(
    ("now", "fresh"), [(700.0, True), (699.0, False), (1300.0, True), (1300.5, False), (1000.0, True), (0.0, False)]
)
def test_the_window(now: float, fresh: bool) -> None:
    """Of both sides: clocks differ both ways."""
    assert Signed(b"", (), 1000).fresh(now, 300.0) is fresh
    assert Signed(b"", ()).fresh(now, 300.0)


def test_every_digest_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """By construction: all pairs go through hmac.compare_digest, also after one was right."""
    compared: list[tuple[bytes, bytes]] = []
    original: Callable[[bytes, bytes], bool] = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return original(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    right = bytes.fromhex(GITHUB_DIGEST.decode())
    assert Signed(b"", (right, bytes(32))).fits([GITHUB[0], b"another"], GITHUB[1])
    assert len(compared) == 4
