"""Which layer of a daemon a sample of its stack belongs to, and how often each was met."""

from __future__ import annotations

import linecache
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from attrs import frozen

__all__ = ["LAYERS", "Frame", "add_up", "layer_of", "parse_stacks"]

KERNEL = (
    ("kernel: send", re.compile(r"\.(send|sendall|sendto|sendmsg|sendfile|writev)\(|\bos\.write\(")),
    ("kernel: recv", re.compile(r"\.(recv|recv_into|recvfrom|recvmsg)\(|\bos\.read\(")),
    ("kernel: epoll", re.compile(r"\.(poll|register|modify|unregister)\(")),
    ("kernel: accept, connect, close", re.compile(r"\.(accept|connect|connect_ex|close|shutdown|setsockopt)\(")),
)
"""By the source line on which the innermost frame stands: what it calls in C is no frame of its own."""
MODULES = (
    ("TLS", re.compile(r"/twisted/protocols/tls\.py|/OpenSSL/|/egtunnel/[\w/]*tls[\w/]*\.py|/service_identity/")),
    ("WebSocket", re.compile(r"/autobahn/|/egtunnel/session/websocket\.py")),
    ("Twisted loop", re.compile(r"/twisted/")),
    ("session", re.compile(r"/egtunnel/session/")),
    ("mux", re.compile(r"/egtunnel/mux/")),
    ("HTTP", re.compile(r"/egtunnel/(\w+/)*(http\w*|h2\w*|access_log\w*)(/|\.py)|/httptools/|/h2/|/hpack/")),
    ("ingress TCP", re.compile(r"/egtunnel/ingress/")),
    ("client upstream", re.compile(r"/egtunnel/client/")),
    ("relay", re.compile(r"/egtunnel/relay/")),
    ("sockets of our own", re.compile(r"/egtunnel/")),
)
"""By the file of the innermost frame that belongs to any; the standard library counts with its caller."""
OTHER = "other"
LAYERS: tuple[str, ...] = (*(name for name, _ in KERNEL), *(name for name, _ in MODULES), OTHER)
"""Every layer, in the order of the page."""
FRAME = re.compile(r"^(?P<function>.*) \((?P<file>.*?)(?::(?P<line>\d+))?\)$")


@frozen
class Frame:
    """One frame: function, file, line (0: unknown)."""

    function: str
    file: str
    line: int


def parse_stacks(text: str) -> list[tuple[tuple[Frame, ...], int]]:
    """Read collapsed stacks (``frame;frame;... count``, outermost first); lines of another shape are passed over."""
    found = []
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        if stack and count.isdigit():
            found.append((tuple(_frame(each) for each in stack.split(";")), int(count)))
    return found


def _frame(text: str) -> Frame:
    match = FRAME.match(text)
    if match is None:
        return Frame(text, "", 0)
    return Frame(match["function"], match["file"], int(match["line"] or 0))


def layer_of(stack: Sequence[Frame], source: Callable[[str, int], str] = linecache.getline) -> str:
    """The layer in which a stack was met.

    :param source: gives a line of a file
    """
    inner = stack[-1]
    line = source(inner.file, inner.line) if inner.line else ""
    for name, pattern in KERNEL:
        if _is_socket_code(inner) and pattern.search(line):
            return name
    for frame in reversed(stack):
        for name, pattern in MODULES:
            if pattern.search(frame.file):
                return name
    return OTHER


def _is_socket_code(frame: Frame) -> bool:
    # In mux and session a send is a method of ours; in these files it is the system call.
    return re.search(r"/twisted/internet/|/selectors\.py|/socket\.py|/egtunnel/\w+\.py", frame.file) is not None


def add_up(stacks: Iterable[tuple[Sequence[Frame], int]]) -> tuple[dict[str, int], dict[str, int]]:
    """Samples by layer, and by innermost function (``function (module)``)."""
    layers, functions = Counter[str](), Counter[str]()
    for stack, count in stacks:
        layers[layer_of(stack)] += count
        inner = stack[-1]
        functions[f"{inner.function} ({'/'.join(inner.file.split('/')[-2:])})"] += count
    return dict(layers), dict(functions)
