"""Claims and their answers, over a real session whose far end is the test."""

from __future__ import annotations

import attrs
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.task import Clock

from egtunnel.client.enrolment import Enrolment, EnrolmentLimits
from egtunnel.client.offering import Offering
from egtunnel.client.offers import Offer
from egtunnel.client.targets import parse_target
from egtunnel.errors import EgtunnelError, HandshakeError, Refused
from egtunnel.mux.budget import Budget
from egtunnel.mux.frames import FrameType, encode
from egtunnel.session.messages import Claim, Claimed, Notice, RefusedMessage, Release
from egtunnel.session.session import Role, Session, SessionLimits
from tests.client.links import MemoryLink

APP = Offer(parse_target("8080"), name="app", host_header="dev.local")
SSH = Offer(parse_target("127.0.0.1:22"), kind="tcp", port=20001)


class Talk:
    """An enrolment, the lines it said, and the relay's side of its sessions."""

    def __init__(self, *offers: Offer) -> None:
        self.clock = Clock()
        self.said: list[str] = []
        self.told: list[tuple[Offer, str]] = []
        self.ends: list[EgtunnelError] = []
        self.enrolment = Enrolment(
            Offering(offers, lambda offer: lambda visitor: TCP4ClientEndpoint(None, "127.0.0.1", 1)),
            clock=self.clock,
            random=lambda: 0.0,
            say=self.said.append,
            on_claimed=lambda offer, url: self.told.append((offer, url)),
            limits=EnrolmentLimits(notices=3),
        )
        self.connect()

    def connect(self) -> None:
        """A new link and a new session, as after a welcome."""
        self.link = MemoryLink()
        self.session = Session(
            role=Role.CLIENT,
            clock=self.clock,
            limits=SessionLimits(),
            budget=Budget(1 << 20),
            on_closed=self.ends.append,
        )
        self.session.attach(self.link)
        self.enrolment.begin(self.session)

    def disconnect(self) -> None:
        """The link breaks."""
        self.link.lose("gone")
        self.enrolment.end()
        self.said.clear()

    def claims(self) -> list[Claim]:
        """What was claimed since the last look."""
        self.clock.advance(0)
        return [message for message in self.link.sent_messages() if isinstance(message, Claim)]

    def answer(self, *answers: Claimed | RefusedMessage) -> None:
        """The relay answers claims."""
        for answer in answers:
            self.link.deliver_message(answer)

    def enrol(self) -> None:
        """All is granted."""
        self.claims()
        self.answer(*(Claimed(number, f"http://t{number}.localhost:7070") for number in self.enrolment.offering.offers))
        self.said.clear()


def test_every_offer_is_claimed_under_its_number() -> None:
    """All that the relay must know of it is in the claim."""
    assert Talk(APP, SSH).claims() == [
        Claim(tunnel=1, kind="http", name="app", key=APP.target.key, host_header="dev.local"),
        Claim(tunnel=2, kind="tcp", port=20001, key=SSH.target.key),
    ]


def test_each_url_is_said_on_its_own_line() -> None:
    """``URL -> TARGET``, and the embedding program is told the same."""
    talk = Talk(APP, SSH)
    talk.answer(Claimed(1, "http://app.localhost:7070", "app"), Claimed(2, "tcp://localhost:20001"))
    assert talk.said == ["http://app.localhost:7070 -> 8080", "tcp://localhost:20001 -> 127.0.0.1:22"]
    assert talk.told == [(APP, "http://app.localhost:7070"), (SSH, "tcp://localhost:20001")]
    assert talk.enrolment.urls == {1: "http://app.localhost:7070", 2: "tcp://localhost:20001"}


def test_after_a_reconnect_the_same_urls_make_one_short_line() -> None:
    """A person need not compare long lines to see that all is as before."""
    talk = Talk(APP, SSH)
    talk.enrol()
    talk.disconnect()
    talk.connect()
    assert len(talk.claims()) == 2
    talk.answer(Claimed(1, "http://t1.localhost:7070"))
    assert talk.said == []
    talk.answer(Claimed(2, "http://t2.localhost:7070"))
    assert talk.said == ["connected again"]
    assert len(talk.told) == 2


def test_after_a_reconnect_a_changed_url_is_said() -> None:
    """Only the one that changed."""
    talk = Talk(APP, SSH)
    talk.enrol()
    talk.disconnect()
    talk.connect()
    talk.answer(Claimed(1, "http://t1.localhost:7070"), Claimed(2, "tcp://localhost:20007"))
    assert talk.said == ["tcp://localhost:20007 -> 127.0.0.1:22"]


def test_the_only_tunnel_refused_ends_the_client() -> None:
    """The session is closed with the relay's own reason, which says that no retry helps."""
    talk = Talk(APP)
    talk.answer(RefusedMessage("name-taken", "app is taken", tunnel=1))
    (end,) = talk.ends
    assert isinstance(end, Refused)
    assert (end.reason, end.text, end.retry) == ("name-taken", "app is taken", False)
    assert talk.link.over
    assert talk.said == []


def test_one_of_several_refused_leaves_the_others() -> None:
    """A line says which and why; it is not claimed again on the next session, the others are."""
    talk = Talk(APP, SSH)
    talk.answer(RefusedMessage("name-taken", "app is taken", tunnel=1), Claimed(2, "tcp://localhost:20001"))
    assert talk.said == [
        "app for 8080: app is taken; going on without it",
        "tcp://localhost:20001 -> 127.0.0.1:22",
    ]
    assert talk.ends == []
    talk.disconnect()
    talk.connect()
    assert [claim.tunnel for claim in talk.claims()] == [2]


def test_a_name_lost_at_a_reconnect_is_told_and_forgotten() -> None:
    """Its URL is no longer ours; that all is as before is not said."""
    talk = Talk(APP, SSH)
    talk.enrol()
    talk.disconnect()
    talk.connect()
    talk.answer(RefusedMessage("name-taken", "app is taken", tunnel=1), Claimed(2, "http://t2.localhost:7070"))
    assert talk.said == ["app for 8080: app is taken; going on without it"]
    assert talk.enrolment.urls == {2: "http://t2.localhost:7070"}


def test_the_last_of_several_refused_ends_the_client() -> None:
    """When none is left there is nothing to run for."""
    talk = Talk(APP, SSH)
    talk.answer(RefusedMessage("name-taken", "taken", tunnel=1), RefusedMessage("port-taken", "taken too", tunnel=2))
    assert [end.text for end in talk.ends[:1]] == ["taken too"]


def test_a_refusal_for_now_is_tried_again_on_the_same_session() -> None:
    """With growing waits, not before the relay allows it, and one line for all of them."""
    talk = Talk(APP)
    talk.claims()
    for wait in (0.1, 0.2, 0.4):
        talk.answer(RefusedMessage("held", "still held by another client", retry=True, tunnel=1))
        talk.clock.advance(wait - 0.01)
        assert talk.claims() == []
        talk.clock.advance(0.02)
        assert [claim.tunnel for claim in talk.claims()] == [1]
    talk.answer(RefusedMessage("held", "still held by another client", retry=True, after=5.0, tunnel=1))
    talk.clock.advance(4.9)
    assert talk.claims() == []
    talk.clock.advance(0.2)
    assert len(talk.claims()) == 1
    assert talk.said == ["app for 8080: still held by another client; trying again"]
    talk.answer(Claimed(1, "http://app.localhost:7070"))
    assert talk.said[1:] == ["http://app.localhost:7070 -> 8080"]
    talk.answer(RefusedMessage("held", "held once more", retry=True, tunnel=1))
    talk.clock.advance(0.11)  # granted in between: a fresh refusal
    assert len(talk.claims()) == 1


def test_a_claim_waiting_to_be_repeated_ends_with_its_session() -> None:
    """Nothing is sent on a session that is over, and no timer stays."""
    talk = Talk(APP)
    talk.answer(RefusedMessage("held", "held", retry=True, tunnel=1))
    talk.disconnect()
    talk.clock.advance(1)
    assert talk.clock.getDelayedCalls() == []


def test_a_relay_that_never_answers_a_claim_is_left() -> None:
    """After twenty seconds; the session ends with an error that a retry may cure."""
    talk = Talk(APP, SSH)
    talk.answer(Claimed(1, "http://app.localhost:7070"))
    talk.clock.advance(20)
    assert [type(end) for end in talk.ends] == [HandshakeError]


def test_answered_claims_have_no_deadline() -> None:
    """A tunnel at rest stays."""
    talk = Talk(APP)
    talk.enrol()
    talk.clock.advance(21)
    assert talk.ends == []


def test_a_login_withdrawn_ends_the_session() -> None:
    """A refusal that names no tunnel is about the client as a whole."""
    talk = Talk(APP)
    talk.enrol()
    talk.answer(RefusedMessage("bad-token", "the token was withdrawn"))
    (end,) = talk.ends
    assert isinstance(end, Refused)
    assert not end.retry


def test_answers_about_strange_tunnels_change_nothing() -> None:
    """Numbers that are not ours are the relay's mistake."""
    talk = Talk(APP)
    talk.answer(Claimed(7, "http://x"), RefusedMessage("x", "x", tunnel=7), RefusedMessage("x", "x", tunnel=0))
    assert talk.said == []
    assert talk.ends == []
    assert set(talk.enrolment.offering.offers) == {1}


def test_notices_are_said_and_have_a_limit() -> None:
    """A few lines for the person, harmless ones; a flood is not passed on."""
    talk = Talk(APP)
    for _ in range(10):
        talk.link.deliver_message(Notice("maintenance\x07 at 22:00"))
    assert talk.said == ["the relay says: maintenance? at 22:00"] * 3


def test_unknown_messages_are_answered_and_are_not_fatal() -> None:
    """A newer relay may say more than we know; the answers have the same limit."""
    talk = Talk(APP)
    talk.claims()
    for _ in range(10):
        talk.link.deliver(encode(FrameType.MESSAGE, 0, b'{"type":"weather"}'))
    talk.clock.advance(0)
    assert talk.link.sent_messages() == [Notice("unknown message weather")] * 3
    assert talk.ends == []


def test_a_url_cannot_paint_the_terminal() -> None:
    """Whatever the relay calls a URL is printed as one plain line."""
    talk = Talk(APP)
    talk.answer(Claimed(1, "http://a\n\x1b]0;x"))
    assert talk.said == ["http://a??]0;x -> 8080"]


def test_what_is_shared_is_given_back_at_the_end() -> None:
    """Once it was granted; what nobody else serves stays, so that its visitors wait for our return."""
    shared = Offer(parse_target("8080"), name="shared", share=True)
    talk = Talk(APP, shared)
    talk.claims()
    assert not talk.enrolment.release()
    talk.enrol()
    assert talk.enrolment.release()
    talk.clock.advance(0)
    assert [message for message in talk.link.sent_messages() if isinstance(message, Release)] == [Release(2)]
    talk.clock.advance(60)
    assert talk.session.closed is None


def test_a_client_that_shares_nothing_gives_nothing_back() -> None:
    """It just goes."""
    talk = Talk(APP, SSH)
    talk.enrol()
    assert not talk.enrolment.release()


def test_a_relay_that_ignores_the_rules_for_visitors_gets_the_tunnel_back() -> None:
    """An older one would let everybody in."""
    talk = Talk(attrs.evolve(APP, access='{"allow":["10.0.0.0/8"]}'))
    assert talk.claims()[0].access == {"allow": ["10.0.0.0/8"]}
    talk.answer(Claimed(1, "http://app.localhost:7070"))
    assert Release(1) in talk.link.sent_messages()
    assert not talk.told
    assert "would let everybody in" in str(talk.ends[0])


def test_a_relay_that_keeps_them_says_so() -> None:
    """Then the tunnel stands."""
    talk = Talk(attrs.evolve(APP, access='{"allow":["10.0.0.0/8"]}'))
    talk.claims()
    talk.answer(Claimed(1, "http://app.localhost:7070", guarded=True))
    assert [url for _, url in talk.told] == ["http://app.localhost:7070"]
