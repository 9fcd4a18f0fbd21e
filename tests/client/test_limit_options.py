"""The client's options about how much may go through a tunnel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.python.usage import UsageError

from egtunnel.client.tap import Options
from egtunnel.errors import ConfigurationError


def limits(*arguments: str) -> list[Any]:
    """The limits in each claim that a command line asks for."""
    options = Options()
    options.parseOptions([*([] if "--config" in arguments else ["--local", "8080"]), "--token", "x", *arguments])
    return [offer.claim(1).access.get("limits") for offer in options.offers]


def test_each_option_is_a_limit() -> None:
    """As it was written; the relay reads it as well."""
    found = limits(
        "--rate", "100/s", "--burst", "9", "--rate-per-address", "5/m", "--max-connections", "3",
        "--bandwidth-in", "500k", "--bandwidth-out", "1M",
    )  # fmt: skip
    assert found == [
        {
            "rate": "100/s",
            "burst": 9,
            "rate-per-address": "5/m",
            "connections": 3,
            "bandwidth-in": "500k",
            "bandwidth-out": "1M",
        }
    ]
    assert limits() == [None]


def test_tcp_tunnels_and_tables_have_them_too(tmp_path: Path) -> None:
    """Each its own."""
    assert limits("--tcp", "0", "--rate", "5/s", "--bandwidth-in", "1M") == [{"rate": "5/s", "bandwidth-in": "1M"}]
    file = tmp_path / "client.toml"
    file.write_text('[[tunnel]]\nlocal = "8080"\nmax-connections = 7\n[[tunnel]]\nlocal = "8081"\n')
    assert limits("--config", str(file)) == [{"connections": 7}, None]


@pytest.mark.parametrize(
    "arguments",
    [("--rate", "100"), ("--rate", "0/s"), ("--burst", "0"), ("--burst", "5"), ("--bandwidth-in", "fast")],
)
def test_what_cannot_be_is_said_at_start(arguments: tuple[str, str]) -> None:
    """With the option."""
    with pytest.raises((ConfigurationError, UsageError), match=arguments[0]):
        limits(*arguments)
