"""A gRPC service for tunnels to lead to, and callers of it; messages are bare bytes, so no compiler is needed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent import futures
from typing import Any, Self

import grpc

__all__ = ["MESSAGE_OPTIONS", "Caller", "Service"]

NAME = "test.Echo"
MESSAGE_OPTIONS = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]
THREADS = 80
PATIENCE = 30.0


class Service:
    """A real server on a free port of loopback. ``cancelled`` is set once a call ended before its time."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.peers: set[str] = set()
        self._server = grpc.server(futures.ThreadPoolExecutor(THREADS), options=MESSAGE_OPTIONS)
        unary, server = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        client, both = grpc.stream_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
        methods: dict[str, Any] = {
            "Echo": unary(self._echo),
            "Metadata": unary(self._metadata),
            "Fail": unary(self._fail),
            "FailLate": server(self._fail_late),
            "Count": server(self._count),
            "Wait": server(self._wait),
            "Join": client(self._join),
            "Early": client(self._early),
            "Chat": both(self._chat),
        }
        self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(NAME, methods)])
        self.port: int = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def stop(self, grace: float | None = None) -> None:
        """End it, at once or when its calls are over."""
        self._server.stop(grace).wait(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _echo(self, request: bytes, context: Any) -> bytes:
        self.peers.add(context.peer())
        return request

    def _metadata(self, request: bytes, context: Any) -> bytes:
        given = {key: value for key, value in context.invocation_metadata() if key.startswith("x-")}
        context.send_initial_metadata([("x-first", given.get("x-asked", ""))])
        context.set_trailing_metadata([("x-last", "done"), ("x-last-bin", given.get("x-asked-bin", b""))])
        return b"\n".join(f"{key}={value}".encode() for key, value in sorted(given.items()))

    def _fail(self, request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata([("grpc-status-details-bin", b"\x00details\xff"), ("x-why", "just so")])
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today: naïve % 100")
        return b""

    def _fail_late(self, request: bytes, context: Any) -> Iterator[bytes]:
        yield b"first"
        yield b"second"
        context.set_trailing_metadata([("x-sent", "2")])
        context.abort(grpc.StatusCode.DATA_LOSS, "no third")

    def _count(self, request: bytes, context: Any) -> Iterator[bytes]:
        for number in range(int(request)):
            yield b"%d" % number

    def _wait(self, request: bytes, context: Any) -> Iterator[bytes]:
        context.add_callback(self.cancelled.set)
        yield b"waiting"
        for _ in range(int(PATIENCE / 0.05)):
            if self.cancelled.wait(0.05):
                return
        yield b"nobody cancelled"

    def _join(self, requests: Iterator[bytes], context: Any) -> bytes:
        return b",".join(requests)

    def _early(self, requests: Iterator[bytes], context: Any) -> bytes:
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "enough")
        return b""

    def _chat(self, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        for request in requests:
            yield request.upper()


class Caller:
    """The service as a caller sees it, over a channel."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel: Any = channel

    def unary(self, method: str) -> Any:
        return self.channel.unary_unary(f"/{NAME}/{method}")

    def server(self, method: str) -> Any:
        return self.channel.unary_stream(f"/{NAME}/{method}")

    def client(self, method: str) -> Any:
        return self.channel.stream_unary(f"/{NAME}/{method}")

    def both(self, method: str) -> Any:
        return self.channel.stream_stream(f"/{NAME}/{method}")

    def echo_until_it_works(self) -> None:
        """Call until the tunnel leads to a service again."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                assert self.unary("Echo")(b"there?", timeout=PATIENCE) == b"there?"
            except grpc.RpcError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return
