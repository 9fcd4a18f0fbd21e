"""Bearer tokens of other issuers, and the keys that are fetched for them."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import attrs
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.internet.defer import Deferred

from egtunnel.access.fetching import FetchError
from egtunnel.access.jwt_tokens import AWAY, WANTED, WRONG, jwt_tokens
from egtunnel.access.key_sets import KeySet
from egtunnel.access.limits import AccessLimits
from egtunnel.guard import AccessError, Asked
from egtunnel.interfaces import Visitor

LIMITS = AccessLimits()
RSA = rsa.generate_private_key(65_537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
NOW = 1_800_000_000.0
CLAIMS: dict[str, Any] = {"iss": "https://login.test", "aud": "app", "exp": NOW + 600, "sub": "ann"}
RULE = {"jwks": "https://login.test/keys", "issuer": "https://login.test", "audience": "app"}


def public(key: Any, kid: str, algorithm: str, **more: str) -> dict[str, Any]:
    """A key as its issuer publishes it."""
    made = (jwt.algorithms.RSAAlgorithm if algorithm[:2] in ("RS", "PS") else jwt.algorithms.ECAlgorithm).to_jwk(
        key.public_key()
    )
    return {**json.loads(made), "kid": kid, "alg": algorithm, **more}


KEYS = {"keys": [public(RSA, "one", "RS256"), public(EC, "two", "ES256")]}


@attrs.define
class Issuer:
    """A tunnel's rule, whose issuer answers when the test says so."""

    now: float = NOW
    fetched: list[Deferred[dict[str, Any]]] = attrs.field(factory=list)
    keys: KeySet = attrs.field(init=False)
    rule: Any = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.keys = KeySet(self._fetch, lambda: self.now, LIMITS)
        self.rule = jwt_tokens(RULE, self, lambda: self.now, LIMITS)  # type: ignore[arg-type]

    def at(self, url: str) -> KeySet:
        """As of all sets."""
        assert url == RULE["jwks"]
        return self.keys

    def _fetch(self) -> Deferred[dict[str, Any]]:
        self.fetched.append(Deferred())
        return self.fetched[-1]

    def judge(self, token: str | None) -> Any:
        """The verdict, or what will be it."""
        fields = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
        return self.rule.judge(Asked(b"GET", b"/", fields=fields), Visitor("http", "192.0.2.7", 4711, "app"))

    def verdict(self, token: str | None) -> Any:
        """The verdict; the issuer answers whatever it is asked."""
        found = self.judge(token)
        while self.fetched and not self.fetched[-1].called:
            self.fetched[-1].callback(KEYS)
        return found.result if isinstance(found, Deferred) else found


def token(key: Any = RSA, kid: str | None = "one", algorithm: str = "RS256", **claims: Any) -> str:
    """A signed token; claims that are None are left out."""
    whole = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    return jwt.encode(whole, key, algorithm=algorithm, headers={} if kid is None else {"kid": kid})


def test_a_good_token_opens_and_goes_on() -> None:
    """By any of the issuer's keys; the keys are fetched once, and a token is checked once."""
    issuer = Issuer()
    assert issuer.verdict(token()) is None
    assert issuer.verdict(token(EC, "two", "ES256")) is None
    assert issuer.verdict(token(aud=["other", "app"])) is None
    assert issuer.judge(token()) is None
    assert len(issuer.fetched) == 1


@pytest.mark.parametrize(
    "shown",
    [
        token(exp=NOW - 60),
        token(exp=None),
        token(iss=None),
        token(aud=None),
        token(nbf=NOW + 60),
        token(iss="https://login.test.evil"),
        token(aud="other"),
        token(kid="three"),
        token(kid=None),
        token(kid="two"),
        token(rsa.generate_private_key(65_537, 2048)),
        token()[:-4] + "AAAA",
        jwt.encode(CLAIMS, "", algorithm="none"),
        jwt.encode(CLAIMS, "s" * 32, algorithm="HS256", headers={"kid": "one"}),
        jwt.encode(CLAIMS, RSA, algorithm="RS256", headers={"kid": "one", "crit": ["exp"]}),
        "abc",
        "a.b.c",
        "x" * 10_000,
    ],
)
def test_any_other_token_is_refused(shown: str) -> None:
    """Expired, not yet good, of another issuer, for another service, by another key or another way of signing."""
    assert Issuer().verdict(shown) is WRONG


def test_no_token_is_asked_for() -> None:
    """401, as RFC 6750 says."""
    assert Issuer().verdict(None) is WANTED


def test_a_public_key_is_no_secret_to_sign_with() -> None:
    """The oldest trick: HMAC with what everybody knows."""
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in ({"alg": "HS256", "kid": "one"}, CLAIMS)
    )
    pem = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    made = base64.urlsafe_b64encode(hmac.digest(pem, head + b"." + body, "sha256")).rstrip(b"=")
    assert Issuer().verdict(b".".join((head, body, made)).decode()) is WRONG


def test_a_token_that_was_good_ends_with_its_time() -> None:
    """Though it was checked a moment ago; clocks may differ a little."""
    issuer = Issuer()
    shown = token(exp=NOW + 10)
    assert issuer.verdict(shown) is None
    issuer.now = NOW + 10 + LIMITS.leeway - 1
    assert issuer.verdict(shown) is None
    issuer.now = NOW + 10 + LIMITS.leeway
    assert issuer.verdict(shown) is WRONG


def test_who_comes_while_keys_are_fetched_waits_for_them() -> None:
    """One look for all; who leaves takes nobody with it."""
    issuer = Issuer()
    first, second = issuer.judge(token()), issuer.judge(token(EC, "two", "ES256"))
    first.addErrback(lambda reason: None)
    first.cancel()
    assert len(issuer.fetched) == 1
    issuer.fetched[0].callback(KEYS)
    assert second.result is None


def test_ids_that_are_not_there_do_not_make_the_relay_ask_on_and_on() -> None:
    """Once a minute it looks whether the issuer has a new key."""
    issuer = Issuer()
    issuer.verdict(token())
    for number in range(100):
        issuer.now += 0.1
        assert issuer.verdict(token(kid=f"unknown {number}")) is WRONG
    assert len(issuer.fetched) == 1
    issuer.now += LIMITS.keys_again
    assert issuer.verdict(token(kid="unknown")) is WRONG
    assert len(issuer.fetched) == 2


def test_old_keys_are_fetched_again_and_serve_meanwhile() -> None:
    """Also for a day if the issuer is away; then nobody comes in."""
    issuer = Issuer()
    issuer.verdict(token())
    issuer.now += LIMITS.keys_fresh
    shown = token(exp=NOW + 1e6)
    assert issuer.judge(shown) is None
    issuer.fetched[-1].errback(FetchError("away"))
    assert len(issuer.fetched) == 2
    issuer.now = NOW + LIMITS.keys_kept + 1
    waiting = issuer.judge(shown)
    issuer.fetched[-1].errback(FetchError("away"))
    assert waiting.result is AWAY
    assert issuer.judge(shown) is AWAY


@pytest.mark.parametrize("document", [{}, {"keys": "x"}, {"keys": [1, None, {}, {"kty": "x"}, {"kty": "RSA"}]}])
def test_a_document_without_keys_opens_nothing(document: dict[str, Any]) -> None:
    """And breaks nothing."""
    issuer = Issuer()
    waiting = issuer.judge(token())
    issuer.fetched[0].callback(document)
    assert waiting.result in (WRONG, AWAY)


def test_keys_for_something_else_are_left_out() -> None:
    """Symmetric ones, and those for encryption."""
    issuer = Issuer()
    waiting = issuer.judge(token())
    secret = {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0", "alg": "HS256", "kid": "one"}
    issuer.fetched[0].callback({"keys": [secret, public(RSA, "two", "RS256", use="enc")]})
    assert waiting.result is WRONG


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {**RULE, "more": 1},
        {**RULE, "issuer": ""},
        {**RULE, "audience": 7},
        {**RULE, "jwks": "http://login.test/keys"},
        {**RULE, "jwks": "file:///etc/passwd"},
        {**RULE, "jwks": "https://user:word@login.test/"},
        {**RULE, "jwks": "https://login.test:x/"},
        {**RULE, "jwks": "https://" + "x" * 2000},
        {**RULE, "jwks": "https://login.test/a b"},
        {**RULE, "jwks": "https://"},
    ],
)
def test_what_cannot_be_is_refused(value: Any) -> None:
    """Other schemes than https, too."""
    with pytest.raises(AccessError):
        jwt_tokens(value, Issuer(), lambda: NOW, LIMITS)  # type: ignore[arg-type]
