"""Visitors who move much: HTTP by curl, HTTP/2 with several streams, bare TCP; down, up, and both at once."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from tests.integration.faults.scene import Doors
from tests.integration.faults.streams import Cut, Short, Tally, Wrong, digest_of, pattern
from tests.integration.programs import program

__all__ = ["both_ways", "half_close", "http2_streams", "http_down", "http_up", "tcp_down", "tcp_up"]

PATIENCE = 100.0
"""Seconds without a byte after which a visitor gives up: longer than a session waits for its next link."""
AT_ONCE = 65_536
STREAMS = 4


# -- HTTP


def _curl(doors: Doors, *options: str) -> list[str]:
    general = ["--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "900", "--http1.1"]
    stalled = ["--speed-time", f"{PATIENCE:.0f}", "--speed-limit", "1"]
    return [program("curl"), *general, *stalled, "--header", f"Host: {doors.host('web')}", *options]


def _url(doors: Doors, path: str) -> str:
    return f"http://127.0.0.1:{doors.http}{path}"


def http_down(doors: Doors, seed: int, size: int) -> None:
    """curl downloads, with Content-Length or in chunks."""
    tally = Tally(seed, "HTTP download")
    url = _url(doors, f"/down?seed={seed}&size={size}&chunked={seed % 2}")
    with subprocess.Popen(_curl(doors, url), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as visitor:
        assert visitor.stdout is not None
        assert visitor.stderr is not None
        while data := visitor.stdout.read1(AT_ONCE):  # type: ignore[attr-defined]
            tally.take(data)
        said = visitor.stderr.read().decode().strip()
    tally.check()
    if visitor.returncode:
        raise Cut(f"HTTP download after {tally.size} of {size} bytes: {said}")
    tally.whole(size)


def http_up(doors: Doors, seed: int, size: int) -> None:
    """``curl -T``, with Content-Length or in chunks; the service says what it got."""
    headers = ["--header", "Expect:"] + ([] if seed % 2 else ["--header", f"Content-Length: {size}"])
    if not seed % 2:
        headers += ["--header", "Transfer-Encoding:"]
    command = _curl(doors, "--upload-file", "-", *headers, _url(doors, "/up"))
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as visitor:
        assert visitor.stdin is not None
        assert visitor.stdout is not None
        assert visitor.stderr is not None
        with contextlib.suppress(BrokenPipeError):
            for piece in pattern(seed, size):
                visitor.stdin.write(piece)
            visitor.stdin.close()
        answer = visitor.stdout.read().decode()
        said = visitor.stderr.read().decode().strip()
    if visitor.returncode:
        raise Cut(f"HTTP upload: {said}")
    _agree("HTTP upload", answer, seed, size)


def http2_streams(doors: Doors, seed: int, size: int) -> None:
    """Several downloads at once on one connection that speaks HTTP/2."""
    with TemporaryDirectory() as folder:
        options = ["--http2-prior-knowledge", "--parallel", "--parallel-immediate", "--fail-early"]
        for number in range(STREAMS):
            path = f"/down?seed={seed + number}&size={size // STREAMS}&chunked={number % 2}"
            options += ["--output", f"{folder}/{number}", _url(doors, path)]
        done = subprocess.run(_curl(doors, *options), capture_output=True, check=False, timeout=900)
        for number in range(STREAMS):
            tally = Tally(seed + number, "HTTP/2 stream")
            _read(Path(folder) / str(number), tally)
            tally.check()
            if not done.returncode:
                tally.whole(size // STREAMS)
        if done.returncode:
            raise Cut(f"HTTP/2: {done.stderr.decode().strip()}")


def _read(file: Path, tally: Tally) -> None:
    if file.exists():
        with file.open("rb") as stream:
            while data := stream.read(AT_ONCE):
                tally.take(data)


def _agree(name: str, answer: str, seed: int, size: int) -> None:
    if answer.split() != [digest_of(seed, size), str(size)]:
        raise Wrong(f"{name}: of {size} bytes of seed {seed} the service got {answer!r}")


# -- bare TCP


@contextlib.contextmanager
def _visit(doors: Doors, name: str, order: str) -> Iterator[tuple[socket.socket, BinaryIO]]:
    """A connection that has given its order; its errors are a Cut."""
    try:
        with socket.create_connection(("127.0.0.1", doors.raw), PATIENCE) as visitor, visitor.makefile("rb") as stream:
            visitor.sendall(order.encode() + b"\n")
            yield visitor, stream
    except TimeoutError as error:
        raise Wrong(f"{name}: nothing for {PATIENCE:g} s, and no end") from error
    except OSError as error:
        raise Cut(f"{name}: {error}") from error


def _rest(stream: BinaryIO, tally: Tally, size: int) -> None:
    """Everything up to the end, which must not come early."""
    try:
        while data := stream.read1(AT_ONCE):  # type: ignore[attr-defined]
            tally.take(data)
    except OSError:
        tally.check()
        raise
    tally.whole(size)


def _send(visitor: socket.socket, seed: int, size: int) -> None:
    for piece in pattern(seed, size):
        visitor.sendall(piece)
    visitor.shutdown(socket.SHUT_WR)


def tcp_down(doors: Doors, seed: int, size: int) -> None:
    """The bytes and then the end."""
    with _visit(doors, "TCP download", f"D {seed} {size}") as (_, stream):
        _rest(stream, Tally(seed, "TCP download"), size)


def tcp_up(doors: Doors, seed: int, size: int) -> None:
    """The bytes, the end, and what the service has to say to them."""
    with _visit(doors, "TCP upload", f"H {seed} 0 {size}") as (visitor, stream):
        _send(visitor, seed, size)
        answer = stream.readline()
        if not answer:
            raise Short("TCP upload: an orderly end without an answer")
        _agree("TCP upload", answer.decode(), seed, size)
        _rest(stream, Tally(seed, "TCP upload, the answer"), 0)


def half_close(doors: Doors, seed: int, size: int) -> None:
    """One direction to its end, then the other."""
    there, back = size // 2, size - size // 2
    with _visit(doors, "half-close", f"H {seed} {back} {there}") as (visitor, stream):
        _send(visitor, seed, there)
        answer = stream.readline()
        if not answer:
            raise Short("half-close: an orderly end without an answer")
        _agree("half-close", answer.decode(), seed, there)
        _rest(stream, Tally(seed, "half-close, the way back"), back)


def both_ways(doors: Doors, seed: int, size: int) -> None:
    """To an echo and back again at the same time."""
    with ThreadPoolExecutor(1) as pool, _visit(doors, "both ways", "E") as (visitor, stream):
        sending = pool.submit(_send, visitor, seed, size)
        try:
            _rest(stream, Tally(seed, "both ways"), size)
        except Short:
            sending.result(PATIENCE)  # Linux tells of a reset once, to whoever calls first: maybe to who sends
            raise
        finally:
            with contextlib.suppress(OSError):
                visitor.shutdown(socket.SHUT_RDWR)
        sending.result(PATIENCE)
