"""A real gRPC server behind a tunnel, called by real gRPC clients by the tunnel's host name."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import pytest

from tests.integration.daemons import Client, Relay, SecureRelay
from tests.integration.papers import Papers
from tests.integration.rawhttp import get
from tests.integration.upstreams import Nginx, Upstream

grpc = pytest.importorskip("grpc")

from tests.integration.grpc_service import MESSAGE_OPTIONS, PATIENCE, Caller, Service  # noqa: E402

Connect = Callable[..., Client]


@pytest.fixture
def service() -> Iterator[Service]:
    """The server."""
    with Service() as running:
        yield running


@contextlib.contextmanager
def calling(relay: Relay, name: str = "rpc") -> Iterator[Caller]:
    """A caller who speaks HTTP/2 in the clear to the relay."""
    options = [("grpc.default_authority", relay.host(name)), *MESSAGE_OPTIONS]
    with grpc.insecure_channel(f"127.0.0.1:{relay.port}", options=options) as channel:
        yield Caller(channel)


@pytest.fixture
def caller(relay: Relay, connect: Connect, service: Service) -> Iterator[Caller]:
    """A caller of the service through a tunnel; both daemons' logs are clean afterwards."""
    client = connect("--local", f"h2c://127.0.0.1:{service.port}", "--name", "rpc")
    client.url()
    with calling(relay) as there:
        yield there
    relay.assert_calm()
    client.assert_calm()


def test_a_unary_call(caller: Caller) -> None:
    """One message there, one back; an empty one, too."""
    assert caller.unary("Echo")(b"hello", timeout=PATIENCE) == b"hello"
    assert caller.unary("Echo")(b"", timeout=PATIENCE) == b""


def test_a_stream_from_the_server(caller: Caller) -> None:
    """All messages, in order."""
    assert list(caller.server("Count")(b"1000", timeout=PATIENCE)) == [b"%d" % number for number in range(1000)]


def test_a_stream_from_the_caller(caller: Caller) -> None:
    """All messages, in order, and the answer after the last."""
    words = [b"%d" % number for number in range(1000)]
    assert caller.client("Join")(iter(words), timeout=PATIENCE) == b",".join(words)


def test_streams_in_both_directions(caller: Caller) -> None:
    """Each answer comes while the request goes on."""
    gate = threading.Semaphore(0)

    def words() -> Iterator[bytes]:
        for word in (b"one", b"two", b"three"):
            yield word
            assert gate.acquire(timeout=PATIENCE)

    heard = []
    for answer in caller.both("Chat")(words(), timeout=PATIENCE):
        heard.append(answer)
        gate.release()
    assert heard == [b"ONE", b"TWO", b"THREE"]


def test_metadata_goes_both_ways(caller: Caller) -> None:
    """Of the call, first and trailing, text and binary."""
    asked = [("x-asked", "this"), ("x-asked-bin", b"\x00\xff")]
    answer, call = caller.unary("Metadata").with_call(b"", metadata=asked, timeout=PATIENCE)
    assert b"x-asked=this" in answer
    assert dict(call.initial_metadata())["x-first"] == "this"
    assert dict(call.trailing_metadata()) == {"x-last": "done", "x-last-bin": b"\x00\xff"}
    assert b"x-forwarded-for=127.0.0.1" in answer


def test_an_error_comes_with_its_status_message_and_details(caller: Caller) -> None:
    """Of a call that fails at once (a response that is only trailers), and of one that fails late."""
    with pytest.raises(grpc.RpcError) as caught:
        caller.unary("Fail")(b"", timeout=PATIENCE)
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert error.details() == "not today: naïve % 100"
    trailers = dict(error.trailing_metadata())
    assert trailers["grpc-status-details-bin"] == b"\x00details\xff"
    assert trailers["x-why"] == "just so"

    heard = []
    call = caller.server("FailLate")(b"", timeout=PATIENCE)
    with pytest.raises(grpc.RpcError) as caught:
        for message in call:
            heard.append(message)  # noqa: PERF402
    error = caught.value
    assert heard == [b"first", b"second"]
    assert (error.code(), error.details()) == (grpc.StatusCode.DATA_LOSS, "no third")
    assert dict(error.trailing_metadata())["x-sent"] == "2"


def test_a_server_may_answer_before_the_caller_has_finished(caller: Caller) -> None:
    """Its status arrives, not a broken stream; the next call is served."""

    def forever() -> Iterator[bytes]:
        while True:
            yield b"x" * 1000
            time.sleep(0.01)

    with pytest.raises(grpc.RpcError) as caught:
        caller.client("Early")(forever(), timeout=PATIENCE)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert caller.unary("Echo")(b"next", timeout=PATIENCE) == b"next"


def test_a_deadline_ends_the_call_on_both_sides(caller: Caller, service: Service) -> None:
    """The caller has its status in time, the server stops working."""
    call = caller.server("Wait")(b"", timeout=1)
    assert next(call) == b"waiting"
    with pytest.raises(grpc.RpcError) as caught:
        next(call)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert service.cancelled.wait(PATIENCE)
    assert caller.unary("Echo")(b"next", timeout=PATIENCE) == b"next"


def test_a_cancelled_call_ends_on_both_sides(caller: Caller, service: Service) -> None:
    """The server learns of it at once, other calls go on."""
    other = caller.server("Count")(b"3", timeout=PATIENCE)
    call = caller.server("Wait")(b"", timeout=PATIENCE)
    assert next(call) == b"waiting"
    call.cancel()
    assert service.cancelled.wait(PATIENCE / 2)
    assert list(other) == [b"0", b"1", b"2"]
    assert caller.unary("Echo")(b"next", timeout=PATIENCE) == b"next"


def test_big_messages(caller: Caller) -> None:
    """8 MiB in one message, there and back."""
    message = bytes(range(256)) * (8 << 12)
    assert caller.unary("Echo")(message, timeout=PATIENCE) == message


def test_fifty_calls_at_once(caller: Caller) -> None:
    """On one connection of the caller's, each with its own stream of answers."""
    with futures.ThreadPoolExecutor(50) as pool:
        chats = [pool.submit(_chat, caller, number) for number in range(50)]
        for number, chat in enumerate(chats):
            assert chat.result(PATIENCE) == [b"%d:%d" % (number, turn) for turn in range(20)]


def _chat(caller: Caller, number: int) -> list[bytes]:
    words = (b"%d:%d" % (number, turn) for turn in range(20))
    return list(caller.both("Chat")(words, timeout=PATIENCE))


def test_a_server_that_vanishes_ends_the_stream(caller: Caller, service: Service) -> None:
    """The caller has an error, not an end; a call while there is no server is UNAVAILABLE."""
    call = caller.server("Wait")(b"", timeout=PATIENCE)
    assert next(call) == b"waiting"
    service.stop()
    with pytest.raises(grpc.RpcError) as caught:
        next(call)
    assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.CANCELLED)
    with pytest.raises(grpc.RpcError) as caught:
        caller.unary("Echo")(b"", timeout=PATIENCE)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_service_without_http_2_is_told_apart(relay: Relay, connect: Connect, nginx: Nginx) -> None:
    """502 and one line in the log, at once, of a server of HTTP/1 and of one that says nonsense."""
    connect("--local", f"h2c://127.0.0.1:{nginx.port}", "--name", "rpc").url()
    answer = get(relay.port, relay.host("rpc"), "/")
    assert (answer.status, answer.error) == (502, "upstream-broke")
    assert b"does not speak HTTP/2" in answer.body
    relay.wait_for("the service of tunnel rpc does not speak HTTP/2 in the clear")
    with Upstream(lambda connection: connection.sendall(b"220 mail.example\r\n")) as mail:
        connect("--local", f"h2c://127.0.0.1:{mail.port}", "--name", "letters").url()
        assert get(relay.port, relay.host("letters"), "/").status == 502
    relay.assert_calm()


def test_calls_over_tls(start_secure: Callable[..., SecureRelay], papers: Papers, service: Service, start: Any) -> None:
    """``NAME.DOMAIN`` with the relay's own certificate, as anybody would call it."""
    relay = start_secure()
    client = Client(relay, "--local", f"h2c://127.0.0.1:{service.port}", "--name", "rpc")
    start(client)
    client.url()
    credentials = grpc.ssl_channel_credentials(papers.ca.read_bytes())
    host = relay.host("rpc")
    options = [("grpc.ssl_target_name_override", host.partition(":")[0]), ("grpc.default_authority", host)]
    with grpc.secure_channel(f"127.0.0.1:{relay.port}", credentials, [*options, *MESSAGE_OPTIONS]) as channel:
        there = Caller(channel)
        assert there.unary("Echo")(b"hello", timeout=PATIENCE) == b"hello"
        words = [b"%d" % number for number in range(100)]
        assert there.client("Join")(iter(words), timeout=PATIENCE) == b",".join(words)
        assert list(there.both("Chat")(iter(words), timeout=PATIENCE)) == words
        assert len(list(there.server("Count")(b"100", timeout=PATIENCE))) == 100
        with pytest.raises(grpc.RpcError) as caught:
            there.unary("Fail")(b"", timeout=PATIENCE)
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    relay.assert_calm()
    client.assert_calm()
