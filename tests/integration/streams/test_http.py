"""Events one by one, pipelining, Expect, HEAD, ranges, trailers, HTTP/1.0."""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import threading
from pathlib import Path

import pytest

from tests.integration.daemons import Relay
from tests.integration.programs import curl
from tests.integration.rawhttp import Connection, ask
from tests.integration.streams.talk import PATIENCE, Share, head_of, request
from tests.integration.upstreams import Nginx

# -- streams


@pytest.mark.parametrize("framing", ["chunked", "to the end"])
def test_events_arrive_one_by_one(relay: Relay, share: Share, framing: str) -> None:
    """Each is read before the next is written: a relay that collects would never deliver the first."""
    read = threading.Semaphore(0)

    def serve(connection: socket.socket) -> None:
        head_of(connection)
        line = b"Transfer-Encoding: chunked" if framing == "chunked" else b"Connection: close"
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" + line + b"\r\n\r\n")
        for number in range(20):
            event = b"data: %d\n\n" % number
            connection.sendall(b"%x\r\n%s\r\n" % (len(event), event) if framing == "chunked" else event)
            if not read.acquire(timeout=PATIENCE):
                return
        if framing == "chunked":
            connection.sendall(b"0\r\n\r\n")

    with Connection(relay.port, timeout=PATIENCE) as visitor:
        visitor.send(request(share(serve)))
        stream = visitor.socket.makefile("rb")
        while stream.readline() != b"\r\n":
            pass
        for number in range(20):
            line = b""
            while not line.startswith(b"data: "):
                line = stream.readline()
                assert line, "the events ended"
            assert line == b"data: %d\n" % number
            read.release()


def test_an_upload_arrives_piece_by_piece(relay: Relay, share: Share) -> None:
    """The other way round: each piece of a chunked request is answered before the next is sent."""

    def serve(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        seen = b""
        for number in range(10):
            while b"piece %d;" % number not in seen:
                seen += connection.recv(65_536)
            connection.sendall(b"heard %d;" % number)

    with Connection(relay.port) as visitor:
        visitor.send(request(share(serve), method="POST", extra="Transfer-Encoding: chunked\r\n"))
        heard = b""
        for number in range(10):
            piece = b"piece %d;" % number
            visitor.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            while b"heard %d;" % number not in heard:
                data = visitor.socket.recv(65_536)
                assert data, "the answer ended"
                heard += data


def test_a_hundred_pipelined_requests_are_answered_in_order(relay: Relay, share: Share) -> None:
    """All sent at once; the service takes longer for some of them."""

    def serve(connection: socket.socket) -> None:
        while True:
            number = int(head_of(connection).split(b" ")[1][1:])
            threading.Event().wait(0.02 if number % 10 == 0 else 0)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n%04d" % number)

    host = share(serve)
    with Connection(relay.port) as visitor:
        visitor.send(b"".join(request(host, f"/{number}") for number in range(100)))
        assert [int(visitor.answer().body) for _ in range(100)] == list(range(100))


def test_pipelined_requests_for_two_tunnels(relay: Relay, share: Share, site: str) -> None:
    """One visitor's connection, another name with each request: each goes where its Host says."""

    def serve(connection: socket.socket) -> None:
        while head_of(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother")

    host = share(serve)
    with Connection(relay.port) as visitor:
        visitor.send((request(site, "/hello") + request(host) + request("nobody.localhost")) * 3)
        for _ in range(3):
            assert visitor.answer().body == b"hello from nginx\n"
            assert visitor.answer().body == b"other"
            assert visitor.answer().error == "unknown-tunnel"


# -- Expect: 100-continue


def test_expect_continue_with_curl(relay: Relay, share: Share, tmp_path: Path) -> None:
    """curl waits for the service's own 100 before it sends the body."""

    def serve(connection: socket.socket) -> None:
        head = head_of(connection)
        assert b"expect: 100-continue" in head.lower()
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        size = int(re.search(rb"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]
        digest = hashlib.sha256()
        while size:
            piece = connection.recv(min(size, 65_536))
            digest.update(piece)
            size -= len(piece)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n" + digest.hexdigest().encode())

    body = bytes(range(256)) * 20_000
    file = tmp_path / "body"
    file.write_bytes(body)
    options = ("-i", "--http1.1", "-H", "Expect: 100-continue", "--expect100-timeout", "60", "-T", str(file))
    answer = curl(f"http://{share(serve)}/", *options).decode()
    assert answer.startswith("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ")
    assert answer.endswith(hashlib.sha256(body).hexdigest())


def test_a_refused_expectation_costs_no_body(relay: Relay, share: Share, tmp_path: Path) -> None:
    """The service says 401 instead of 100: curl gets that, and the service no body."""
    heard: list[bytes] = []
    over = threading.Event()

    def serve(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        with contextlib.suppress(ConnectionError):
            heard.append(connection.recv(65_536))
        over.set()

    file = tmp_path / "body"
    file.write_bytes(bytes(1_000_000))
    options = ("-i", "-H", "Expect: 100-continue", "--expect100-timeout", "60", "-T", str(file))
    answer = curl(f"http://{share(serve)}/", *options).decode()
    assert answer.startswith("HTTP/1.1 401 ")
    assert over.wait(PATIENCE)
    assert b"".join(heard) == b""


def test_informational_responses_come_before_the_answer(relay: Relay, share: Share) -> None:
    """103 Early Hints, passed on at once; the answer after it belongs to the same request."""
    seen = threading.Event()

    def serve(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
        seen.wait(PATIENCE)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with Connection(relay.port) as visitor:
        visitor.send(request(share(serve)))
        hints = visitor.socket.recv(65_536)
        assert hints.startswith(b"HTTP/1.1 103 ")
        assert b"rel=preload" in hints
        seen.set()
        assert visitor.answer().body == b"ok"


# -- responses without bodies, in part, or to the end


def test_head_204_and_304_have_no_body_and_keep_the_connection(relay: Relay, site: str, nginx: Nginx) -> None:
    """A second request on the same connection is answered, so that nothing was taken for a body."""
    (nginx.www / "ten.txt").write_bytes(b"0123456789")
    with Connection(relay.port) as visitor:
        visitor.send(request(site, "/ten.txt", "HEAD"))
        head = visitor.answer(body=False)
        assert (head.status, head.headers["content-length"]) == (200, "10")
        visitor.send(request(site, "/none"))
        assert visitor.answer().status == 204
        visitor.send(request(site, "/ten.txt", extra=f"If-None-Match: {head.headers['etag']}\r\n"))
        cached = visitor.answer()
        assert (cached.status, cached.headers["etag"]) == (304, head.headers["etag"])
        visitor.send(request(site, "/ten.txt"))
        assert visitor.answer().body == b"0123456789"


def test_ranges(relay: Relay, site: str, nginx: Nginx) -> None:
    """One range, the last bytes, two ranges, one that cannot be; and curl going on in the middle."""
    (nginx.www / "ten.txt").write_bytes(b"0123456789")
    with Connection(relay.port) as visitor:
        for wanted, status, body in (("2-4", 206, b"234"), ("-3", 206, b"789"), ("20-30", 416, None)):
            visitor.send(request(site, "/ten.txt", extra=f"Range: bytes={wanted}\r\n"))
            answer = visitor.answer()
            assert answer.status == status
            assert body is None or answer.body == body
        visitor.send(request(site, "/ten.txt", extra="Range: bytes=0-1,8-9\r\n"))
        parts = visitor.answer()
        assert parts.headers["content-type"].startswith("multipart/byteranges")
        assert b"\r\n01\r\n" in parts.body
        assert b"\r\n89\r\n" in parts.body
    assert curl(f"http://{site}/ten.txt", "-C", "7") == b"789"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_response_that_ends_with_its_connection(relay: Relay, share: Share, version: str) -> None:
    """The service names no length; the visitor knows where it ends all the same, whatever it speaks."""

    def serve(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nall of it")

    answer = ask(relay.port, request(share(serve), version=version))
    assert (answer.status, answer.body) == (200, b"all of it")
    assert ("transfer-encoding" in answer.headers) == (version == "1.1")


def test_a_response_that_breaks_off_is_not_taken_for_a_whole_one(relay: Relay, share: Share) -> None:
    """curl reports a partial body, with a length and with chunks."""
    beginnings = [b"Content-Length: 100\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"]

    def serve(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + beginnings.pop(0))

    url = f"http://{share(serve)}/"
    for _ in range(2):
        assert curl(url, status=None) == b"half"
    beginnings += [b"Content-Length: 100\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"]
    for _ in range(2):
        with pytest.raises(AssertionError, match=r"status (18|56)\b"):
            curl(url)


def test_http_1_0_visitors(relay: Relay, site: str, share: Share) -> None:
    """No chunks, and the connection ends, unless keep-alive was asked for and the length is known."""
    answer = ask(relay.port, request(site, "/hello", version="1.0"))
    assert (answer.body, "transfer-encoding" in answer.headers) == (b"hello from nginx\n", False)
    with Connection(relay.port) as visitor:
        for _ in range(3):
            visitor.send(request(site, "/hello", version="1.0", extra="Connection: keep-alive\r\n"))
            kept = visitor.answer()
            assert kept.body == b"hello from nginx\n"
            assert kept.headers["connection"].lower() == "keep-alive"

    def chunks(connection: socket.socket) -> None:
        while head_of(connection):
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nin \r\n6\r\npieces\r\n0\r\n\r\n"
            )

    host = share(chunks)
    for extra in ("", "Connection: keep-alive\r\n"):
        plain = ask(relay.port, request(host, version="1.0", extra=extra))
        assert (plain.body, "transfer-encoding" in plain.headers) == (b"in pieces", False)


def test_trailers_come_through_both_ways(relay: Relay, share: Share) -> None:
    """After a chunked request and after a chunked response."""
    bodies: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        head_of(connection)
        body = b""
        while not body.endswith(b"\r\n\r\n"):
            body += connection.recv(65_536)
        bodies.append(body)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
        connection.sendall(b"2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n")

    with Connection(relay.port) as visitor:
        visitor.send(request(share(serve), method="POST", extra="Transfer-Encoding: chunked\r\nTE: trailers\r\n"))
        visitor.send(b"5\r\nhello\r\n0\r\nX-Check: 7\r\n\r\n")
        answer = b""
        while not answer.endswith(b"\r\n\r\n") or b"0\r\n" not in answer:
            data = visitor.socket.recv(65_536)
            assert data, answer
            answer += data
    assert bodies == [b"5\r\nhello\r\n0\r\nX-Check: 7\r\n\r\n"]
    assert answer.endswith(b"2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n")


def test_connections_to_the_service_are_reused(relay: Relay, share: Share) -> None:
    """Requests of several visitors one after the other go over one connection; a closed one is replaced unnoticed."""
    connections: list[int] = []

    def serve(connection: socket.socket) -> None:
        connections.append(0)
        for _ in range(5):
            head_of(connection)
            connections[-1] += 1
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    host = share(serve)
    for _ in range(10):
        assert ask(relay.port, request(host)).body == b"ok"
    assert connections == [5, 5]
