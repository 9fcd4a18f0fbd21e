"""The options of one tunnel, the same on the command line and in a ``[[tunnel]]`` table."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import attrs
from twisted.python.usage import UsageError

from egtunnel.client.access_options import ACCESS_PARAMETERS, WEB_ONLY, read_access
from egtunnel.client.header_options import HEADER_PARAMETERS, read_policy
from egtunnel.client.offers import Offer
from egtunnel.client.proxy_header import VERSIONS
from egtunnel.client.targets import Target, parse_target
from egtunnel.client.termination import KeyFiles
from egtunnel.client.upstream_tls import TlsTrust
from egtunnel.configuration import folder, one_of, parameter, whole_number
from egtunnel.errors import ConfigurationError

__all__ = ["TUNNEL_FLAGS", "TUNNEL_PARAMETERS", "read_offer"]

NAME_LENGTH = 253


def _word(text: str) -> str:
    if not text or len(text) > NAME_LENGTH or not text.isprintable() or " " in text:
        raise ValueError(f"it must be one word of at most {NAME_LENGTH} characters")
    return text


def _sticky(text: str) -> str:
    if text not in ("address", "cookie"):
        raise ValueError("it must be address or cookie")
    return text


TUNNEL_PARAMETERS: list[list[Any]] = [
    parameter("local", None, "the service to share: 8080, host:8080, http(s)://host:port, unix:/path, file:/folder..."),
    parameter("name", None, "the public name wanted below the relay's domain", _word),
    parameter("host", None, "a public host name of your own", _word),
    parameter("tcp", None, "share a TCP port, not HTTP: the public port wanted, 0 for any", whole_number(0, 65535)),
    parameter("udp", None, "share a UDP port: the public port wanted, 0 for any", whole_number(0, 65535)),
    parameter(
        "tls", None, "share TLS as it is: the name or host that visitors ask for; only the service has the key", _word
    ),
    parameter("tls-terminate", None, "CERT KEY: PEM files, to end the TLS of --tls here", folder, repeated=True),
    parameter("sticky", None, "with --share-name, what keeps a visitor at one client: address or cookie", _sticky),
    parameter("host-header", None, "what to rewrite the Host of requests to", _word),
    *HEADER_PARAMETERS,
    parameter("proxy-protocol", None, "tell the service who its visitor is: v1 or v2", one_of(*VERSIONS)),
    parameter("local-ca", None, "PEM file of the authority to believe for an https:// target", folder),
    *ACCESS_PARAMETERS,
]
TUNNEL_FLAGS: list[list[Any]] = [
    ["private", None, "only clients that --visit it, and who has a link of a share, come in"],
    ["share-name", None, "other clients may serve the same name, host or port, too"],
    ["local-insecure", None, "believe any certificate of an https:// target"],
    ["listing", None, "of a file:/folder, show also what is in folders without an index page"],
]
_FLAGS = tuple(row[0] for row in TUNNEL_FLAGS)


def read_offer(table: Mapping[str, Any], place: str) -> Offer:
    """The offer that a table, or the command line, describes. ``place`` begins what is said of a mistake.

    Raises ``ConfigurationError``.
    """
    values = {row[0]: None for row in TUNNEL_PARAMETERS} | dict.fromkeys(_FLAGS, False)
    for key, value in table.items():
        if key not in values:
            near = get_close_matches(key, values, n=1)
            raise ConfigurationError(f"{place}unknown option {key!r}" + (f"; is {near[0]!r} meant?" if near else ""))
        values[key] = _value(key, value, place)
    if values["local"] is None:
        raise ConfigurationError(f"{place}local is missing: which service?")
    try:
        return _offer(values)
    except ConfigurationError as error:
        raise ConfigurationError(f"{place}{error.text}") from None


def _value(key: str, value: Any, place: str) -> Any:
    if key in _FLAGS:
        if value not in (0, 1):
            raise ConfigurationError(f"{place}{key}: it must be true or false")
        return bool(value)
    row = next(row for row in TUNNEL_PARAMETERS if row[0] == key)
    if value is None:
        return None
    if row[4].repeated:
        return [_text(key, each, place) for each in (value if isinstance(value, list) else [value])]
    return _text(key, value, place)


def _text(key: str, value: Any, place: str) -> Any:
    row = next(row for row in TUNNEL_PARAMETERS if row[0] == key)
    if isinstance(value, (bool, float, list, dict)):
        raise ConfigurationError(f"{place}{row[0]}: it must be a text or a whole number")
    try:
        return row[4](str(value))
    except UsageError as error:
        raise ConfigurationError(f"{place}{error}") from None


def _offer(values: Mapping[str, Any]) -> Offer:
    share = _share(values)
    trust = TlsTrust(authority=str(values["local-ca"] or ""), verify=not values["local-insecure"])
    target = parse_target(values["local"], values["listing"])
    share["announce"] = _announce(values, target)
    if values["tls"] is not None:
        return _tls(values, target, trust, share)
    if values["udp"] is not None:
        return _udp(values, target, share)
    if values["tls-terminate"]:
        raise ConfigurationError("--tls-terminate ends the TLS of a TLS tunnel: give --tls NAME, too")
    if values["tcp"] is not None:
        for other in ("name", "host", "host-header", *(row[0] for row in HEADER_PARAMETERS)):
            if values[other]:
                raise ConfigurationError(f"--tcp and --{other} do not go together: a TCP tunnel has a port, no name")
        if values["private"]:
            raise ConfigurationError(
                "--tcp and --private do not go together: a private tunnel has no public port; leave --tcp out, "
                "give it a --name, and any TCP service is reached by egclient --visit"
            )
        for other in WEB_ONLY:
            if values[other]:
                raise ConfigurationError(f"--tcp and --{other} do not go together: --{other} is a rule for HTTP")
        return Offer(target, kind="tcp", port=values["tcp"], trust=trust, access=read_access(values), **share)
    if values["name"] is not None and values["host"] is not None:
        raise ConfigurationError("--name and --host do not go together: ask for one of them")
    return Offer(
        target,
        name=values["name"] or "",
        host=values["host"] or "",
        host_header=values["host-header"] or "",
        policy=read_policy(values),
        trust=trust,
        access=read_access(values),
        **share,
    )


def _udp(values: Mapping[str, Any], target: Target, share: dict[str, Any]) -> Offer:
    """Datagrams to a host and port."""
    others = ("tcp", "name", "host", "host-header", "private", "proxy-protocol", "tls-terminate", *WEB_ONLY)
    for other in (*others, *(row[0] for row in HEADER_PARAMETERS)):
        if values[other] or (other == "tcp" and values[other] is not None):
            raise ConfigurationError(f"--udp and --{other} do not go together: datagrams know nothing of that")
    if target.address is None:
        raise ConfigurationError("--udp needs --local PORT or --local HOST:PORT, which takes datagrams")
    return Offer(target, kind="udp", port=values["udp"], access=read_access(values), **share)


def _tls(values: Mapping[str, Any], target: Target, trust: TlsTrust, share: dict[str, Any]) -> Offer:
    """Bytes from the visitor's first one on; HTTP is nobody's business on the way."""
    others = ("tcp", "udp", "name", "host", "host-header", "private", *WEB_ONLY)
    for other in (*others, *(row[0] for row in HEADER_PARAMETERS)):
        if values[other] or (other in ("tcp", "udp") and values[other] is not None):
            raise ConfigurationError(f"--tls and --{other} do not go together: what passes in TLS is not looked at")
    files = values["tls-terminate"] or []
    if len(files) > 2:
        raise ConfigurationError("--tls-terminate takes two files: CERT KEY")
    if target.folder and not files:
        raise ConfigurationError("--tls passes TLS on, and files speak none: give --tls-terminate CERT KEY, too")
    if not files:
        target = attrs.evolve(target, secure_host="")  # it is the visitor who speaks TLS with the service
    wanted = values["tls"].rstrip(".")
    return Offer(
        target,
        kind="tls",
        name="" if "." in wanted else wanted,
        host=wanted if "." in wanted else "",
        trust=trust,
        access=read_access(values),
        terminate=KeyFiles(files[0], files[-1]) if files else None,
        **share,
    )


def _announce(values: Mapping[str, Any], target: Target) -> str:
    if values["proxy-protocol"] and target.folder:
        raise ConfigurationError("--proxy-protocol is for services: the files of a folder need not know their visitor")
    return values["proxy-protocol"] or ""


def _share(values: Mapping[str, Any]) -> dict[str, Any]:
    """How the place is shared with other clients."""
    share, sticky = values["share-name"], values["sticky"] or ""
    if share and not (values["name"] or values["host"] or values["tcp"] or values["tls"] or values["udp"]):
        raise ConfigurationError(
            "--share-name: name what is shared, with --name, --host, --tls, --tcp PORT or --udp PORT"
        )
    if sticky and not share:
        raise ConfigurationError("--sticky is for names that several clients serve: give --share-name, too")
    if sticky == "cookie" and any(values[kind] is not None for kind in ("tcp", "tls", "udp")):
        raise ConfigurationError("--sticky cookie is for HTTP: this tunnel can do --sticky address")
    return {"share": share, "sticky": sticky}
