"""How many connections there may be, in all and of one address, and what one too many is told."""

from __future__ import annotations

import pytest
from twisted.logger import capturedLogs

from egtunnel.ingress.front.door import PREFACE
from tests.ingress.front.headers import proxied_v2
from tests.ingress.front.street import Street, Tls
from tests.ingress.http.world import Pipe, answers, get


def refusal(pipe: Pipe) -> tuple[int, str]:
    (answer,) = answers(pipe.taken)
    assert answer.headers["retry-after"] == "5"
    assert answer.headers["connection"] == "close"
    return answer.status, answer.word


def test_an_address_has_so_many_connections_and_no_more() -> None:
    """The next is told 429 and sent away; others are served; there is room again when one has gone."""
    street = Street(per_address=2)
    first, _ = street.comes(b"G"), street.comes(b"G")
    third = street.comes(get())
    assert refusal(third) == (429, "over-limit")
    assert third.write_ended
    street.comes(b"G", host="192.0.2.8")
    assert len(street.rooms.guests) == 3
    first.finish()
    street.comes(b"G")
    assert len(street.rooms.guests) == 4


def test_silent_connections_count_as_well() -> None:
    """Who opens many and says nothing has them all counted."""
    street = Street(per_address=1)
    street.comes()
    assert refusal(street.comes(get())) == (429, "over-limit")


def test_an_ipv6_network_of_64_bits_is_one_visitor() -> None:
    """Its addresses are one subscriber's to choose; an address with IPv4 in it is that IPv4 address."""
    street = Street(per_address=1)
    street.comes(b"G", host="2001:db8:0:1::1")
    assert refusal(street.comes(get(), host="2001:db8:0:1:ffff:ffff:ffff:ffff"))[0] == 429
    street.comes(b"G", host="2001:db8:0:2::1")
    street.comes(b"G", host="::ffff:192.0.2.9")
    assert refusal(street.comes(get(), host="192.0.2.9"))[0] == 429


def test_a_trusted_balancer_is_exempt_and_whom_it_names_is_not() -> None:
    """All visitors come through it."""
    street = Street("10.0.0.0/8", per_address=1)
    for _ in range(3):
        street.comes(b"G", host="10.0.0.1")
    street.comes(proxied_v2("203.0.113.9") + b"G", host="10.0.0.1")
    assert refusal(street.comes(proxied_v2("203.0.113.9") + get(), host="10.0.0.1"))[0] == 429
    street.comes(proxied_v2("203.0.113.10") + b"G", host="10.0.0.1")
    assert len(street.rooms.guests) == 5


def test_there_is_room_for_so_many_in_all() -> None:
    """The next is told 503 whoever it is, a balancer as well."""
    street = Street("10.0.0.0/8", connections=2)
    street.comes(b"G")
    last = street.comes(host="192.0.2.8")
    assert refusal(street.comes(get(), host="192.0.2.9")) == (503, "over-limit")
    assert refusal(street.comes(get(), host="10.0.0.1")) == (503, "over-limit")
    last.finish()
    street.comes(b"G", host="192.0.2.9")
    assert len(street.rooms.guests) == 2


@pytest.mark.parametrize("text", [b"\x16\x03\x01", PREFACE])
def test_where_a_word_would_cost_more_than_it_is_worth_it_is_closed(text: bytes) -> None:
    """No handshake begins for a visitor that is not served."""
    tls = Tls()
    street = Street(tls=tls, per_address=1)
    street.comes()
    pipe = street.comes(text)
    assert (pipe.aborted, pipe.taken, tls.handshakes, street.rooms.guests) == (True, b"", [], [])


def test_those_that_are_told_to_go_are_counted_as_well() -> None:
    """Beyond their number nobody is told anything."""
    street = Street(connections=1, leaving=2)
    street.comes(b"G")
    told, silent = street.comes(get()), street.comes()
    assert street.tries(get()) is None
    told.finish()
    assert refusal(street.comes(get()))[0] == 503
    silent.finish()
    assert street.door.census.leaving == 1


def test_an_address_that_goes_on_opening_is_closed_without_a_word_at_last() -> None:
    """The same bound holds for who is over the limit of its address."""
    street = Street(per_address=1, leaving=1)
    street.comes(b"G")
    street.comes(get())
    pipe = street.comes(get())
    assert (pipe.aborted, pipe.taken) == (True, b"")


def test_one_that_is_told_to_go_and_stays_is_cut_off() -> None:
    """After the time for lingering; one that is never known after that of the peek."""
    street = Street(connections=0, peek=3)
    told, silent = street.comes(get()), street.comes()
    street.clock.advance(3)
    assert (told.lost, silent.lost) == (False, True)
    street.clock.advance(2)
    assert told.lost
    assert (street.door.census.leaving, street.door.census.visitors) == (0, 0)


def test_all_places_come_back() -> None:
    """Whatever becomes of connections, nothing of them is left in the count."""
    tls = Tls()
    street = Street("10.0.0.0/8", tls=tls, per_address=2, connections=6)
    pipes = [street.comes(text, host=host) for text in (b"G", b"P", PREFACE) for host in ("192.0.2.7", "2001:db8::1")]
    tried = [street.tries(text, host="10.0.0.1") for text in (b"\x16", proxied_v2("203.0.113.9") + b"\x16", b"", b"G")]
    for pipe in [*pipes, *(pipe for pipe in tried if pipe is not None)]:
        pipe.break_off()
    census = street.door.census
    assert (census.visitors, census.leaving, census.by_address, street.door.peeks) == (0, 0, {}, set())


def test_a_handshake_that_is_not_finished_holds_its_place() -> None:
    """And gives it back when it breaks."""
    tls = Tls()
    street = Street(tls=tls, per_address=1)
    pipe = street.comes(b"\x16")
    assert street.comes(b"\x16").aborted
    pipe.break_off()
    street.comes(b"\x16")
    assert len(tls.handshakes) == 2


def test_the_log_says_so_now_and_then() -> None:
    """Once a minute, with the option that would change it."""
    with capturedLogs() as events:
        street = Street(per_address=1)
        street.comes(b"G")
        for _ in range(3):
            street.comes(get())
        street.clock.advance(61)
        street.comes(get())
    assert len(events) == 2
    assert "--max-per-address" in events[0]["log_format"]


def test_a_bare_link_is_no_visitor_once_its_handshake_is_over() -> None:
    """Until then it counts; then the place is free for the next of the same address."""
    tls = Tls()
    street = Street(tls=tls, per_address=1)
    street.comes(b"\x16\x03\x01")
    assert street.door.census.visitors == 1
    tls.handshakes[-1].finish(b"egtunnel/1")
    assert (street.door.census.visitors, street.door.census.by_address) == (0, {})
    assert [link.peer.host for link in street.links] == ["192.0.2.7"]
    assert street.rooms.guests == []
    street.comes(b"\x16\x03\x01")
    tls.handshakes[-1].finish(b"http/1.1")
    assert len(street.rooms.guests) == 1
