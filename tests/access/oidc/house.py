"""A login without a network: the rule, a provider in memory, and a browser with its cookies."""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from egtunnel.access.fetching import FetchError, FetchRefused
from egtunnel.access.key_sets import KeySets
from egtunnel.access.limits import AccessLimits
from egtunnel.access.oidc.limits import LoginLimits
from egtunnel.access.oidc.rule import LoginRule, Surroundings, oidc
from egtunnel.access.oidc.sealed import Seal
from egtunnel.guard import Answer, Asked, Denial
from egtunnel.interfaces import Visitor
from tests.access.oidc.issuing import CLIENT, ISSUER, KEYS, NOW, claims, signed

__all__ = ["HOST", "PAGE", "VALUE", "VISITOR", "Browser", "House", "MemoryProvider"]

HOST = b"one.example.com:8443"
PAGE = (b"Accept", b"text/html,*/*")
VALUE = {"issuer": ISSUER, "client_id": CLIENT, "client_secret": "s e", "allow": ["@example.com"], "scopes": []}
VISITOR = Visitor("http", "192.0.2.7", 4711, "one")


class MemoryProvider:
    """What the relay fetches. ``content``: changes of the claims; ``error``: what is answered instead."""

    def __init__(self) -> None:
        self.content: dict[str, Any] = {}
        self.error: Exception | None = None
        self.away = False
        self.challenges: dict[str, tuple[str, str]] = {}
        self.posted: list[tuple[dict[bytes, bytes], dict[str, list[str]]]] = []
        self.slow: Deferred[dict[str, Any]] | None = None
        self.cancelled = 0

    def get(self, url: str) -> Deferred[dict[str, Any]]:
        """Discovery, or keys."""
        if self.away:
            return fail(FetchError("cannot be fetched"))
        if url == f"{ISSUER}/keys":
            return succeed(KEYS)
        assert url == f"{ISSUER}/.well-known/openid-configuration"
        names = {"authorization_endpoint": "auth", "token_endpoint": "token", "jwks_uri": "keys"}
        return succeed({"issuer": ISSUER, **{name: f"{ISSUER}/{path}" for name, path in names.items()}})

    def ask(self, method: bytes, url: str, fields: Any, body: bytes) -> Deferred[dict[str, Any]]:
        """The exchange of a code, which is good once, for whoever knows the verifier."""
        assert (method, url) == (b"POST", f"{ISSUER}/token")
        form = parse_qs(body.decode())
        self.posted.append((dict(fields), form))
        if self.slow is not None:
            return self.slow
        if self.error is not None:
            return fail(self.error)
        nonce, challenge = self.challenges.pop(form["code"][0], ("", ""))
        digest = hashlib.sha256(form["code_verifier"][0].encode()).digest()
        if base64.urlsafe_b64encode(digest).decode().rstrip("=") != challenge:
            return fail(FetchRefused("was answered with 400"))
        return succeed({"id_token": signed(claims(**{"nonce": nonce} | self.content))})

    def wait(self) -> None:
        """Do not answer."""
        self.slow = Deferred(self._cancel)

    def _cancel(self, _: object) -> None:
        self.cancelled += 1

    def log_in(self, location: str) -> dict[str, str]:
        """The query with which a browser is sent back."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        code = f"code{len(self.challenges)}"
        self.challenges[code] = (query["nonce"], query["code_challenge"])
        return {"code": code, "state": query["state"]}


class House:
    """A relay's part of it."""

    def __init__(self, key: bytes = b"k" * 32, limits: LoginLimits | None = None) -> None:
        self.clock = Clock()
        self.provider = MemoryProvider()
        self.limits = limits or LoginLimits()
        fetcher: Any = self.provider
        sets = KeySets(fetcher, self.clock.seconds, AccessLimits())
        self.around = Surroundings(
            fetcher,
            sets,
            lambda: Seal(key),
            self.clock.seconds,
            lambda: NOW + self.clock.seconds(),
            30.0,
            self.limits,
        )

    def rule(self, name: str = "one", **changes: Any) -> LoginRule:
        """The rule of a tunnel."""
        return oidc(VALUE | changes, name, self.around)


class Browser:
    """Keeps cookies of one host."""

    def __init__(self, host: bytes = HOST, scheme: str = "https") -> None:
        self.host = host
        self.scheme = scheme
        self.cookies: dict[str, str] = {}
        self.set: list[str] = []

    def ask(self, rule: LoginRule, target: str = "/", *fields: tuple[bytes, bytes], **more: Any) -> Any:
        """The verdict on a request with these cookies."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items()).encode()
        asked = Asked(
            more.pop("method", b"GET"),
            target.encode("latin-1"),
            host=self.host,
            scheme=self.scheme,
            fields=[*fields, *([(b"Cookie", cookie)] if cookie else [])],
            **more,
        )
        verdict: Any = rule.judge(asked, VISITOR)
        if isinstance(verdict, Deferred):
            found: list[Any] = []
            verdict.addBoth(found.append)
            verdict = found[0] if found else verdict
        if isinstance(verdict, Answer):
            self._keep(verdict)
        return verdict

    def begin(self, rule: LoginRule, target: str = "/") -> str:
        """Ask for a page; where the provider is."""
        verdict = self.ask(rule, target, PAGE)
        assert isinstance(verdict, Answer) and verdict.status == 302
        return dict(verdict.fields)[b"Location"].decode()

    def come_back(self, rule: LoginRule, query: dict[str, str]) -> Any:
        """The verdict on the way back."""
        return self.ask(rule, f"/.egtunnel/oidc/callback?{urlencode(query)}", PAGE)

    def log_in(self, house: House, rule: LoginRule, target: str = "/") -> str:
        """All of it; where it ends."""
        verdict = self.come_back(rule, house.provider.log_in(self.begin(rule, target)))
        assert not isinstance(verdict, Denial), verdict
        where: bytes = dict(verdict.fields)[b"Location"]
        return where.decode()

    def _keep(self, answer: Answer) -> None:
        for name, value in answer.fields:
            if name == b"Set-Cookie":
                self.set.append(value.decode())
                pair, _, more = value.decode().partition(";")
                key, _, text = pair.partition("=")
                self.cookies[key] = text
                if "Max-Age=0;" in more:
                    del self.cookies[key]
