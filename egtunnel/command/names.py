"""``egtunnel name``: names, custom hosts and TCP ports that belong to an owner for good."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

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
from egtunnel.errors import EgtunnelError, Refused, StoreConflict
from egtunnel.store.records import NameRecord

if TYPE_CHECKING:
    from egtunnel.store.rows import Rows

__all__ = ["NoSuchName", "add_to"]

KINDS = ("name", "host", "tcp")
ADMIN = "admin"


class NoSuchName(EgtunnelError):
    """Nobody has this place."""

    word = "no-such-name"


def add_to(commands: Any) -> None:
    """The command with its own commands."""
    name = commands.add_parser("name", help="names, hosts and ports kept for an owner", description=__doc__)
    kinds = name.add_subparsers(title="commands", metavar="COMMAND", required=True)
    reserve = add_command(kinds, "reserve", _reserve, "keep a name, host or port for an owner")
    release = add_command(kinds, "release", _release, "let everybody have it again")
    for parser in (reserve, release):
        parser.add_argument("kind", choices=KINDS, metavar="KIND", help="name, host or tcp")
        parser.add_argument("value", metavar="VALUE", help="the name below the domain, the whole host, or the port")
    reserve.add_argument("--owner", default=OWNER, metavar="NAME", help=f"who has it ({OWNER})")
    add_command(kinds, "list", _list, "list what is kept for whom")


def _reserve(given: argparse.Namespace) -> None:
    value, now = _value(given), time.time()

    def reserve(rows: Rows) -> None:
        rows.names.reserve(NameRecord(given.kind, value, owner_named(rows, given.owner, now).id, ADMIN, now))

    with open_database(given) as database:
        try:
            database.write(reserve)
        except StoreConflict:
            raise StoreConflict(f"the {given.kind} {value} is kept for somebody: egtunnel name list shows it") from None
    _say(given, {"kind": given.kind, "value": value, "owner": given.owner}, f"kept for {given.owner}: {value}")


def _release(given: argparse.Namespace) -> None:
    value = _value(given)
    with open_database(given) as database:
        done = database.write(lambda rows: rows.names.release(given.kind, value))
    if not done:
        raise NoSuchName(f"the {given.kind} {value} is kept for nobody: egtunnel name list shows all")
    _say(given, {"kind": given.kind, "value": value}, f"released {value}")


def _list(given: argparse.Namespace) -> None:
    with open_database(given) as database:
        known, names = database.read(lambda rows: (owners(rows), list(_names(rows))))
    shown = [
        {
            "kind": name.kind,
            "value": name.value,
            "owner": known[name.owner].name,
            "proven": name.proven,
            "created": moment(name.created),
        }
        for name in names
    ]
    if given.json:
        print_json(shown)
        return
    for row in shown:
        print(f"{row['kind']:4}  {row['value']}  {row['owner']}  ({row['proven']})")


def _names(rows: Rows) -> Iterator[NameRecord]:
    after = ("", "")
    while page := rows.names.list(after=after, most=PAGE):
        yield from page
        after = (page[-1].kind, page[-1].value)


def _value(given: argparse.Namespace) -> str:
    """The value in the one form in which it is compared."""
    from egtunnel.relay.names import check_host, check_name  # noqa: PLC0415 - help needs no relay

    try:
        if given.kind == "name":
            return check_name(given.value)
        if given.kind == "host":
            return check_host(given.value, "localhost")
    except Refused as error:
        raise Misread(error.text) from None
    if not (given.value.isascii() and given.value.isdigit() and 1 <= int(given.value[:6]) <= 65_535):
        raise Misread(f"{given.value[:20]!a} is no TCP port")
    return str(int(given.value))


def _say(given: argparse.Namespace, value: dict[str, Any], text: str) -> None:
    if given.json:
        print_json(value)
    else:
        print(text)
