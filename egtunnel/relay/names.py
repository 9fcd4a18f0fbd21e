"""Public names, pure: what may be asked for, and readable stable names for those who ask for nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from ipaddress import ip_address

from egtunnel.errors import Refused
from egtunnel.relay.words import ADJECTIVES, NOUNS

__all__ = ["RESERVED", "candidates", "canonical", "check_host", "check_name"]

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""One label of a host name (RFC 1123 section 2.1), lower case."""
LONGEST_HOST = 253
READABLE = 100
"""How many readable candidates there are before they become digits of a hash."""

RESERVED = frozenset(
    "_acme-challenge _dmarc _domainkey _mta-sts admin administrator api app-admin auth autoconfig autodiscover "
    "blog cdn connect console dashboard dns docs egtunnel email ftp healthz help host hostmaster http https imap "
    "inspect internal isatap localhost login mail metrics mta-sts mx noc ns ns1 ns2 ns3 ns4 oauth openid pop pop3 "
    "postmaster relay root security share smtp ssl sso staff status support sysadmin tls tunnel webmail webmaster wpad "
    "www".split()
)
"""Names that stand for the relay itself, or that other programs believe: nobody can claim them."""


def canonical(host: str) -> str:
    """The one form in which names and hosts are kept and compared: lower case, without the root's dot.

    Letters beyond ASCII stay as they are, since some of them (the Kelvin sign) have a lower case within it.
    """
    return (host.lower() if host.isascii() else host).removesuffix(".")


def check_name(wanted: str) -> str:
    """The canonical form of a wanted name; raises Refused ``bad-name`` or ``reserved-name``."""
    name = canonical(wanted)
    if name in RESERVED:
        raise Refused("reserved-name", f"the name {name} is reserved")
    if LABEL.fullmatch(name) is None or name.startswith("xn--"):
        raise Refused(
            "bad-name", f"{_shown(wanted)} cannot be a name: 1 to 63 letters, digits and hyphens, no hyphen at the ends"
        )
    return name


def check_host(wanted: str, domain: str) -> str:
    """The canonical form of a wanted host name of the client's own; raises Refused ``bad-host``."""
    host = canonical(wanted)
    labels = host.split(".")
    if len(host) > LONGEST_HOST or len(labels) < 2 or not all(map(LABEL.fullmatch, labels)) or _is_address(host):
        raise Refused("bad-host", f"{_shown(wanted)} is no host name")
    if host == domain or host.endswith(f".{domain}"):
        raise Refused("bad-host", f"{host} is below the relay's own domain: ask for a name instead")
    return host


def _shown(text: str) -> str:
    return ascii(text[:80])


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return host.rpartition(".")[2].isdigit()  # browsers read 127.1 as an address, too
    return True


def candidates(client_id: str, key: str) -> Iterator[str]:
    """Names for a client's target, always the same in the same order: ``adjective-noun-NN``, at last longer."""
    turn = 0
    while True:
        digest = sha256(f"{client_id}\0{key}\0{turn}".encode("utf-8", "surrogatepass")).digest()
        value = int.from_bytes(digest[:8], "big")
        value, adjective = divmod(value, len(ADJECTIVES))
        value, noun = divmod(value, len(NOUNS))
        suffix = f"{10 + value % 90}" if turn < READABLE else digest[8:14].hex()
        yield f"{ADJECTIVES[adjective]}-{NOUNS[noun]}-{suffix}"
        turn += 1
