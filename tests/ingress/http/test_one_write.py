"""What an upstream gives at once leaves as one write; what it gives alone does not wait for more."""

from __future__ import annotations

import pytest

from egtunnel.errors import UpstreamBroke
from tests.ingress.http.world import Pipe, World, get

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"


def writes(world: World, request: bytes) -> tuple[Pipe, list[bytes]]:
    """A visitor that has asked, and a list that gets each of the relay's writes to it."""
    visitor, seen = world.visitor(request), []
    ordinary = visitor.write

    def write(data: bytes) -> None:
        seen.append(data)
        ordinary(data)

    visitor.write = write  # type: ignore[method-assign]
    return visitor, seen


@pytest.mark.parametrize(
    "response",
    [
        HEAD + b"a body",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n4\r\nbody\r\n0\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["length", "chunked", "empty"],
)
def test_a_response_that_comes_at_once_is_one_write(response: bytes) -> None:
    """Head, body and end."""
    world = World()
    _, seen = writes(world, get())
    world.far.send(response)
    assert seen == [response]


def test_a_head_does_not_wait_for_its_body_nor_a_piece_for_the_next() -> None:
    """Each leaves as it comes: events of a server, a slow page."""
    world = World()
    _, seen = writes(world, get())
    for piece in (HEAD, b"abc", b"def"):
        world.far.send(piece)
    assert seen == [HEAD, b"abc", b"def"]


def test_an_informational_response_leaves_at_once() -> None:
    """103 Early Hints are there to be early."""
    world = World()
    _, seen = writes(world, get())
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    world.far.send(hints)
    assert seen == [hints]


def test_what_came_before_an_upstream_broke_is_not_lost() -> None:
    """The visitor sees as much as there was, and that it is not all."""
    world = World()
    visitor, seen = writes(world, get())
    world.far.send(HEAD + b"abc")
    world.far.break_off(UpstreamBroke())
    assert b"".join(seen) == HEAD + b"abc"
    assert visitor.lost


def test_what_came_in_one_read_with_its_malformed_end_is_not_lost() -> None:
    """The chunk before the one that cannot be read has left."""
    world = World()
    visitor, seen = writes(world, get())
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    world.far.send(head)
    world.far.send(b"2\r\nab\r\n")
    world.far.send(b"zz\r\n")
    assert b"".join(seen) == head + b"2\r\nab\r\n"
    assert visitor.lost


def test_the_parser_of_a_kept_connection_reads_one_response_after_the_other() -> None:
    """Also after one that it did not see the end of: a long body, a response to HEAD, one without a body."""
    world = World()
    visitor = world.visitor()
    long = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc"
    for request, pieces, wanted in (
        (get(), [HEAD + b"a body"], HEAD + b"a body"),
        (get(), [long, b"def"], long + b"def"),
        (get(), [HEAD + b"a body"], HEAD + b"a body"),
        (get().replace(b"GET", b"HEAD"), [HEAD], HEAD),
        (get(), [HEAD + b"a body"], HEAD + b"a body"),
        (get(), [b"HTTP/1.1 304 Not Modified\r\n\r\n"], b"HTTP/1.1 304 Not Modified\r\n\r\n"),
        (get(), [HEAD + b"a body"], HEAD + b"a body"),
    ):
        visitor.send(request)
        for piece in pieces:
            world.far.send(piece)
        assert visitor.take() == wanted
    assert world.app.dials == 1
