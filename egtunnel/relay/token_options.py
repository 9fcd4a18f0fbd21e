"""Options about tokens, and how their values are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from twisted.python.usage import UsageError

from egtunnel.access.fetching import check_url
from egtunnel.configuration import folder, parameter
from egtunnel.errors import ConfigurationError
from egtunnel.ingress.front.networks import read_networks
from egtunnel.store.address import StoreAddress, parse_store_address

__all__ = ["TOKEN_PARAMETERS", "file_or_output", "forbidden_name", "resolver", "store_of"]

DNS_PORT = 53
_PATTERN = re.compile(r"[a-z0-9*.-]{1,253}", re.ASCII)


def forbidden_name(text: str) -> str:
    """Reads a pattern of names that nobody gets."""
    pattern = text.lower().rstrip(".")
    if _PATTERN.fullmatch(pattern) is None:
        raise ValueError("it must be a name, with * for any characters")
    return pattern


def resolver(text: str) -> tuple[str, int]:
    """Reads the address of a name server."""
    bare, port = text, DNS_PORT
    found = re.fullmatch(r"\[([0-9a-fA-F:.]+)\](?::([0-9]{1,5}))?|([0-9.]+):([0-9]{1,5})", text, re.ASCII)
    if found is not None:
        bare, port = found[1] or found[3], int(found[2] or found[4] or DNS_PORT)
    try:
        address = ip_address(bare)
    except ValueError:
        raise ValueError("it must be an address, with a port if that is not 53") from None
    if not 1 <= port <= 65_535:
        raise ValueError("a port is 1 to 65535")
    return str(address), port


def file_or_output(text: str) -> Path | str:
    """Reads a path, or ``-`` for standard output."""
    return text if text == "-" else folder(text)


def check_address(text: str) -> str:
    """Reads an address for the login check: ``https``, or ``http`` to this machine."""
    try:
        return check_url("login-check", text)
    except ConfigurationError as error:
        raise ValueError(error.text.partition(": ")[2]) from None


TOKEN_PARAMETERS: list[list[Any]] = [
    parameter("store", None, "database with tokens: sqlite, sqlite:///path or postgresql://..."),
    parameter(
        "forbid-name", None, "public name or host that nobody gets, * for any part", forbidden_name, repeated=True
    ),
    parameter("resolver", None, "DNS server that is asked for proofs of custom hosts: ADDRESS[:PORT]", resolver),
    parameter("fetch-from", None, "network from which issuers' keys may be fetched, too", read_networks, repeated=True),
    parameter("login-check", None, "address that is asked about tokens that the relay does not know", check_address),
    parameter("audit-log", None, "file for a JSON line a refusal, - for standard output", file_or_output),
]


def store_of(options: Mapping[str, Any], state: Path) -> StoreAddress | None:
    """The store that the options name. Raises UsageError without a word of the address, which may hold a password."""
    text = options["store"]
    if text is None:
        return None
    try:
        return parse_store_address("" if text == "sqlite" else text, state)
    except ConfigurationError as error:
        raise UsageError(f"--store: {error.text}") from None
