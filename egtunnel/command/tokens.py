"""``egtunnel token``: make, list and revoke the tokens in a relay's store, on the machine that has it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from egtunnel.access.scope import Scope
from egtunnel.access.shares import expiry
from egtunnel.access.tokens import new_token
from egtunnel.command.database import (
    OWNER,
    PAGE,
    Misread,
    add_command,
    moment,
    open_database,
    owner_named,
    owners,
    print_json,
)
from egtunnel.errors import ConfigurationError, EgtunnelError, StoreConflict
from egtunnel.store.records import OwnerRecord, TokenRecord

if TYPE_CHECKING:
    from egtunnel.store.rows import Rows

__all__ = ["NoSuchToken", "add_to"]

NAME_LENGTH = 128
SCOPE_OPTIONS = (
    ("kind", "kinds", "KIND", "kind of tunnel it may have: http, tcp"),
    ("name", "names", "PATTERN", "public name it may have, such as demo-*"),
    ("host", "hosts", "PATTERN", "custom host it may have, such as *.example.org"),
    ("tcp-port", "tcp_ports", "PORTS", "public TCP ports it may have, such as 20000-20009"),
)
"""Option, member of the scope, placeholder, meaning; each may be given several times, and none is no limit."""


LIMIT_OPTIONS = (
    ("rate", "RATE", "requests: 100/s, 600/m, 50/h"),
    ("max-connections", "N", "connections to services at once"),
    ("bandwidth-in", "BYTES", "bytes a second from visitors: 500k, 1M"),
    ("bandwidth-out", "BYTES", "bytes a second to visitors: 500k, 1M"),
    ("quota", "BYTES", "bytes in a month, both ways: 500M, 10G"),
)


class NoSuchToken(EgtunnelError):
    """There is no such token, or it is revoked."""

    word = "no-such-token"


def add_to(commands: Any) -> None:
    """The command with its own commands."""
    token = commands.add_parser("token", help="tokens that let clients in", description=__doc__)
    kinds = token.add_subparsers(title="commands", metavar="COMMAND", required=True)
    create = add_command(kinds, "create", _create, "make a token and print it, this once")
    create.add_argument("label", metavar="NAME", help="what it is for, or whose it is")
    create.add_argument("--owner", default=OWNER, metavar="NAME", help=f"who has it ({OWNER})")
    create.add_argument("--expires", metavar="TIME", help="when it ends: 30m, 12h, 7d, 2w from now (never)")
    for option, _, placeholder, text in SCOPE_OPTIONS:
        create.add_argument(f"--{option}", action="append", metavar=placeholder, help=f"{text}; repeatable (any)")
    create.add_argument("--tunnels", type=int, metavar="N", help="tunnels it may have at once (any number)")
    for option, placeholder, text in LIMIT_OPTIONS:
        kind = int if option == "max-connections" else str
        create.add_argument(
            f"--{option}", type=kind, metavar=placeholder, help=f"{text}, of all its tunnels together (no limit)"
        )
    create.add_argument(
        "--no-private", action="store_true", help="may have no private tunnels, and share nothing by link"
    )
    create.add_argument(
        "--access", type=Path, metavar="FILE", help="JSON of rules for visitors that all its tunnels have (none)"
    )
    create.add_argument("--visits", action="append", metavar="PATTERN", help="may visit private tunnels of such names")
    create.add_argument("--no-visits", action="store_true", help="may visit no private tunnels")
    create.add_argument("--no-sharing", action="store_true", help="may not serve a name together with other clients")
    every = add_command(kinds, "list", _list, "list the tokens")
    every.add_argument("--owner", metavar="NAME", help="of this owner only")
    revoke = add_command(kinds, "revoke", _revoke, "end a token and, within a second, its sessions")
    revoke.add_argument("id", metavar="ID", help="as it stands in the list and after eg_ in the token")


def _create(given: argparse.Namespace) -> None:
    scope, now = _scope(given), time.time()
    if not 1 <= len(given.label) <= NAME_LENGTH or not 1 <= len(given.owner) <= NAME_LENGTH:
        raise Misread(f"a name has 1 to {NAME_LENGTH} characters")
    expires = None if given.expires is None else now + _seconds(given.expires)
    made = new_token()

    def create(rows: Rows) -> None:
        owner = owner_named(rows, given.owner, now)
        rows.tokens.create(TokenRecord(made.id, made.digest, owner.id, given.label, scope.to_json(), now, expires))

    with open_database(given) as database:
        try:
            database.write(create)
        except StoreConflict:
            raise StoreConflict(f"{given.owner} has a token with the name {given.label} already") from None
    if given.json:
        shown = {"id": made.id, "token": made.text, "name": given.label, "owner": given.owner}
        print_json({**shown, "scope": scope.to_json(), "expires": moment(expires)})
    else:
        print(f"token {made.id} for {given.label}; it is shown this once:", file=sys.stderr, flush=True)
        print(made.text)


def _list(given: argparse.Namespace) -> None:
    with open_database(given) as database:
        known, tokens = database.read(lambda rows: (owners(rows), list(_tokens(rows))))
    now = time.time()
    shown = [_shown(token, known[token.owner], now) for token in tokens]
    shown = [row for row in shown if given.owner in (None, row["owner"])]
    if given.json:
        print_json(shown)
        return
    for row in shown:
        ends = f", until {row['expires']}" if row["expires"] and row["state"] == "good" else ""
        rules = f"  {json.dumps(row['scope'], sort_keys=True)}" if row["scope"] else ""
        print(f"{row['id']}  {row['state']}{ends}  {row['owner']}: {row['name']}{rules}")


def _revoke(given: argparse.Namespace) -> None:
    with open_database(given) as database:
        done = database.write(lambda rows: rows.tokens.revoke(given.id, time.time()))
    if not done:
        raise NoSuchToken(f"there is no token {given.id}, or it was revoked before: egtunnel token list shows all")
    if given.json:
        print_json({"id": given.id, "state": "revoked"})
    else:
        print(f"revoked {given.id}")


# -- what they are made of


def _scope(given: argparse.Namespace) -> Scope:
    members = {member: getattr(given, option.replace("-", "_")) for option, member, _, _ in SCOPE_OPTIONS}
    value: dict[str, Any] = {member: entries for member, entries in members.items() if entries}
    if given.tunnels is not None:
        value["tunnels"] = given.tunnels
    if limits := _limits(given):
        value["limits"] = limits
    if given.access is not None:
        value["access"] = _rules(given.access)
    if given.no_private:
        value["private"] = False
    if given.visits or given.no_visits:
        value["visits"] = given.visits or []
    if given.no_sharing:
        value["sharing"] = False
    try:
        return Scope.from_json(value)
    except ConfigurationError as error:
        raise Misread(error.text) from None


def _rules(file: Path) -> Any:
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise Misread(f"--access {file}: {getattr(error, 'strerror', None) or 'it is not JSON'}") from None


def _limits(given: argparse.Namespace) -> dict[str, Any]:
    limits = {option: getattr(given, option.replace("-", "_")) for option, _, _ in LIMIT_OPTIONS}
    found = {option: limit for option, limit in limits.items() if limit is not None}
    connections = found.pop("max-connections", None)
    return found if connections is None else {**found, "connections": connections}


def _seconds(text: str) -> float:
    try:
        return expiry(text)
    except ConfigurationError:
        raise Misread(f"--expires {text}: it must be like 30m, 12h, 7d or 2w") from None


def _tokens(rows: Rows) -> Iterator[TokenRecord]:
    after = ""
    while page := rows.tokens.list(after=after, most=PAGE):
        yield from page
        after = page[-1].id


def _shown(token: TokenRecord, owner: OwnerRecord, now: float) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "owner": owner.name,
        "state": _state(token, owner, now),
        "scope": dict(token.scope),
        "created": moment(token.created),
        "expires": moment(token.expires),
        "last_used": moment(token.last_used),
    }


def _state(token: TokenRecord, owner: OwnerRecord, now: float) -> str:
    if token.revoked is not None:
        return "revoked"
    if owner.disabled is not None:
        return "disabled"
    return "expired" if token.expires is not None and token.expires <= now else "good"
