"""Whatever clients, services and visitors do: channels are counted right, and nobody is sent to one that has left."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory

from egtunnel.errors import UpstreamRefused
from egtunnel.interfaces import Visitor
from egtunnel.relay.health import ServerLimits
from egtunnel.relay.reservations import Place
from egtunnel.session.messages import Release
from tests.pipes import Recorder
from tests.relay.house import House, HouseLimits, MemoryClient

NAMES = ("a", "b", "c", "d")
SERVING, SILENT = "serving", "silent"


class SharedName(RuleBasedStateMachine):
    """Four clients that come, go, fall silent and come back; visitors that come and go; services that say no."""

    def __init__(self) -> None:
        super().__init__()
        limits = HouseLimits(servers=ServerLimits(servers=3, failures=2, rest=5))
        self.house = House(limits, secret="secret")
        self.clients: dict[str, MemoryClient] = {}
        self.serving: set[str] = set()
        self.silent: set[str] = set()
        self.visitors: list[Deferred[Any]] = []
        self.protocols: list[Recorder] = []

    def opened(self) -> dict[str, int]:
        return {name: len(client.opened) for name, client in self.clients.items()}

    @rule(name=st.sampled_from(NAMES))
    def claim(self, name: str) -> None:
        """It comes, in a new session; one too many is refused."""
        old = self.clients.get(name)
        client = self.clients[name] = self.house.client(name)
        self.serving.discard(name)
        self.silent.discard(name)
        if len(self.serving) < 3:
            client.claim(1, name="app", share=True)
            self.serving.add(name)
        else:
            assert client.refused(1, name="app", share=True).code == "too-many-servers"
        if old is not None:
            self.house.clients.remove(old)

    @rule(name=st.sampled_from(NAMES))
    def release(self, name: str) -> None:
        """It wants no more visitors."""
        if name in self.serving - self.silent:
            self.clients[name].tell(Release(1))
            self.serving.discard(name)

    @rule(name=st.sampled_from(NAMES))
    def lose(self, name: str) -> None:
        """Its link breaks; its session waits."""
        if name in self.clients and name not in self.silent:
            self.clients[name].cut()
            self.silent.add(name)
            self.house.carry()

    @rule(name=st.sampled_from(NAMES))
    def resume(self, name: str) -> None:
        """It comes back over another link."""
        if name in self.silent:
            assert self.clients[name].resume(client_id=name).resumed is not None
            self.silent.discard(name)

    @rule()
    def expire(self) -> None:
        """Sessions without a link end."""
        if self.silent:
            self.house.clock.advance(60)
            self.house.carry()
            self.serving -= self.silent
            for name in self.silent:
                self.house.clients.remove(self.clients.pop(name))
            self.silent.clear()

    @rule()
    def wait(self) -> None:
        """Rests end."""
        self.house.clock.advance(3)
        self.house.carry()

    @rule(number=st.integers(0, 3))
    def visit(self, number: int) -> None:
        """A visitor comes; it is sent to one that serves and has a link, if there is one."""
        tunnel = self.house.table.at(Place("name", "app"))
        if tunnel is None:
            assert not self.serving
            return
        before = self.opened()
        protocol = Recorder()
        self.protocols.append(protocol)
        dialing = tunnel.dialer(Visitor("http", f"192.0.2.{number}", 1)).connect(Factory.forProtocol(lambda: protocol))
        dialing.addErrback(lambda reason: None)
        self.visitors.append(dialing)
        self.house.carry()
        sent = {name for name, count in self.opened().items() if count > before[name]}
        there = self.serving - self.silent
        assert sent <= there
        assert len(sent) == bool(there)

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), takes=st.booleans())
    def answer(self, data: st.DataObject, takes: bool) -> None:
        """A service takes a visitor, or does not."""
        name = data.draw(st.sampled_from(sorted(self.clients)))
        waiting = [
            channel for channel, _ in self.clients[name].opened if channel.protocol is None and not over(channel)
        ]
        if waiting and name not in self.silent:
            channel = waiting[0]
            if takes:
                channel.connect_protocol(Recorder())
                channel.accept()
            else:
                channel.reset(UpstreamRefused())
            self.house.carry()

    @precondition(lambda self: self.visitors)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """A visitor goes, whether it is served or not."""
        number = data.draw(st.integers(0, len(self.visitors) - 1))
        self.visitors.pop(number).cancel()
        protocol = self.protocols.pop(number)
        if protocol.transport is not None and protocol.lost is None:
            protocol.transport.abortConnection()  # type: ignore[attr-defined]
        self.house.carry()

    @invariant()
    def the_servers_are_those_who_claimed_and_have_not_left(self) -> None:
        """In the table as in the model."""
        tunnel = self.house.table.at(Place("name", "app"))
        servers = [] if tunnel is None else [server.client for server in tunnel.servers]
        assert sorted(servers) == sorted(self.serving)

    @invariant()
    def every_open_channel_is_counted(self) -> None:
        """By the mux of the session, which knows nothing of servers."""
        tunnel = self.house.table.at(Place("name", "app"))
        for server in tunnel.servers if tunnel is not None else ():
            session: Any = server.session
            assert len(server.openings) == session.channels == server.busy


def over(channel: Any) -> bool:
    """Whether a channel has ended."""
    return bool(channel._lost)


SharedNameTests = SharedName.TestCase
SharedNameTests.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
