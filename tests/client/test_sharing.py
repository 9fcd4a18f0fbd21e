"""Links that a client asks for: answered, refused, lost with the session, and the one that is wanted from the start."""

from __future__ import annotations

from typing import Any

from egtunnel.client.sharing import Linking
from egtunnel.errors import EgtunnelError, LinkLost, Refused
from egtunnel.session.messages import Claimed, RefusedMessage, Share, Shared
from tests.client.test_enrolment import APP, Talk

TERMS = {"permissions": ["read"]}


def shares(talk: Talk) -> list[Share]:
    """What was asked for since the last look."""
    talk.clock.advance(0)
    return [message for message in talk.link.sent_messages() if isinstance(message, Share)]


def enrolled() -> Talk:
    """A client whose tunnel stands."""
    talk = Talk(APP)
    talk.enrol()
    return talk


def test_a_share_is_asked_for_and_answered() -> None:
    """Several at once, in any order; an answer that nobody waits for does no harm."""
    talk = enrolled()
    found: list[Any] = []
    talk.enrolment.create_share([1], TERMS).addCallback(found.append)
    talk.enrolment.create_share([1], {}).addCallback(found.append)
    one, two = shares(talk)
    assert (one.tunnels, one.terms) == ([1], TERMS)
    talk.link.deliver_message(Shared(two.share, "s2", "http://localhost/share/b/\x1b[31m"))
    talk.link.deliver_message(Shared(two.share, "s2", "http://localhost/share/b/"))
    talk.link.deliver_message(Shared(one.share, "s1", "http://localhost/share/a/"))
    assert [each.id for each in found] == ["s2", "s1"]
    assert "\x1b" not in found[0].link


def test_a_refusal_is_of_the_share_alone() -> None:
    """The session and its tunnels go on."""
    talk = enrolled()
    failures: list[Any] = []
    talk.enrolment.create_share([1], {}).addErrback(failures.append)
    (asked,) = shares(talk)
    talk.link.deliver_message(RefusedMessage("bad-share", "no", share=asked.share))
    assert failures[0].check(Refused) and failures[0].value.reason == "bad-share"
    assert not talk.ends and talk.enrolment.urls


def test_a_session_that_ends_takes_what_was_asked_along() -> None:
    """And without one nothing can be asked."""
    talk = enrolled()
    failures: list[Any] = []
    talk.enrolment.create_share([1], {}).addErrback(failures.append)
    talk.disconnect()
    talk.enrolment.create_share([1], {}).addErrback(failures.append)
    assert [each.check(LinkLost) for each in failures] == [LinkLost, LinkLost]


def test_the_link_that_is_wanted_from_the_start_is_asked_for_once() -> None:
    """On the first session that answers, when all tunnels have their names."""
    talk, found = Talk(APP), list[Shared]()
    talk.enrolment.linking = Linking(TERMS, found.append)
    assert not shares(talk)
    talk.answer(Claimed(1, "http://t1.localhost:7070"))
    assert len(shares(talk)) == 1
    talk.disconnect()
    talk.connect()
    talk.enrol()
    (asked,) = shares(talk)
    talk.link.deliver_message(Shared(asked.share, "s1", "http://localhost/share/a/"))
    assert [each.id for each in found] == ["s1"]
    talk.disconnect()
    talk.connect()
    talk.enrol()
    assert not shares(talk)


def test_a_refusal_of_that_link_ends_the_client() -> None:
    """With a reason that says what was refused."""
    talk = Talk(APP)
    talk.enrolment.linking = Linking(TERMS, lambda shared: None)
    talk.enrol()
    (asked,) = shares(talk)
    talk.link.deliver_message(RefusedMessage("no-store", "this relay has no store", share=asked.share))
    (error,) = talk.ends
    assert isinstance(error, EgtunnelError) and error.text == "the share: this relay has no store"
