"""Who may come in: each new link says hello, and becomes a session or is refused with a reason."""

from __future__ import annotations

import re
from collections.abc import Callable

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.errors import EgtunnelError, FlowControlError, HandshakeError, OverLimit, Refused, Superseded
from egtunnel.interfaces import ILink, ILinkReceiver
from egtunnel.mux.frames import U32_U16, FrameType
from egtunnel.mux.frames import encode as encode_frame
from egtunnel.mux.outbound import clip
from egtunnel.relay.authentication import Authenticator, Grant
from egtunnel.relay.hello import Passport, read_hello, read_join, read_resume
from egtunnel.relay.reservations import Owner
from egtunnel.relay.tokens import Tokens
from egtunnel.session.messages import VERSION, Hello, Message, RefusedMessage, Welcome, encode
from egtunnel.session.session import Session

__all__ = ["Admission", "AdmissionLimits", "Admitted", "Door", "Identity", "refuse", "turn_away"]

CLIENT_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@attrs.frozen
class AdmissionLimits:
    """``hello``: seconds until a link must have said it, ``size``: its longest, in bytes. ``waiting``: links that have
    not said it yet. ``clients``: clients at once; who comes too many is asked to come back ``after`` seconds.
    ``links``: of one client, each with a session of its own. ``login``: seconds that the store may take for a token.
    """

    hello: float = 10.0
    size: int = 16_384
    waiting: int = 256
    clients: int = 1000
    links: int = 8
    after: float = 30.0
    login: float = 4.0


@attrs.frozen
class Identity:
    """Who a client is. ``grant``: what its token may do; None: the token is the relay's own, and may do everything."""

    owner: Owner
    grant: Grant | None = None


Admitted = Callable[["Door", Owner, Session | None], tuple[Session, Welcome]]
"""Makes the session of a client that may come in, and its welcome; calls ``Door.gone`` when the session is closed.

With a session it makes a companion of that: one more for the same client, without names of its own.
"""


class Door:
    """Lets clients in: a newer link of the same client takes over at once, unless it asks to stand beside the others.

    ``sessions``: one for each identity, which may have companions. ``elsewhere``: may take a link away with its hello,
    if its session is not held here. ``authenticator``: knows more tokens. ``refused``: is told of each refusal, with
    the address of who was refused. ``over``: is told of each session that has ended, while it is still known.
    """

    log = Logger()

    def __init__(
        self, tokens: Tokens, admitted: Admitted, clock: IReactorTime, limits: AdmissionLimits | None = None
    ) -> None:
        self.limits = limits or AdmissionLimits()
        self.clock = clock
        self.sessions: dict[Owner, Session] = {}
        self.waiting: set[Admission] = set()
        self._welcomes: dict[Session, Welcome] = {}
        self.elsewhere: Callable[[ILink, Hello, bytes], bool] = lambda link, hello, data: False
        self.authenticator: Authenticator | None = None
        self.refused: Callable[[Refused, str], None] = lambda error, peer: None
        self.over: Callable[[Owner, Session], None] = lambda owner, session: None
        self.tokens = tokens
        self._admitted = admitted

    def link(self, link: ILink) -> None:
        """A new link; it has to say hello."""
        if len(self.waiting) >= self.limits.waiting:
            turn_away(link, OverLimit("too many connections; try again"))
        else:
            self.waiting.add(Admission(link, self))

    def identify(self, hello: Hello, peer: str) -> Identity | Deferred[Identity]:
        """Who says hello, at once if nobody has to be asked. Raises, or fails with, Refused or HandshakeError."""
        if hello.version != VERSION:
            raise Refused("version", f"this relay speaks version {VERSION} of the protocol, the client {hello.version}")
        token, more = self.tokens.check(hello.token), self.authenticator
        if token is None and more is None:
            raise Refused("bad-token", "the relay does not know this token")
        if CLIENT_ID.fullmatch(hello.client_id) is None:
            raise HandshakeError("hello.client_id is not what the protocol asks for")
        if token is not None or more is None:
            return Identity(Owner(token or "", hello.client_id))
        grant = more.standing(hello.token)
        if grant is not None and self._proven(Owner(grant.id, hello.client_id), hello):
            return Identity(Owner(grant.id, hello.client_id), grant)
        return more.login(hello.token, peer).addCallback(
            lambda grant: Identity(Owner(grant.id, hello.client_id), grant)
        )

    def admit(self, link: ILink, hello: Hello, identity: Identity) -> None:
        """Let a client in. Raises Refused or HandshakeError."""
        owner = identity.owner
        if self._resumed(owner, link, hello):
            return
        beside = self._joined(owner, hello)
        if beside is None:
            self._supersede(owner)
            if len(self.sessions) >= self.limits.clients:
                raise Refused("full", "the relay has as many clients as it takes", retry=True, after=self.limits.after)
            if self.authenticator is not None and identity.grant is not None:
                self.authenticator.entered(identity.grant)
        session, welcome = self._admitted(self, owner, beside)
        if beside is None:
            self.sessions[owner] = session
        else:
            beside.companions.append(session)
        self._welcomes[session] = welcome
        self.log.info(
            "admitted client {client} ({agent}) from {peer} as session {session}",
            client=owner.client,
            agent=hello.agent[:100],
            peer=link.peer,
            session=session.id,
        )
        link.send([message_frame(welcome)])
        session.attach(link)

    def gone(self, owner: Owner, session: Session, error: EgtunnelError) -> None:
        """A session is over."""
        self._welcomes.pop(session, None)
        main = self.sessions.get(owner)
        if main is session:
            self.over(owner, session)
            del self.sessions[owner]
            if self.authenticator is not None:
                self.authenticator.left(owner.token)
        elif main is not None and session in main.companions:
            main.companions.remove(session)
        for companion in list(session.companions):
            companion.close(error)
        self.log.info(
            "session {session} of client {client} is over: {word}, {text}",
            session=session.id,
            client=owner.client,
            word=error.word,
            text=error.text,
        )

    def end(self, token: str, error: EgtunnelError) -> None:
        """Close every session of a token, by id."""
        for session in [session for owner, session in self.sessions.items() if owner.token == token]:
            session.close(error)

    def leave(self, error: EgtunnelError) -> None:
        """Nobody else comes in, and everybody is told to go; what is under way goes on until ``close``."""
        self.limits = attrs.evolve(self.limits, waiting=0)
        for admission in list(self.waiting):
            admission.end(error)
        for session in list(self.sessions.values()):
            for each in (session, *session.companions):
                each.go_away(error)

    def close(self, error: EgtunnelError) -> None:
        """Nobody else comes in, and everybody out."""
        self.limits = attrs.evolve(self.limits, waiting=0)
        for admission in list(self.waiting):
            admission.end(error)
        for session in list(self.sessions.values()):
            session.close(error)

    def _resumed(self, owner: Owner, link: ILink, hello: Hello) -> bool:
        """Whether the session that the hello names goes on over this link; if not, a new one is made."""
        wanted = read_resume(hello.resume)
        session = None if wanted is None else self._known(owner, wanted)
        if wanted is None or session is None:
            return False
        try:
            session.resume(wanted.position)
        except FlowControlError as error:
            self.log.info("session {session} cannot go on: {text}", session=session.id, text=error.text)
            return False
        self.log.info("session {session} goes on, from {peer}", session=session.id, peer=link.peer)
        link.send([message_frame(attrs.evolve(self._welcomes[session], resumed=session.position))])
        session.attach(link)
        return True

    def _proven(self, owner: Owner, hello: Hello) -> bool:
        """Whether the hello names a session of this client with its secret: then nobody else has to be asked."""
        wanted = read_resume(hello.resume) or read_join(hello.join)
        return wanted is not None and self._known(owner, wanted) is not None

    def _known(self, owner: Owner, wanted: Passport) -> Session | None:
        """The client's session that is named, or one of its companions, if the secret is right."""
        main = self.sessions.get(owner)
        mine = () if main is None else (main, *main.companions)
        return next((session for session in mine if wanted.opens(session)), None)

    def _joined(self, owner: Owner, hello: Hello) -> Session | None:
        """The session beside which the client wants another; None: it wants one that stands alone. Raises Refused."""
        wanted = read_join(hello.join)
        if wanted is None:
            return None
        main = self.sessions.get(owner)
        if main is None or not wanted.opens(main):
            raise Refused("no-session", "the session that this link was to join is over", retry=True)
        if len(main.companions) + 1 >= self.limits.links:
            raise Refused("too-many-links", f"one client may have {self.limits.links} links")
        return main

    def _supersede(self, owner: Owner) -> None:
        ghost = self.sessions.get(owner)
        if ghost is not None:
            ghost.close(Superseded())


def turn_away(link: ILink, error: EgtunnelError) -> None:
    """End a link for this reason before it carries a session; the last frame tells, as a bare link has no other way."""
    Door.log.info("turned {peer} away: {text}", peer=link.peer, text=error.text)
    link.send([encode_frame(FrameType.GOAWAY, 0, U32_U16.pack(0, error.code) + clip(error.text))])
    link.close(error.code, error.text)


def refuse(link: ILink, error: Refused) -> None:
    """Answer the hello of a link, said or not, with a refusal."""
    Door.log.info("refused {peer}: {reason}", peer=link.peer, reason=error.reason)
    link.send([message_frame(RefusedMessage(error.reason, error.text, retry=error.retry, after=error.after))])
    link.close(error.code, error.text)


@implementer(ILinkReceiver)
class Admission:
    """One link until its hello is answered: it has to say that in one message, in time, and then to wait."""

    def __init__(self, link: ILink, door: Door) -> None:
        self._link = link
        self._door = door
        self._asking = self._gone = False
        self._timer = door.clock.callLater(door.limits.hello, self._late)
        link.receiver = self

    def link_message(self, data: bytes) -> None:
        """The hello, or something else."""
        try:
            if self._asking:
                raise HandshakeError("a client waits for the answer to its hello")
            hello = read_hello(data, self._door.limits.size)
            if self._door.elsewhere(self._link, hello, data):
                self._leave()
                return
            found = self._door.identify(hello, self._link.peer)
            if isinstance(found, Identity):
                self._enter(hello, found)
                return
        except (Refused, HandshakeError) as error:
            self._fail(error)
        else:
            self._asking = True
            found.addCallback(self._identified, hello).addErrback(self._failed)

    def link_paused(self) -> None:
        """We have said nothing yet."""

    def link_resumed(self) -> None:
        """We have said nothing yet."""

    def link_lost(self, reason: str) -> None:
        """It went without a word, or did not wait for the answer."""
        self._gone = True
        self._leave()

    def end(self, error: EgtunnelError) -> None:
        """Close the link for this reason."""
        self._gone = True
        self._leave()
        turn_away(self._link, error)

    def _enter(self, hello: Hello, identity: Identity) -> None:
        self._leave()
        self._door.admit(self._link, hello, identity)

    def _identified(self, identity: Identity, hello: Hello) -> None:
        if not self._gone:
            self._enter(hello, identity)

    def _failed(self, reason: Failure) -> None:
        error = reason.value
        if isinstance(error, (Refused, HandshakeError)):
            self._fail(error)
        else:
            self._door.log.failure("a login went wrong", failure=reason)
            self._fail(Refused("login-failed", "the relay could not look up this token", retry=True))

    def _fail(self, error: Refused | HandshakeError) -> None:
        """Answer with a refusal, or end what is no hello; who has gone meanwhile hears nothing."""
        self._leave()
        if isinstance(error, Refused):
            self._door.refused(error, self._link.peer)
        if self._gone:
            return
        if isinstance(error, Refused):
            refuse(self._link, error)
        else:
            self.end(error)

    def _late(self) -> None:
        self.end(HandshakeError("the relay could not answer the hello in time" if self._asking else "no hello in time"))

    def _leave(self) -> None:
        self._door.waiting.discard(self)
        if self._timer.active():
            self._timer.cancel()


def message_frame(message: Message) -> bytes:
    """A control message as a whole frame."""
    return encode_frame(FrameType.MESSAGE, 0, encode(message))
