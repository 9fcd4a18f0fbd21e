"""What commands on a relay's store have in common: their options, how it is opened, how rows are printed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from twisted.python.usage import UsageError

from egtunnel.access.tokens import new_id
from egtunnel.errors import ConfigurationError
from egtunnel.store.limits import StoreLimits
from egtunnel.store.records import OwnerRecord

if TYPE_CHECKING:
    from egtunnel.relay.tap import Options
    from egtunnel.store.database import Database
    from egtunnel.store.rows import Rows

__all__ = [
    "OWNER",
    "PAGE",
    "Misread",
    "add_command",
    "moment",
    "open_database",
    "owner_named",
    "owners",
    "print_json",
    "relay_options",
]

OWNER = "admin"
PAGE = 500


class Misread(Exception):
    """An option's value is none."""


def add_command(kinds: Any, name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
    """A command with the options that say where the store is."""
    parser: argparse.ArgumentParser = kinds.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False
    )
    parser.add_argument(
        "--store", metavar="ADDRESS", help="as of twistd egrelay (sqlite: the file in the state folder)"
    )
    parser.add_argument("--state", metavar="FOLDER", help="as of twistd egrelay")
    parser.add_argument("--config", metavar="FILE", help="the relay's own TOML file, where both may stand")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run, parser=parser)
    return parser


# -- the commands


@contextmanager
def open_database(given: argparse.Namespace) -> Iterator[Database]:
    """The relay's store. Where it is, is read as the relay reads it."""
    from egtunnel.configuration import default_state  # noqa: PLC0415
    from egtunnel.relay.token_options import store_of  # noqa: PLC0415
    from egtunnel.store.database import Database  # noqa: PLC0415

    options = relay_options(given)
    try:
        state = options["state"] or default_state()
        address = store_of({"store": options["store"] or "sqlite"}, state)
    except UsageError as error:
        raise Misread(str(error)) from None
    if address is None or (address.file is not None and not address.file.parent.is_dir()):
        raise ConfigurationError(f"there is no folder {state}: give the relay's own --state, --store or --config")
    database = Database(address, StoreLimits())
    try:
        database.prepare()
        yield database
    finally:
        database.close()


def relay_options(given: argparse.Namespace) -> Options:
    """What the relay is told, as far as the command is told the same. Raises Misread."""
    from egtunnel.relay.tap import Options  # noqa: PLC0415 - help needs neither a relay nor a database

    options = Options()
    words = [f"--{name}={getattr(given, name)}" for name in ("store", "state", "config") if getattr(given, name)]
    for name in ("domain", "public-url", "port"):
        value = getattr(given, name.replace("-", "_"), None)
        words += [f"--{name}={value}"] if value else []
    try:
        options.parseOptions(words)
    except UsageError as error:
        raise Misread(str(error)) from None
    return options


def owner_named(rows: Rows, name: str, now: float) -> OwnerRecord:
    """The owner of this name, who is made if there is none."""
    owner = rows.owners.named(name)
    if owner is None:
        owner = OwnerRecord(new_id(), name, now)
        rows.owners.create(owner)
    return owner


def owners(rows: Rows) -> dict[str, OwnerRecord]:
    """All of them by id."""
    found: dict[str, OwnerRecord] = {}
    after = ""
    while page := rows.owners.list(after, PAGE):
        found.update((owner.id, owner) for owner in page)
        after = page[-1].name
    return found


def moment(seconds: float | None) -> str | None:
    """As ISO 8601, in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def print_json(value: object) -> None:
    """For programs."""
    print(json.dumps(value, indent=2, sort_keys=True))
