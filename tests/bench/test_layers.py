"""Stacks of py-spy, added up by layer."""

from __future__ import annotations

from typing import Any

import pytest

from bench.layers import LAYERS, add_up, layer_of, parse_stacks
from bench.profile_page import page

ROOT = "run (/v/bin/twistd:8);poll (/v/twisted/internet/epollreactor.py:200)"


@pytest.mark.parametrize(
    ("frames", "line", "layer"),
    [
        ("doPoll (/v/twisted/internet/epollreactor.py:9)", "l = self._poller.poll(timeout)", "kernel: epoll"),
        ("write (/v/twisted/internet/tcp.py:9)", "return self.socket.send(data)", "kernel: send"),
        ("try_send (/x/egtunnel/eager.py:9)", "sent = sock.send(data)", "kernel: send"),
        ("doRead (/v/twisted/internet/tcp.py:9)", "data = self.socket.recv(size)", "kernel: recv"),
        ("doRead (/v/twisted/internet/tcp.py:9)", "pass", "Twisted loop"),
        ("_flush (/v/twisted/protocols/tls.py:9)", "x.recv(9)", "TLS"),
        ("arrived (/x/egtunnel/ingress/tls/terminator.py:9)", "", "TLS"),
        ("arrived (/x/egtunnel/eager_tls.py:9)", "", "TLS"),
        ("send (/x/egtunnel/session/websocket.py:9)", "self.y.send(x)", "WebSocket"),
        ("send (/x/egtunnel/session/session.py:9)", "self.link.send(x)", "session"),
        ("send (/x/egtunnel/mux/mux.py:9)", "self.out.send(x)", "mux"),
        ("feed (/x/egtunnel/ingress/http/parser.py:9)", "", "HTTP"),
        ("feed (/x/egtunnel/ingress/http2/stream.py:9)", "", "HTTP"),
        ("got (/x/egtunnel/ingress/tcp.py:9)", "", "ingress TCP"),
        ("got (/x/egtunnel/client/upstream.py:9)", "", "client upstream"),
        ("got (/x/egtunnel/relay/tunnels.py:9)", "", "relay"),
        ("got (/x/egtunnel/mux/mux.py:9);append (/usr/lib/python3.11/queue.py:3)", "", "mux"),
    ],
)
def test_a_stack_belongs_to_the_innermost_layer(frames: str, line: str, layer: str) -> None:
    """A system call by its source line, and only in files that hold sockets."""
    ((stack, _),) = parse_stacks(f"{ROOT};{frames} 1")
    assert layer_of(stack, lambda file, number: line) == layer
    assert layer in LAYERS


def test_stacks_without_any_known_file_are_other() -> None:
    """Rather than lost: all samples are in the sum."""
    stacks = parse_stacks("process 12:thread;work 3\nnot a stack\nrun (/usr/lib/a.py:1) 4\n")
    layers, functions = add_up(stacks)
    assert layers == {"other": 7}
    assert functions == {"work ()": 3, "run (lib/a.py)": 4}


def test_the_page_splits_the_time_by_the_samples() -> None:
    """Three of four samples of 8 microseconds are 6; a daemon that waits in epoll is not at work."""
    cost: dict[str, Any] = {
        "contender": "egtunnel-tcp",
        "task": "requests-32",
        "unit": "request",
        "seconds": 2.0,
        "rate": 5,
    }
    cost["functions"] = {"doPoll (a/b.py)": 90, "f (a/b.py)": 4}
    relay = {**cost, "daemon": "relay", "microseconds": 8.0, "layers": {"mux": 3, "TLS": 1, "kernel: epoll": 90}}
    client = {**cost, "daemon": "client", "microseconds": 4.0, "layers": {"mux": 1}}
    about = {"started": "2026-01-02T00", "commit": "abc", "machine": {"processors": 2, "processor": "P", "kernel": "6"}}
    text = page({**about, "costs": [relay, client]})
    assert "### requests-32: microseconds a request" in text
    assert "| mux | 6.00 | 4.00 |\n" in text
    assert "| TLS | 2.00 | 0.000 |\n" in text
    assert "| **all** | **8.00** | **4.00** |" in text
    assert "Dearest in the relay (4 samples, 10 accounted for): `f (a/b.py)` 100%." in text
    assert "| kernel: epoll" not in text
