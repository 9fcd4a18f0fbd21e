"""Free ports."""

from __future__ import annotations

import socket

import pytest

from bench.errors import BenchError
from bench.ports import HIGHEST, LOWEST, Ports, is_free


def test_a_port_is_given_once() -> None:
    """The second asker gets another one, though the first does not listen yet."""
    choices = iter([15000, 15000, 15001])
    ports = Ports(lambda low, high: next(choices), lambda port: True)
    assert [ports.take(), ports.take()] == [15000, 15001]


def test_a_port_in_use_is_passed_over() -> None:
    """What does not answer to us is left alone."""
    choices = iter([15000, 15001])
    ports = Ports(lambda low, high: next(choices), lambda port: port == 15001)
    assert ports.take() == 15001


def test_it_gives_up_with_an_error() -> None:
    """No endless search on a machine without a free port."""
    with pytest.raises(BenchError, match="no free port"):
        Ports(free=lambda port: False).take()


def test_ports_lie_below_those_of_outgoing_connections() -> None:
    """Thousands of connections must not be able to sit on a port that was chosen."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        lowest_outgoing = int(file.read().split()[0])
    assert 1024 < LOWEST < HIGHEST < lowest_outgoing


def test_a_port_that_somebody_listens_on_is_not_free() -> None:
    """Tried with a real socket, and free again once it is closed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)
