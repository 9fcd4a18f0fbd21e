"""Visitors who talk: WebSocket, SSH, gRPC, and many small requests; each goes on until it is told that it is enough."""

from __future__ import annotations

import asyncio
import http.client
import random
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from tests.integration.faults.scene import Doors
from tests.integration.faults.services import push, small
from tests.integration.faults.streams import Cut, Wrong
from tests.integration.programs import program
from tests.integration.websockets import BINARY, Conversation

__all__ = ["grpc_chat", "small_requests", "ssh_session", "websocket_talk"]

PATIENCE = 100.0
BEAT = 0.02
"""Seconds between two messages of a conversation."""
AHEAD = 8
"""How many messages may be under way."""


def _said(dice: random.Random, number: int) -> bytes:
    return b"message %d " % number + dice.randbytes(dice.choice([0, 10, 200, 3000, 70_000]))


# -- WebSocket


def websocket_talk(doors: Doors, seed: int, enough: threading.Event) -> None:
    """Numbered messages in both directions, several under way at once; all of them, in order, and an orderly end."""
    try:
        asyncio.run(_websocket(doors, seed, enough))
    except (asyncio.IncompleteReadError, OSError, _Closed) as error:
        raise Cut(f"WebSocket: {error!r}") from error


class _Closed(Exception):
    """The other end said goodbye in the middle: with a code, so nobody takes it for the end of the conversation."""


async def _websocket(doors: Doors, seed: int, enough: threading.Event) -> None:
    try:
        talk = await Conversation.begin(doors.http, doors.host("ws"))
    except AssertionError as error:  # answered, but not with 101
        raise Cut(f"WebSocket, the upgrade: {error}") from error
    dice, room, sent = random.Random(seed), asyncio.Semaphore(AHEAD), asyncio.Queue[bytes | None]()

    async def say() -> None:
        number = 0
        while not enough.is_set() or number < 5:
            message = _said(dice, number)
            await room.acquire()
            sent.put_nowait(message)
            await talk.send(message)
            await asyncio.sleep(BEAT)
            number += 1
        sent.put_nowait(None)

    saying = asyncio.ensure_future(say())
    try:
        number = 0
        while (expected := await sent.get()) is not None:
            for words in (expected, push(number)):
                async with asyncio.timeout(PATIENCE):
                    opcode, payload = await talk.receive()
                if opcode != BINARY:
                    raise _Closed(payload.hex())
                if payload != words:
                    raise Wrong(f"WebSocket, seed {seed}: {payload[:40]!r} instead of {words[:40]!r}")
            room.release()
            number += 1
        await saying
        await talk.end()
    except TimeoutError as error:
        raise Wrong("WebSocket: silence, and no end") from error
    finally:
        saying.cancel()


# -- SSH


def ssh_session(doors: Doors, seed: int, enough: threading.Event) -> None:
    """An interactive session: a line there, a line back, on a terminal of its own."""
    options = [f"IdentityFile={doors.key}", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes", "BatchMode=yes"]
    options += ["StrictHostKeyChecking=no", f"Port={doors.ssh}", "LogLevel=ERROR", "EscapeChar=none"]
    command = [program("ssh"), "-F", "none", "-tt", *(word for option in options for word in ("-o", option))]
    command += ["localhost", "stty -echo raw; echo ready; cat"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0) as there:
        try:
            number, cut = _lines(there, seed, enough)
        finally:
            there.kill()
        assert there.stderr is not None
        said = there.stderr.read().decode().strip()
    if cut:
        raise Cut(f"SSH after {number} lines: {said}")


def _lines(there: subprocess.Popen[bytes], seed: int, enough: threading.Event) -> tuple[int, bool]:
    """How many lines came back, and whether the session ended before it was enough."""
    assert there.stdin is not None
    assert there.stdout is not None
    number = 0
    if b"ready" not in _line(there):
        return number, True
    while not enough.wait(BEAT) or number < 5:
        words = b"line %d of %d\n" % (number, seed)
        try:
            there.stdin.write(words)
        except BrokenPipeError:
            return number, True
        line = _line(there)
        if not line.endswith(b"\n"):
            return number, True
        if line != words:
            raise Wrong(f"SSH: {line!r} instead of {words!r}")
        number += 1
    return number, False


def _line(there: subprocess.Popen[bytes]) -> bytes:
    """The next line; silence ends the session."""
    assert there.stdout is not None
    timer = threading.Timer(PATIENCE, there.kill)
    timer.start()
    try:
        return there.stdout.readline()
    finally:
        timer.cancel()


# -- gRPC


def grpc_chat(doors: Doors, seed: int, enough: threading.Event) -> None:
    """A stream in both directions; each answer comes while the request goes on."""
    import grpc

    from tests.integration.grpc_service import MESSAGE_OPTIONS, Caller

    dice, room, sent = random.Random(seed), threading.Semaphore(AHEAD), list[bytes]()

    def words() -> Iterator[bytes]:
        while not enough.wait(BEAT) or len(sent) < 5:
            if not room.acquire(timeout=PATIENCE):
                return
            sent.append(_said(dice, len(sent)))
            yield sent[-1]

    options = [("grpc.default_authority", doors.host("rpc")), ("grpc.use_local_subchannel_pool", 1), *MESSAGE_OPTIONS]
    number = 0
    try:
        with grpc.insecure_channel(f"127.0.0.1:{doors.http}", options=options) as channel:
            for answer in Caller(channel).both("Chat")(words(), timeout=900):
                if answer != sent[number].upper():
                    raise Wrong(f"gRPC, seed {seed}: message {number} is {answer[:40]!r}")
                number += 1
                room.release()
    except grpc.RpcError as error:
        raise Cut(f"gRPC after {number} messages: {error.code()} {error.details()}") from error
    if number != len(sent):
        raise Wrong(f"gRPC: an orderly end after {number} of {len(sent)} messages")


# -- small requests


def small_requests(doors: Doors, seed: int, enough: threading.Event) -> None:
    """Visitors who come and go: each asks a few times on a connection of its own, eight of them at a time."""

    def visit(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", doors.http, timeout=PATIENCE)
        try:
            for turn in range(1 + number % 3):
                wanted = number + turn
                connection.request("GET", f"/small?number={wanted}", headers={"Host": doors.host("web")})
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200:
                    raise Cut(f"small request: {answer.status} {answer.getheader('X-Egtunnel-Error')}")
                if body != small(wanted):
                    raise Wrong(f"small request {wanted}: {body[:60]!r}")
        except TimeoutError as error:
            raise Wrong("small request: silence, and no end") from error
        except (OSError, http.client.HTTPException) as error:
            raise Cut(f"small request: {error!r}") from error
        finally:
            connection.close()

    dice = random.Random(seed)
    cuts = []
    with ThreadPoolExecutor(8) as pool:
        while not enough.is_set():
            for visitor in [pool.submit(visit, dice.randrange(1_000_000)) for _ in range(8)]:
                try:
                    visitor.result()
                except Cut as error:
                    cuts.append(str(error))
            enough.wait(BEAT)
    if cuts:
        raise Cut(f"{len(cuts)} times: {cuts[0]}")
