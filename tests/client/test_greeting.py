"""Hello and its answers, on one link."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock

from egtunnel.client.greeting import GreetingLimits, greet, plain
from egtunnel.errors import EgtunnelError, HandshakeError, LinkLost, Refused, ShuttingDown
from egtunnel.mux.frames import U32_U16, FrameType, encode
from egtunnel.session import messages
from egtunnel.session.messages import Claimed, Hello, Notice, RefusedMessage, Welcome
from tests.client.links import MemoryLink

HELLO = Hello(token="secret-token", client_id="c" * 32, agent="test/1")
WELCOME = Welcome(session_id="s1", domain="localhost")


class Talk:
    """A greeting that runs, and what came of it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.link = MemoryLink()
        self.answered = greet(self.link, HELLO, self.clock, GreetingLimits())
        self.end: list[Any] = []
        self.answered.addCallbacks(self.end.append, lambda reason: self.end.append(reason.value))

    def failed_with(self, kind: type[EgtunnelError]) -> EgtunnelError:
        """The error; the link is ended and no timer is left."""
        (error,) = self.end
        assert type(error) is kind
        assert self.link.over
        assert self.clock.getDelayedCalls() == []
        assert isinstance(error, EgtunnelError)
        return error


def test_hello_is_the_first_and_only_message() -> None:
    """One MESSAGE frame with what the relay must know."""
    assert Talk().link.sent_messages() == [HELLO]


def test_welcome_ends_the_greeting() -> None:
    """The link is left open for the session, and nothing waits any more."""
    talk = Talk()
    talk.link.deliver_message(WELCOME)
    assert talk.end == [(WELCOME, b"")]
    assert not talk.link.over
    assert talk.clock.getDelayedCalls() == []


def test_frames_behind_the_welcome_are_the_sessions() -> None:
    """A relay may put its first ping into the same message."""
    talk = Talk()
    ping = encode(FrameType.PING, 0, b"12345678")
    talk.link.deliver(encode(FrameType.MESSAGE, 0, messages.encode(WELCOME)) + ping)
    assert talk.end == [(WELCOME, ping)]


def test_a_refusal_says_whether_to_try_again() -> None:
    """Code, text, retry and after arrive."""
    talk = Talk()
    talk.link.deliver_message(RefusedMessage("over-limit", "too many clients", retry=True, after=7.0))
    error = talk.failed_with(Refused)
    assert isinstance(error, Refused)
    assert (error.reason, error.text, error.retry, error.after) == ("over-limit", "too many clients", True, 7.0)


def test_a_refusal_cannot_paint_the_terminal() -> None:
    """Control characters of the relay's text are replaced, and it is cut."""
    talk = Talk()
    talk.link.deliver_message(RefusedMessage("bad", "no\x1b[2J\n" + "x" * 900))
    assert talk.failed_with(Refused).text == "no?[2J?" + "x" * 293
    assert plain("grün") == "grün"


def test_silence_has_an_end() -> None:
    """Ten seconds without an answer."""
    talk = Talk()
    talk.clock.advance(10.0)
    assert "within 10 seconds" in talk.failed_with(HandshakeError).text


def test_a_lost_link_is_told_with_its_reason() -> None:
    """The relay hung up."""
    talk = Talk()
    talk.link.lose("connection reset")
    assert talk.failed_with(LinkLost).text == "connection reset"


def test_a_relay_that_shuts_down_says_so() -> None:
    """GOAWAY in place of welcome carries its code."""
    talk = Talk()
    talk.link.deliver(encode(FrameType.GOAWAY, 0, U32_U16.pack(0, ShuttingDown.code) + b"back soon"))
    assert talk.failed_with(ShuttingDown).text == "back soon"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"\x01\x00",
        encode(FrameType.PING, 0, b"12345678"),
        encode(FrameType.MESSAGE, 0, b"{}"),
        encode(FrameType.MESSAGE, 0, b"\xff\xff"),
        encode(FrameType.MESSAGE, 0, messages.encode(Claimed(1, "http://x"))),
        encode(FrameType.MESSAGE, 0, messages.encode(Notice("hi"))),
        encode(FrameType.MESSAGE, 0, b'{"type":"welcome","session_id":7}'),
    ],
)
def test_anything_else_is_no_answer(data: bytes) -> None:
    """Not a whole frame, not a message, or another message than welcome or refused."""
    talk = Talk()
    talk.link.deliver(data)
    assert isinstance(talk.end[0], EgtunnelError)
    assert talk.link.over


def test_cancelling_ends_the_link() -> None:
    """A client that stops while it greets leaves nothing open."""
    talk = Talk()
    talk.answered.cancel()
    assert isinstance(talk.end[0], CancelledError)
    assert talk.link.aborted
    assert talk.clock.getDelayedCalls() == []


def test_the_token_is_in_no_text() -> None:
    """What a log or a traceback would show of the hello."""
    assert "secret-token" not in repr(HELLO)
