"""Who may come in: the first message of a link, and what becomes of it."""

from __future__ import annotations

import attrs
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from egtunnel.errors import HandshakeError, OverLimit, Refused, ShuttingDown, Superseded
from egtunnel.mux.frames import U32_U16, FrameType, encode
from egtunnel.relay.admission import AdmissionLimits, message_frame
from egtunnel.relay.reservations import Owner
from egtunnel.relay.tokens import Tokens
from egtunnel.session.messages import Hello, Notice, RefusedMessage, Welcome
from tests.relay.house import TOKEN, House, HouseLimits, MemoryClient

HELLO = Hello(token=TOKEN, client_id="one", agent="test")


class AdmissionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House(HouseLimits(admission=AdmissionLimits(waiting=3, clients=2, size=2000)))

    def assert_turned_away(self, client: MemoryClient) -> None:
        """The link ended with GOAWAY and the close code of a handshake error, and left nothing behind."""
        (kind, payload) = client.frames()[-1]
        self.assertEqual(kind, FrameType.GOAWAY)
        self.assertEqual(U32_U16.unpack_from(payload), (0, HandshakeError.code))
        assert client.near.closed is not None
        self.assertEqual(client.near.closed[0], HandshakeError.code)
        self.assertEqual(len(self.house.door.sessions), 0)
        self.assertEqual(len(self.house.door.waiting), 0)
        self.assertEqual(self.house.clock.getDelayedCalls(), [])

    def assert_refused(self, client: MemoryClient, code: str, *, retry: bool) -> None:
        answer = client.answer()
        assert isinstance(answer, RefusedMessage)
        self.assertEqual((answer.code, answer.retry, answer.tunnel), (code, retry, None))
        self.assertTrue(answer.text)
        assert client.near.closed is not None
        self.assertEqual(client.near.closed[0], Refused.code)

    def test_the_right_token_is_welcome(self) -> None:
        """Hello, welcome, session."""
        client = self.house.connect()
        client.say(HELLO)
        self.assertIsInstance(client.answer(), Welcome)
        self.assertEqual([owner.client for owner in self.house.door.sessions], ["one"])
        self.assertEqual(len(self.house.door.waiting), 0)
        self.assertTrue(client.near.receiver.online)

    def test_a_wrong_token_is_refused_for_good(self) -> None:
        """No retry can help."""
        for token in ("", "x", TOKEN + "x", TOKEN[:-1], TOKEN.upper(), "ä\udcff"):
            client = self.house.connect()
            client.say(attrs.evolve(HELLO, token=token))
            self.assert_refused(client, "bad-token", retry=False)
        self.assertEqual(self.house.door.sessions, {})

    def test_another_version_is_refused_before_the_token_is_looked_at(self) -> None:
        """A client of another time hears that, not that its token is bad."""
        client = self.house.connect()
        client.say(attrs.evolve(HELLO, version=2, token="x"))
        self.assert_refused(client, "version", retry=False)

    def test_a_full_relay_asks_to_come_back(self) -> None:
        """One client too many is refused, with a time."""
        for name in ("one", "two"):
            self.house.client(name)
        client = self.house.connect()
        client.say(attrs.evolve(HELLO, client_id="three"))
        self.assert_refused(client, "full", retry=True)
        answer = client.answer()
        assert isinstance(answer, RefusedMessage)
        self.assertEqual(answer.after, 30.0)

    def test_a_full_relay_still_takes_a_client_back(self) -> None:
        """Who takes over from its own ghost is not one more."""
        for name in ("one", "two"):
            self.house.client(name)
        self.house.client("two")
        self.assertEqual(len(self.house.door.sessions), 2)

    def test_a_newer_link_of_the_same_client_takes_over_at_once(self) -> None:
        """The ghost is told that it was superseded; the new session is the one that counts."""
        ghost = self.house.client("one")
        heir = self.house.client("one")
        self.house.carry()
        self.assertEqual([type(error) for error in ghost.ends], [])
        assert ghost.near.closed is not None
        self.assertEqual(ghost.near.closed[0], Superseded.code)
        self.assertEqual(list(self.house.door.sessions.values()), [heir.near.receiver])

    def test_the_same_id_with_another_token_is_another_client(self) -> None:
        """An id is not a secret: alone it takes nothing over."""
        tokens = Tokens(["a", "b"])
        first, second = (tokens.check(token) for token in "ab")
        assert first
        assert second
        self.assertNotEqual(Owner(first, "one"), Owner(second, "one"))
        self.assertIsNone(tokens.check("c"))
        self.assertNotIn("a", (first, second))

    def test_silence_is_turned_away_after_ten_seconds(self) -> None:
        """Not before, and the place is free again."""
        client = self.house.connect()
        self.house.clock.advance(9.9)
        self.assertIsNone(client.near.closed)
        self.house.clock.advance(0.1)
        self.assert_turned_away(client)

    def test_anything_but_one_hello_is_turned_away(self) -> None:
        """Other frames, other messages, two frames, half a frame, nonsense, too much: a named error each time."""
        hello = message_frame(HELLO)
        for data in (
            b"",
            b"\0",
            hello[:-1],
            hello + b"\0",
            hello + hello,
            hello + encode(FrameType.PING, 0, b"12345678"),
            encode(FrameType.PING, 0, b"12345678"),
            encode(FrameType.OPEN, 1, b"\0\1\0\0{}"),
            encode(99, 0, b""),
            encode(FrameType.MESSAGE, 1, b"{}"),
            encode(FrameType.MESSAGE, 0, b"{}"),
            encode(FrameType.MESSAGE, 0, b"[" * 1900),
            encode(FrameType.MESSAGE, 0, b"\xff\xfe"),
            encode(FrameType.MESSAGE, 0, b'{"type":"hello"}'),
            encode(FrameType.MESSAGE, 0, b'{"type":"hello","token":1,"client_id":"a"}'),
            message_frame(Notice("hello")),
            message_frame(Welcome("s")),
            message_frame(attrs.evolve(HELLO, resume={"x": "y" * 3000})),
            message_frame(attrs.evolve(HELLO, client_id="")),
            message_frame(attrs.evolve(HELLO, client_id="a\nb")),
            message_frame(attrs.evolve(HELLO, client_id="a" * 65)),
        ):
            client = self.house.connect()
            client.send(data)
            self.assert_turned_away(client)

    def test_links_that_say_nothing_are_bounded(self) -> None:
        """One more than may wait is closed at once; those that wait are not disturbed."""
        waiting = [self.house.connect() for _ in range(3)]
        late = self.house.connect()
        self.assertEqual(late.near.closed, (OverLimit.code, "too many connections; try again"))
        self.assertEqual([client.near.closed for client in waiting], [None] * 3)
        waiting[0].near.receiver.link_lost("gone")
        self.assertIsNone(self.house.connect().near.closed)

    def test_a_session_that_ends_makes_room(self) -> None:
        """The door forgets what is over."""
        client = self.house.client("one")
        client.cut()
        self.assertEqual(self.house.door.sessions, {})

    def test_closing_tells_everybody(self) -> None:
        """Clients, and links that have said nothing yet; nobody new is let in."""
        client, waiting = self.house.client("one"), self.house.connect()
        self.house.door.close(ShuttingDown())
        self.assertEqual(
            [link.closed and link.closed[0] for link in (client.near, waiting.near)], [ShuttingDown.code] * 2
        )
        self.house.carry()
        late = self.house.connect()
        self.assertIsNotNone(late.near.closed)

    def test_the_token_is_in_no_log(self) -> None:
        """Neither the right one nor a wrong one, nor a part of the digest that would tell them apart."""
        with capturedLogs() as events:
            self.house.client("one")
            wrong = self.house.connect()
            wrong.say(attrs.evolve(HELLO, token="a-wrong-token"))
            broken = self.house.connect()
            broken.send(message_frame(attrs.evolve(HELLO, client_id="")))
        self.assertGreaterEqual(len(events), 3)
        for event in events:
            self.assertNotIn(TOKEN, repr(event))
            self.assertNotIn("a-wrong-token", repr(event))
