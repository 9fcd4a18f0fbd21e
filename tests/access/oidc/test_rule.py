"""The rule ``oidc``: the way to the provider and back, and who is known by a cookie."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from twisted.internet.defer import CancelledError, Deferred

from egtunnel.access.fetching import FetchError, FetchRefused
from egtunnel.access.oidc.limits import LoginLimits
from egtunnel.errors import OverLimit
from egtunnel.guard import AccessError, Asked, Denial
from tests.access.oidc.house import HOST, PAGE, VALUE, VISITOR, Browser, House
from tests.access.oidc.issuing import ISSUER, NOW

SESSION, BEGUN = "__Host-egtunnel-login", "__Host-egtunnel-login-begun"


def refused(verdict: Any, status: int, word: str) -> bool:
    return isinstance(verdict, Denial) and (verdict.status, verdict.word) == (status, word)


def test_a_whole_login() -> None:
    """Who comes back is sent to the page that was asked for, and let in from then on."""
    house, browser = House(), Browser()
    rule = house.rule()
    assert browser.log_in(house, rule, "/a%20b?c=d&e=%2F#x") == "https://one.example.com:8443/a%20b?c=d&e=%2F#x"
    for method, more in ((b"GET", {}), (b"POST", {}), (b"GET", {"upgrade": b"websocket"})):
        assert browser.ask(rule, "/", method=method, **more) is None
    for text in browser.set:
        assert text.startswith("__Host-") and text.endswith("; HttpOnly; SameSite=Lax; Secure")
        assert "; Path=/;" in text and "Domain" not in text
    fields, form = house.provider.posted[0]
    assert fields[b"Authorization"] == b"Basic " + base64.b64encode(b"app:s+e")
    assert form["redirect_uri"] == ["https://one.example.com:8443/.egtunnel/oidc/callback"]
    assert "client_secret" not in form


def test_where_the_browser_is_sent() -> None:
    """PKCE with S256, state, nonce; nothing secret, and never twice the same."""
    house, browser = House(), Browser()
    rule = house.rule(scopes=["groups"])
    first, second = (parse_qs(urlsplit(browser.begin(rule)).query) for _ in range(2))
    assert first["scope"] == ["openid email groups"]
    assert (first["response_type"], first["code_challenge_method"]) == (["code"], ["S256"])
    for name in ("state", "nonce", "code_challenge"):
        assert first[name] != second[name]
    assert not any("s e" in value or "s+e" in value for values in first.values() for value in values)


def test_two_windows_at_once() -> None:
    """Each comes back to its own page."""
    house, browser = House(), Browser()
    rule = house.rule()
    queries = [house.provider.log_in(browser.begin(rule, page)) for page in ("/a", "/b")]
    ends = [dict(browser.come_back(rule, query).fields)[b"Location"] for query in queries]
    assert ends == [b"https://one.example.com:8443/a", b"https://one.example.com:8443/b"]


def test_a_page_that_could_be_of_another_host() -> None:
    """It is one of this host."""
    house, browser = House(), Browser()
    assert browser.log_in(house, house.rule(), "//evil.example/") == "https://one.example.com:8443//evil.example/"
    long = Browser()
    assert long.log_in(house, house.rule(), "/" + "x" * 3_000) == "https://one.example.com:8443/"


def test_a_login_belongs_to_one_browser() -> None:
    """A link from somebody else's login is worth nothing, and neither is a state that was changed."""
    house, browser, other = House(), Browser(), Browser()
    rule = house.rule()
    query = house.provider.log_in(browser.begin(rule))
    assert refused(other.come_back(rule, query), 403, "login-refused")
    other.begin(rule)
    assert refused(other.come_back(rule, query), 403, "login-refused")
    assert refused(browser.come_back(rule, query | {"state": query["state"][:-1]}), 403, "login-refused")
    assert refused(browser.come_back(rule, {"state": query["state"]}), 403, "login-refused")
    assert refused(browser.come_back(rule, {"error": "access_denied", **query}), 403, "login-refused")
    assert house.provider.posted == []
    assert not refused(browser.come_back(rule, query), 403, "login-refused")
    assert refused(browser.come_back(rule, query), 403, "login-refused"), "a code is good once"


def test_a_login_that_took_too_long() -> None:
    """It begins anew."""
    house, browser = House(), Browser()
    house.provider.content = {"exp": NOW + 3_600}
    rule = house.rule()
    query, late = (house.provider.log_in(browser.begin(rule)) for _ in range(2))
    house.clock.advance(599)
    assert not refused(browser.come_back(rule, query), 403, "login-refused")
    house.clock.advance(1)
    assert refused(browser.come_back(rule, late), 403, "login-refused")


@pytest.mark.parametrize(
    "content",
    [
        {"email": "eve@example.org"},
        {"email_verified": False},
        {"nonce": "another"},
        {"aud": "another"},
        {"iss": "https://evil.example"},
        {"exp": 5},
    ],
)
def test_somebody_else(content: dict[str, Any]) -> None:
    """Not allowed, or by a token that is not of this login."""
    house, browser = House(), Browser()
    house.provider.content = content
    rule = house.rule()
    verdict = browser.come_back(rule, house.provider.log_in(browser.begin(rule)))
    assert refused(verdict, 403, "login-refused")
    assert SESSION not in browser.cookies
    assert browser.ask(rule, "/", PAGE) is not None


def test_another_provider_answers() -> None:
    """RFC 9207."""
    house, browser = House(), Browser()
    rule = house.rule()
    query = house.provider.log_in(browser.begin(rule))
    assert refused(browser.come_back(rule, query | {"iss": "https://evil.example"}), 403, "login-refused")
    assert house.provider.posted == []
    assert not refused(browser.come_back(rule, query | {"iss": ISSUER}), 403, "login-refused")


def logged_in() -> tuple[House, Browser]:
    house, browser = House(), Browser()
    browser.log_in(house, house.rule())
    assert browser.ask(house.rule()) is None
    return house, browser


def test_the_cookie_is_good_nowhere_else() -> None:
    """On another host, at another tunnel, for another client of the provider, or at another relay."""
    house, browser = logged_in()
    elsewhere = Browser(b"two.example.com:8443")
    elsewhere.cookies = browser.cookies
    assert refused(elsewhere.ask(house.rule()), 401, "login-wanted")
    for rule in (house.rule("two"), house.rule(client_id="other"), House(b"K" * 32).rule()):
        assert refused(browser.ask(rule), 401, "login-wanted")
    same = Browser(b"ONE.example.com.:9")
    same.cookies = browser.cookies
    assert same.ask(house.rule()) is None, "cookies know neither case nor port"


def test_a_relay_that_was_restarted_knows_it() -> None:
    """The key is what it was."""
    _, browser = logged_in()
    assert browser.ask(House().rule()) is None


def test_a_changed_cookie() -> None:
    """Whatever was changed, also while the right one is known."""
    house, browser = logged_in()
    rule = house.rule()
    good = browser.cookies[SESSION]
    assert browser.ask(rule) is None
    for at in range(len(good)):
        browser.cookies[SESSION] = good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :]
        assert refused(browser.ask(rule), 401, "login-wanted")
    browser.cookies = {BEGUN: browser.cookies[BEGUN], SESSION: browser.cookies[BEGUN]}
    assert refused(browser.ask(rule), 401, "login-wanted")


def test_a_cookie_is_over_after_a_while() -> None:
    """At a rule that knows it as at one that does not."""
    house, browser = logged_in()
    rule = house.rule()
    house.clock.advance(28_000)
    assert browser.ask(rule) is None
    house.clock.advance(799)
    assert browser.ask(rule) is None
    house.clock.advance(1)
    assert refused(browser.ask(rule), 401, "login-wanted") and refused(browser.ask(house.rule()), 401, "login-wanted")


def test_who_is_no_longer_allowed() -> None:
    """As soon as the rule says so."""
    house, browser = logged_in()
    assert refused(browser.ask(house.rule(allow=["eve@example.com"])), 401, "login-wanted")
    assert browser.ask(house.rule(allow=["ada@example.com"])) is None


def test_logging_out() -> None:
    """The browser forgets."""
    house, browser = logged_in()
    answer = browser.ask(house.rule(), "/.egtunnel/logout")
    assert (answer.status, SESSION in browser.cookies) == (200, False)


@pytest.mark.parametrize(
    ("fields", "more"),
    [
        ([], {}),
        ([(b"Accept", b"application/json")], {}),
        ([PAGE], {"method": b"POST"}),
        ([PAGE], {"upgrade": b"websocket"}),
        ([PAGE, (b"Sec-Fetch-Mode", b"cors")], {}),
    ],
)
def test_programs_are_not_sent_away(fields: list[tuple[bytes, bytes]], more: dict[str, Any]) -> None:
    """They could do nothing with the page of a login."""
    assert refused(Browser().ask(House().rule(), "/", *fields, **more), 401, "login-wanted")


def test_by_the_path_of_the_relays_host() -> None:
    """A cookie there would be one for all tunnels."""
    browser = Browser()
    assert refused(browser.ask(House().rule(), "/", PAGE, prefix=b"/one"), 403, "login-wanted")


def test_without_tls() -> None:
    """On localhost; browsers would not take the prefix."""
    house, browser = House(), Browser(b"one.localhost:7070", "http")
    browser.log_in(house, house.rule())
    assert browser.ask(house.rule()) is None
    assert set(browser.cookies) == {"egtunnel-login", "egtunnel-login-begun"}
    assert not any("Secure" in text for text in browser.set)


def test_a_provider_that_is_away() -> None:
    """A clear word, at the beginning as at the end; not a login that is refused."""
    house, browser = House(), Browser()
    rule = house.rule()
    query = house.provider.log_in(browser.begin(rule))
    house.provider.error = FetchError("cannot be fetched")
    assert refused(browser.come_back(rule, query), 503, "login-unavailable")
    house.provider.error = FetchRefused("was answered with 400")
    assert refused(browser.come_back(rule, query), 403, "login-refused")
    house.provider.away = True
    assert refused(browser.ask(house.rule(), "/", PAGE), 503, "login-unavailable")


def test_ways_back_are_bounded_and_those_who_leave_make_room() -> None:
    """Each is a question to the provider."""
    house = House(limits=LoginLimits(exchanges=1))
    browser, rule = Browser(), house.rule()
    query = house.provider.log_in(browser.begin(rule))
    house.provider.wait()
    waiting = browser.come_back(rule, query)
    assert isinstance(waiting, Deferred)
    with pytest.raises(OverLimit):
        browser.come_back(rule, query)
    waiting.addErrback(lambda reason: reason.trap(CancelledError))
    waiting.cancel()
    assert house.provider.cancelled == 1
    house.provider.wait()
    assert isinstance(browser.come_back(rule, query), Deferred)


def test_a_client_without_secret_and_one_that_posts_it() -> None:
    """In the form."""
    house, browser = House(), Browser()
    browser.log_in(house, house.rule(client_secret=""))
    fields, form = house.provider.posted[0]
    assert b"Authorization" not in fields and form["client_id"] == ["app"] and "client_secret" not in form


def test_the_way_back_is_read_only() -> None:
    """No POST, no WebSocket."""
    rule = House().rule()
    asked = Asked(b"POST", b"/.egtunnel/oidc/callback?code=x&state=y", host=HOST, scheme="https")
    assert refused(rule.judge(asked, VISITOR), 405, "method-not-allowed")
    assert not rule.admits(VISITOR)


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "http://login.example.com"},
        {"issuer": "https://login.example.com?x"},
        {"issuer": None},
        {"client_id": ""},
        {"client_id": "a\nb"},
        {"client_secret": None},
        {"client_secret": "\u00e4-secret"},
        {"allow": []},
        {"allow": ["nobody"]},
        {"scopes": ["a b"]},
        {"scopes": None},
        {"more": 1},
    ],
)
def test_what_cannot_be_a_rule(changes: dict[str, Any]) -> None:
    """The reason repeats no secret, and neither does what is read."""
    with pytest.raises(AccessError) as caught:
        House().rule(**changes)
    assert str((VALUE | changes)["client_secret"]) not in caught.value.text
    assert "s e" not in repr(House().rule()._settings)
