"""``egtunnel share``: publish a service and make a link to it in one line; and make, list and revoke links."""

from __future__ import annotations

import argparse
import getpass
import sys
import time
from collections.abc import Iterator
from pathlib import Path
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
    relay_options,
)
from egtunnel.errors import ConfigurationError, EgtunnelError
from egtunnel.sharing.making import USUALLY, Wish, create_share, read_wish
from egtunnel.store.records import OwnerRecord, ShareRecord

if TYPE_CHECKING:
    from egtunnel.store.rows import Rows

__all__ = ["NoSuchShare", "add_terms", "add_to", "terms_of"]

KINDS = ("create", "list", "revoke")


class NoSuchShare(EgtunnelError):
    """There is no such share, or it is revoked."""

    word = "no-such-share"


def add_to(kinds: Any) -> None:
    """The commands on a relay's store."""
    create = add_command(kinds, "create", _create, "make a link to tunnels, and print it, this once")
    create.add_argument("tunnels", metavar="TUNNEL", nargs="+", help="public host of a tunnel, or its name")
    create.add_argument("--domain", metavar="NAME", help="as of twistd egrelay")
    create.add_argument("--public-url", metavar="URL", help="as of twistd egrelay")
    create.add_argument("--port", metavar="PORT", help="as of twistd egrelay")
    create.add_argument("--owner", default=OWNER, metavar="NAME", help=f"whose share it is ({OWNER})")
    add_terms(create)
    every = add_command(kinds, "list", _list, "list the shares")
    every.add_argument("--owner", metavar="NAME", help="of this owner only")
    revoke = add_command(kinds, "revoke", _revoke, "end a share: within a second its link leads nowhere")
    revoke.add_argument("id", metavar="ID", help="as it stands in the list")


def add_terms(parser: argparse.ArgumentParser) -> None:
    """The options that say what a link lets its holder do."""
    parser.add_argument("--expires", default=USUALLY, metavar="TIME", help=f"30m, 12h, 7d, 2w or never ({USUALLY})")
    rights = parser.add_mutually_exclusive_group()
    rights.add_argument("--read-only", action="store_true", help="GET, HEAD and OPTIONS alone (the default)")
    rights.add_argument("--write", action="store_true", help="every method")
    rights.add_argument("--permit", action="append", metavar="WORD", help="read, write, or a method; repeatable")
    parser.add_argument(
        "--service", action="append", metavar="PATH", help="share what lies below this path alone; repeatable (all)"
    )
    parser.add_argument("--uses", type=int, metavar="N", help="how often the link may be used (any number)")
    parser.add_argument("--note", default="", metavar="TEXT", help="what it is for")
    parser.add_argument(
        "--passphrase-file", type=Path, metavar="FILE", help="file with a passphrase to be typed, too; - asks for it"
    )


def terms_of(given: argparse.Namespace) -> dict[str, Any]:
    """What the options say, as of a share without its tunnels. Raises Misread."""
    permissions = ["write"] if given.write else (given.permit or ["read"])
    terms: dict[str, Any] = {"permissions": permissions, "expires_in": given.expires, "note": given.note}
    if given.service:
        terms["services"] = given.service
    if given.uses is not None:
        terms["uses"] = given.uses
    if given.passphrase_file is not None:
        terms["passphrase"] = _passphrase(given.passphrase_file)
    try:
        read_wish({**terms, "tunnels": ["localhost"]})
    except ConfigurationError as error:
        raise Misread(error.text) from None
    return terms


def _passphrase(file: Path) -> str:
    if str(file) == "-":
        return getpass.getpass("passphrase: ")
    try:
        text = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise Misread(f"--passphrase-file {file}: cannot be read") from None
    if not text:
        raise Misread(f"--passphrase-file {file}: there is nothing in it")
    return text


def _create(given: argparse.Namespace) -> None:
    from egtunnel.relay.sharing import link_of  # noqa: PLC0415 - help needs no relay

    terms, now = terms_of(given), time.time()
    addresses = relay_options(given).settings.addresses
    tunnels = [name if "." in name else f"{name}.{addresses.domain}" for name in given.tunnels]
    try:
        wish: Wish = read_wish({**terms, "tunnels": tunnels})
    except ConfigurationError as error:
        raise Misread(error.text) from None
    with open_database(given) as database:
        owner = database.write(lambda rows: owner_named(rows, given.owner, now))
        made = create_share(wish, owner.id, now)
        database.write(lambda rows: rows.shares.create(made.record))
    link = link_of(addresses, made.token)
    if given.json:
        print_json({**_shown(made.record, owner, now), "link": link})
    else:
        print(f"share {made.record.id}, {_end(made.record)}; the link is shown this once:", file=sys.stderr, flush=True)
        print(link)


def _list(given: argparse.Namespace) -> None:
    with open_database(given) as database:
        known, shares = database.read(lambda rows: (owners(rows), list(_shares(rows))))
    now = time.time()
    shown = [_shown(share, known[share.owner], now) for share in shares]
    shown = [row for row in shown if given.owner in (None, row["owner"])]
    if given.json:
        print_json(shown)
        return
    for row in shown:
        note = f"  {row['note']}" if row["note"] else ""
        ends = f", until {row['expires']}" if row["expires"] and row["state"] == "good" else ""
        uses = f"{row['use_count']} uses" + (f", {row['uses_left']} left" if row["uses_left"] is not None else "")
        tunnels, may = ", ".join(row["tunnels"]), ", ".join(row["permissions"])
        print(f"{row['id']}  {row['state']}{ends}  {row['owner']}: {tunnels} ({may}), {uses}{note}")


def _revoke(given: argparse.Namespace) -> None:
    with open_database(given) as database:
        done = database.write(lambda rows: rows.shares.revoke(given.id, time.time()))
    if not done:
        raise NoSuchShare(f"there is no share {given.id}, or it was revoked before: egtunnel share list shows all")
    if given.json:
        print_json({"id": given.id, "state": "revoked"})
    else:
        print(f"revoked {given.id}")


def _shares(rows: Rows) -> Iterator[ShareRecord]:
    after = ""
    while page := rows.shares.list(after=after, most=PAGE):
        yield from page
        after = page[-1].id


def _end(share: ShareRecord) -> str:
    return "without end" if share.expires is None else f"until {moment(share.expires)}"


def _shown(share: ShareRecord, owner: OwnerRecord, now: float) -> dict[str, Any]:
    over = share.expires is not None and share.expires <= now
    state = "revoked" if share.revoked is not None else "expired" if over else "good"
    return {
        "id": share.id,
        "owner": owner.name,
        "state": state,
        "tunnels": list(share.tunnels),
        "services": [dict(service) for service in share.services],
        "permissions": list(share.permissions),
        "created": moment(share.created),
        "expires": moment(share.expires),
        "uses_left": share.uses_left,
        "use_count": share.use_count,
        "last_used": moment(share.last_used),
        "passphrase": bool(share.passphrase),
        "note": share.note,
    }
