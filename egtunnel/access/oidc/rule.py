"""The rule ``oidc``: visitors log in with a provider, and are known again by a cookie for a while."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import attrs
from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.access.cache import Cache
from egtunnel.access.fetching import Fetcher, FetchError, FetchRefused
from egtunnel.access.host_cookies import BEGUN, SESSION, cookie_values, is_page, own_host, set_cookie
from egtunnel.access.key_sets import KeySets
from egtunnel.access.oidc.allowed import Person, read_person
from egtunnel.access.oidc.errors import LoginError
from egtunnel.access.oidc.id_token import Expected, key_id, read_id_token
from egtunnel.access.oidc.limits import LoginLimits
from egtunnel.access.oidc.provider import Metadata, Provider
from egtunnel.access.oidc.sealed import Seal
from egtunnel.access.oidc.settings import LoginSettings, read_settings
from egtunnel.access.oidc.steps import CALLBACK, LOGOUT, authorization_url, read_back, token_request
from egtunnel.errors import OverLimit
from egtunnel.guard import Answer, Asked, Denial, IGuard, Verdict
from egtunnel.interfaces import Visitor

__all__ = ["LoginRule", "Surroundings", "oidc"]

WANTED = Denial(401, "login-wanted", "This tunnel wants you to log in, with a browser.")
BY_PATH = Denial(403, "login-wanted", "This tunnel asks for a login on its own host only, not on the relay's.")
AWAY = Denial(503, "login-unavailable", "The login provider cannot be asked at the moment.", ((b"Retry-After", b"10"),))
STALE = "this login took too long, or began in another browser: open the page again"
HTML = (b"Content-Type", b"text/html; charset=utf-8")
OUT = b'<!doctype html>\n<title>Logged out</title><p>You are logged out of this tunnel. <a href="/">Log in again</a>\n'


@attrs.frozen
class Surroundings:
    """What all logins of a relay share. ``seal`` gives the one of the relay's key. ``leeway``: of clocks, seconds."""

    fetcher: Fetcher
    sets: KeySets
    seal: Callable[[], Seal]
    now: Callable[[], float]
    wall: Callable[[], float]
    leeway: float
    limits: LoginLimits


def oidc(value: Any, name: str, around: Surroundings) -> LoginRule:
    """The rule of the tunnel of that name. Raises AccessError."""
    return LoginRule(read_settings(value, around.limits), name, around, around.seal())


@implementer(IGuard)
class LoginRule:
    """Lets in who has logged in and is allowed. What it knows of a visitor is in the visitor's cookies alone."""

    log = Logger()

    def __init__(self, settings: LoginSettings, name: str, around: Surroundings, seal: Seal) -> None:
        self._settings = settings
        self._around = around
        self._limits = limits = around.limits
        self._seal = seal
        self._context = (name, settings.issuer, settings.client)
        self._provider = Provider(settings.issuer, around.fetcher.get, around.now, limits)
        self._known: Cache[bytes, float] = Cache(limits.known, limits.session)
        self._exchanges = 0

    def judge(self, asked: Asked, visitor: Visitor) -> Verdict | Deferred[Any]:
        """By the cookie; else the way to the provider and back."""
        if asked.prefix:
            return BY_PATH
        path = asked.path
        if path == CALLBACK:
            return self._come_back(asked)
        if path == LOGOUT:
            return Answer(200, (HTML, set_cookie(asked, SESSION, "", 0)), OUT)
        if any(self._is_good(asked, value) for value in cookie_values(asked, SESSION)):
            return None
        if not is_page(asked):
            return WANTED
        return self._provider.metadata().addCallback(self._send_away, asked).addErrback(self._unavailable)

    def admits(self, visitor: Visitor) -> bool:
        """No: without HTTP there is no login."""
        return False

    # -- who is known

    def _is_good(self, asked: Asked, cookie: str) -> bool:
        host, now = own_host(asked), self._around.wall()
        digest = hashlib.sha256(f"{host}\0{cookie}".encode()).digest()
        until = self._known.get(digest, self._around.now())
        if until is not None:
            return now < until
        value = self._seal.open("session", (host, *self._context), cookie)
        if value is None or now >= value["until"]:
            return False
        if not self._settings.allowed.holds(Person(value["sub"], value["email"], tuple(value["groups"]))):
            return False
        self._known.put(digest, value["until"], self._around.now())
        return True

    def _session(self, asked: Asked, person: Person) -> tuple[bytes, bytes]:
        kept = self._settings.allowed.known_of(person)
        value = {
            "sub": kept.subject,
            "email": kept.email,
            "groups": list(kept.groups),
            "until": int(self._around.wall() + self._limits.session),
        }
        sealed = self._seal.close("session", (own_host(asked), *self._context), value)
        return set_cookie(asked, SESSION, sealed, self._limits.session)

    # -- to the provider

    def _send_away(self, known: Metadata, asked: Asked) -> Answer:
        browser = next(filter(_is_random, cookie_values(asked, BEGUN)), None) or self._seal.random()
        target = asked.target if len(asked.target) <= self._limits.target else b"/"
        value = {
            "target": target.decode("latin-1"),
            "until": int(self._around.wall() + self._limits.login),
            "once": self._seal.random(),
        }
        state = self._seal.close("state", self._begun(asked, browser), value)
        nonce, verifier = self._secrets(asked, browser, state)
        url = authorization_url(known, self._settings, back=_back(asked), state=state, nonce=nonce, verifier=verifier)
        return _redirect(url, set_cookie(asked, BEGUN, browser, self._limits.login))

    def _begun(self, asked: Asked, browser: str) -> tuple[str, ...]:
        """What a login is bound to; ``browser`` is a random text that it has in a cookie."""
        return (browser, asked.scheme, own_host(asked), *self._context)

    def _secrets(self, asked: Asked, browser: str, state: str) -> tuple[str, str]:
        """Nonce and verifier: only who has the cookie and the relay's key could know them."""
        bound = (state, *self._begun(asked, browser))
        return self._seal.derive("nonce", bound), self._seal.derive("verifier", bound)

    # -- and back

    def _come_back(self, asked: Asked) -> Verdict | Deferred[Any]:
        if asked.method != b"GET" or asked.upgrade:
            return Denial(405, "method-not-allowed", "A login comes back with GET.", ((b"Allow", b"GET"),))
        if self._exchanges >= self._limits.exchanges:
            raise OverLimit
        self._exchanges += 1
        confirmed = maybeDeferred(self._confirm, asked)
        return confirmed.addBoth(self._confirmed).addErrback(self._not_confirmed).addErrback(self._unavailable)

    @inlineCallbacks
    def _confirm(self, asked: Asked) -> Any:
        settings, around = self._settings, self._around
        back = read_back(asked.target.partition(b"?")[2])
        browser, target = self._remember(asked, back.state)
        nonce, verifier = self._secrets(asked, browser, back.state)
        known: Metadata = yield self._provider.metadata()
        if back.issuer not in ("", settings.issuer) or (known.names_issuer and not back.issuer):
            raise LoginError("this answer is of another login provider")
        fields, form = token_request(known, settings, back=_back(asked), code=back.code, verifier=verifier)
        try:
            answer = yield around.fetcher.ask(b"POST", known.token, fields, form)
        except FetchRefused:
            raise LoginError("the login provider did not confirm this login: open the page again") from None
        token = answer.get("id_token")
        if not isinstance(token, str) or len(token) > self._limits.token:
            raise LoginError("the provider sent no ID token")
        key = yield around.sets.at(known.keys).find(key_id(token))
        expected = Expected(settings.issuer, settings.client, nonce, around.leeway)
        person = read_person(read_id_token(token, key, expected, around.wall()))
        if not settings.allowed.holds(person):
            raise LoginError(f"you are logged in as {person.email or person.subject}, who may not use this tunnel")
        return _redirect(_own(asked, target), self._session(asked, person))

    def _remember(self, asked: Asked, state: str) -> tuple[str, str]:
        """The browser's random text, and the page that was asked for when this login began."""
        for browser in cookie_values(asked, BEGUN):
            value = self._seal.open("state", self._begun(asked, browser), state)
            if value is not None and self._around.wall() < value["until"]:
                return browser, value["target"]
        raise LoginError(STALE)

    def _confirmed(self, result: Any) -> Any:
        self._exchanges -= 1
        return result

    def _not_confirmed(self, reason: Failure) -> Denial:
        reason.trap(LoginError)
        text = str(reason.value)
        return Denial(403, LoginError.word, f"{text[:1].upper()}{text[1:]}.")

    def _unavailable(self, reason: Failure) -> Denial:
        reason.trap(FetchError)
        self.log.warn(
            "login at {name}: {issuer}: {text}",
            name=self._context[0],
            issuer=self._settings.issuer,
            text=str(reason.value),
        )
        return AWAY


def _is_random(text: str) -> bool:
    return len(text) == 43 and text.isascii() and text.replace("-", "x").replace("_", "x").isalnum()


def _own(asked: Asked, target: str) -> str:
    """A page of this host; whole, so that a path of two slashes is none of another host."""
    return f"{asked.scheme}://{asked.host.decode('latin-1')}{quote(target, safe=_AS_IT_IS, encoding='latin-1')}"


_AS_IT_IS = "/?&=%:;,+$!*'()@~#[]|-._"


def _back(asked: Asked) -> str:
    return _own(asked, CALLBACK.decode("ascii"))


def _redirect(url: str, cookie: tuple[bytes, bytes]) -> Answer:
    return Answer(302, ((b"Location", url.encode("ascii")), cookie), word="login")
