"""Where a connection goes, told by its first bytes and by how busy the workers are. Pure."""

from __future__ import annotations

from typing import Any

import pytest

from egtunnel.ingress.front.destination import Destination, destination
from egtunnel.ingress.http.routes import parse_host
from egtunnel.interfaces import LINK_PROTOCOL
from egtunnel.relay.addresses import Addresses
from egtunnel.relay.settings import RelaySettings
from egtunnel.relay.workers.arrivals import worker_of
from egtunnel.relay.workers.placing import BURST, SLACK, Load, Placing
from egtunnel.relay.workers.shares import share_of
from tests.ingress.tls.test_hello import client_hello


class Names:
    """One tunnel, ``app``."""

    def by_name(self, name: str) -> Any:
        return name if name == "app" else None

    def by_host(self, host: str) -> Any:
        return None

    def by_tls(self, host: str) -> Any:
        return "app" if host == "tls.example.com" else None


def placing(own: Load, **other: Any) -> Placing:
    """Of worker 1; worker 2 holds the tunnel."""
    names: Any = Names()
    made = Placing(names, "example.com", b"/connect", lambda: own, lambda tunnel: 2)
    made.others[2] = Load(**other)
    return made


APP = Destination(parse_host(b"app.example.com"))
OWN = Destination(parse_host(b"example.com"), b"/connect")


def test_a_visitor_goes_where_its_tunnel_is() -> None:
    """By its host, by its path; nothing is known of others."""
    where = placing(Load())
    assert where.worker(APP) == 2
    assert where.worker(Destination(parse_host(b"example.com"), b"/app/x")) == 2
    assert where.worker(Destination(parse_host(b"other.example.com"))) == 0
    assert where.worker(Destination()) == 0


def test_a_busy_worker_gets_no_more_than_its_share() -> None:
    """As many as we have, and some; one that rests takes a burst of them."""
    assert placing(Load(), visitors=SLACK, busy=1.0).worker(APP) == 2
    assert placing(Load(), visitors=SLACK + 1, busy=1.0).worker(APP) == 0
    assert placing(Load(visitors=1), visitors=SLACK + 1, busy=1.0).worker(APP) == 2
    resting = placing(Load(), visitors=100, busy=0.1)
    passed = 0
    while resting.worker(APP):
        resting.sent(2)
        passed += 1
    assert passed == BURST


def test_clients_are_spread_evenly() -> None:
    """Ten that come at one worker before any has become a session."""
    where = placing(Load())
    went = []
    for _ in range(10):
        worker = where.worker(OWN)
        where.sent(worker)
        went.append(worker)
    assert went.count(0) == went.count(2) == 5


def test_a_visitor_of_the_relays_own_host_stays() -> None:
    """A ClientHello that offers a bare link is a client's; any other may be a browser's, which is served anywhere."""
    where, browser = placing(Load(sessions=3)), client_hello("example.com", (b"h2", b"http/1.1"))
    wish = destination(browser)
    assert wish is not None and where.worker(wish) == 0
    wish = destination(client_hello("example.com", (LINK_PROTOCOL, b"http/1.1")))
    assert wish is not None and where.worker(wish) == 2


@pytest.mark.parametrize(
    ("data", "host", "path"),
    [
        (b"GET /a HTTP/1.1\r\nHost: app.example.com\r\n\r\n", "app.example.com", b"/a"),
        (b"POST / HTTP/1.1\r\nA: b\r\nhost:x:80 \r\n\r\nHost: y\r\n\r\n", "x", b"/"),
        (b"GET / HTTP/1.1\r\nHost: half", "", b""),
        (b"GET / HTTP/1.1\r\n\r\nHost: body\r\n", "", b""),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "", b""),
        (b"\x16\x03\x01\x00\x05hello", "", b""),
    ],
)
def test_what_a_head_names(data: bytes, host: str, path: bytes) -> None:
    """A head that is not there in one piece names nobody."""
    found = destination(data)
    assert found is not None
    assert (found.host.name if found.host else "", found.path) == (host, path)


def test_tls_that_passes_through_goes_where_its_tunnel_is_served() -> None:
    """A plain request for the same name does not."""
    worker = placing(Load()).worker
    hello, head = (
        destination(client_hello("tls.example.com")),
        destination(b"GET / HTTP/1.1\r\nHost: tls.example.com\r\n"),
    )
    assert hello is not None and head is not None
    assert (worker(hello), worker(head)) == (2, 0)


def test_a_client_hello_is_waited_for() -> None:
    """Whether TLS ends here or not: it may pass through."""
    begun = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"
    assert destination(begun) is None


@pytest.mark.parametrize(
    ("id", "worker"), [("w3-ab", 3), ("w12-", 12), ("ab", 0), ("w-x", 0), (7, 0), ("w99999999-", 0)]
)
def test_a_session_names_its_worker(id: object, worker: int) -> None:
    """Whatever a client sends in its hello."""
    assert worker_of(id) == worker


def test_a_worker_has_its_part(tmp_path: Any) -> None:
    """Rounded up; what is one address's is not divided."""
    settings = RelaySettings(Addresses("example.com", "http", 80), tmp_path)
    limits = share_of(settings, 3).limits
    assert (limits.admission.clients, limits.front.connections, limits.front.per_address) == (334, 3334, 512)
