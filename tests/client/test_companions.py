"""Several links at once, as the client sees them: they join its session, come back by themselves, and end with it."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred

from egtunnel.session.messages import Hello, Message, RefusedMessage, Welcome
from tests.client.service_case import ServiceCase

reactor: Any = installed_reactor


class Welcoming:
    """Gives each link a session of its own name; refuses a join with ``refusal`` if there is one."""

    def __init__(self, secret: str = "a secret") -> None:
        self.number = 0
        self.secret = secret
        self.refusal: RefusedMessage | None = None

    def __call__(self, hello: Hello) -> Message:
        if hello.join is not None and self.refusal is not None:
            return self.refusal
        self.number += 1
        return Welcome(session_id=f"s{self.number}", resume_secret=self.secret, resume_window=60.0)


class CompanionTests(ServiceCase):
    """A client with three links."""

    def test_each_further_link_joins_the_session_of_the_first(self) -> Deferred[None]:
        """With its id and its secret; it claims nothing, and serves visitors as the first does."""

        async def talk() -> None:
            relay = self.relay()
            relay.greet = Welcoming()
            self.client(f"ws://127.0.0.1:{relay.port}", links=3)
            await relay.until(lambda: len(relay.sessions) == 3)
            joins = [hello.join for hello in relay.hellos]
            self.assertEqual(joins, [None, *[{"session": "s1", "secret": "a secret"}] * 2])
            self.assertEqual(len({hello.client_id for hello in relay.hellos}), 1)
            await self.said_lines(1)
            self.assertEqual(len(self.said), 1)

        return self.run_it(talk())

    def test_one_that_is_lost_comes_back_and_the_others_stay(self) -> Deferred[None]:
        """It asks to go on with its own session, or to join anew."""

        async def talk() -> None:
            relay = self.relay()
            relay.greet = Welcoming()
            self.client(f"ws://127.0.0.1:{relay.port}", links=2)
            await relay.until(lambda: len(relay.sessions) == 2)
            relay.links[1].abort()
            await relay.until(lambda: len(relay.hellos) == 3)
            last = relay.hellos[-1]
            self.assertEqual(last.join, {"session": "s1", "secret": "a secret"})
            assert last.resume is not None
            self.assertEqual(last.resume["session"], "s2")
            self.assertIsNone(relay.sessions[0].closed)

        return self.run_it(talk())

    def test_they_end_with_the_session_and_begin_with_the_next(self) -> Deferred[None]:
        """A relay that has forgotten the session gets a new one, and new companions of that."""

        async def talk() -> None:
            relay = self.relay()
            relay.greet = Welcoming()
            self.client(f"ws://127.0.0.1:{relay.port}", links=2)
            await relay.until(lambda: len(relay.sessions) == 2)
            relay.links[0].abort()
            await relay.until(lambda: len(relay.sessions) == 4)
            self.assertEqual(relay.hellos[-1].join, {"session": "s3", "secret": "a secret"})

        return self.run_it(talk())

    def test_a_relay_that_wants_no_more_links_is_left_with_those_it_has(self) -> Deferred[None]:
        """One line says so, and the client goes on."""

        async def talk() -> None:
            relay = self.relay()
            relay.greet = greet = Welcoming()
            greet.refusal = RefusedMessage("too-many-links", "one client may have 1 links")
            self.client(f"ws://127.0.0.1:{relay.port}", links=2)
            lines = await self.said_lines(2)
            self.assertIn("link 2: one client may have 1 links; going on without it", lines)
            self.assertEqual(relay.ends, [])

        return self.run_it(talk())

    def test_where_sessions_do_not_outlive_their_link_there_is_only_one(self) -> Deferred[None]:
        """There is nothing to know the session by."""

        async def talk() -> None:
            relay = self.relay()
            relay.greet = Welcoming(secret="")
            self.client(f"ws://127.0.0.1:{relay.port}", links=2)
            lines = await self.said_lines(2)
            self.assertIn("the relay keeps no sessions without a link, so that there can only be one link", lines)
            self.assertEqual(len(relay.hellos), 1)

        return self.run_it(talk())

    def test_links_come_from_the_addresses_that_are_named_in_turn(self) -> Deferred[None]:
        """All of 127/8 is this machine's."""

        async def talk() -> None:
            relay = self.relay()
            relay.greet = Welcoming()
            self.client(f"ws://127.0.0.1:{relay.port}", links=3, sources=["127.0.0.5", "127.0.0.6"])
            await relay.until(lambda: len(relay.sessions) == 3)
            hosts = sorted(link.peer.split(":")[1] for link in relay.links)
            self.assertEqual(hosts, ["127.0.0.5", "127.0.0.5", "127.0.0.6"])

        return self.run_it(talk())
