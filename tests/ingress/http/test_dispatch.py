"""Where requests go, and what decides it before their tunnel is asked."""

from __future__ import annotations

import pytest

from egtunnel.ingress.http.ingress import SiteSettings
from egtunnel.ingress.peer import Peer
from tests.ingress.http.world import World, answers, get

PLAIN = Peer("192.0.2.7", 4711)
TLS = Peer("192.0.2.7", 4711, scheme="https", tls=True, tls_name="app.relay.test")


@pytest.mark.parametrize(
    ("port", "target", "host", "place"),
    [
        (443, "/", "app.relay.test", "https://app.relay.test/"),
        (443, "/a%20b?q=1&r", "app.relay.test:80", "https://app.relay.test/a%20b?q=1&r"),
        (8443, "/x", "APP.relay.test.", "https://app.relay.test:8443/x"),
        (443, "/x", "www.custom.test", "https://www.custom.test/x"),
        (443, "/app/x", "relay.test", "https://relay.test/app/x"),
    ],
)
def test_plain_requests_for_tunnels_are_sent_to_https(port: int, target: str, host: str, place: str) -> None:
    """With 308, so that method and body stay; the connection goes on, and no upstream hears of it."""
    world = World("https", port, settings=SiteSettings(redirect=True))
    visitor = world.visitor(get(target, host), peer=PLAIN)
    (answer,) = answers(visitor.taken)
    assert answer.status == 308
    assert answer.headers["location"] == place
    assert world.app.dials == world.custom.dials == 0
    assert not visitor.lost


def test_the_relays_own_host_and_unknown_names_are_not_redirected() -> None:
    """A health check over plain HTTP is answered; a name that nobody has says so at once."""
    world = World("https", 443, settings=SiteSettings(redirect=True))
    assert answers(world.visitor(get("/healthz", "relay.test"), peer=PLAIN).taken)[0].status == 200
    assert answers(world.visitor(get("/", "nobody.relay.test"), peer=PLAIN).taken)[0].word == "unknown-tunnel"


def test_requests_over_tls_are_not_redirected() -> None:
    """What is HTTPS already goes to its tunnel."""
    world = World("https", 443, settings=SiteSettings(redirect=True))
    world.visitor(get(), peer=TLS)
    assert world.app.dials == 1
    assert b"X-Forwarded-Proto: https\r\n" in world.far.taken


def test_a_host_that_the_certificate_does_not_cover_is_misdirected() -> None:
    """RFC 9110 section 15.5.20: 421, whatever stands behind that name; hosts that it covers go on."""
    world = World("https", 443)
    peer = Peer("192.0.2.7", 1, scheme="https", tls=True, covers=lambda name: name.endswith(".relay.test"))
    visitor = world.visitor(get("/", "www.custom.test"), peer=peer)
    (answer,) = answers(visitor.take())
    assert (answer.status, answer.word) == (421, "misdirected-request")
    assert world.custom.dials == 0
    visitor.send(get())
    assert world.app.dials == 1


def test_an_address_as_host_is_not_looked_for_in_the_certificate() -> None:
    """Health checkers connect by address."""
    peer = Peer("192.0.2.7", 1, scheme="https", tls=True, covers=lambda name: False)
    assert answers(World().visitor(get("/healthz", "192.0.2.1"), peer=peer).taken)[0].status == 200


LINK = get("/connect", "relay.test", "Upgrade: websocket", "Connection: Upgrade")


def test_the_link_is_refused_without_a_certificate_where_one_is_asked_for() -> None:
    """403, before anything of the link is set up."""
    world = World("https", 443, settings=SiteSettings(require_certificate=True))
    (answer,) = answers(world.visitor(LINK, peer=TLS.__class__("192.0.2.7", 1, "https", tls=True)).taken)
    assert (answer.status, answer.word) == (403, "certificate-required")
    assert not any(link.received for link in world.links)


def test_the_link_is_let_in_with_a_certificate() -> None:
    """The token is still asked for, by the link itself."""
    world = World("https", 443, settings=SiteSettings(require_certificate=True))
    world.visitor(LINK, peer=Peer("192.0.2.7", 1, "https", tls=True, certified=True))
    assert world.links[0].received.startswith(b"GET /connect HTTP/1.1\r\n")
