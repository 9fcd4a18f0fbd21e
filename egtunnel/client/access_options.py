"""The options that say who may use a tunnel: rules for visitors, which the relay keeps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from egtunnel.client.certificate_options import CERTIFICATE_PARAMETERS, read_visitor_ca
from egtunnel.client.limit_options import LIMIT_PARAMETERS, read_limits
from egtunnel.client.login_options import LOGIN_PARAMETERS, read_login
from egtunnel.client.webhook_options import WEBHOOK_PARAMETERS, read_webhook
from egtunnel.configuration import folder, parameter
from egtunnel.errors import ConfigurationError

__all__ = ["ACCESS_PARAMETERS", "WEB_ONLY", "read_access"]

LONGEST = 32_768
"""Characters of all rules of a tunnel as JSON (docs/protocol.md, "Access rules")."""
FILE = 1_048_576
SHORTEST_KEY, LONGEST_KEY = 16, 1_024
WORDS = ("loopback", "private")


def network(text: str) -> str:
    """Reads an address, a network, or a word for some of them."""
    if text.lower() not in WORDS:
        try:
            ip_network(text)
        except ValueError:
            raise ValueError(
                "it must be a network such as 10.0.0.0/8 or 2001:db8::/32, an address, loopback or private"
            ) from None
    return text.lower()


def https(text: str) -> str:
    """Reads an address; the relay says whether it fetches from there."""
    if not text.startswith(("https://", "http://")) or not text.isascii() or not text.isprintable():
        raise ValueError("it must be an address such as https://login.example.com/keys")
    return text


ACCESS_PARAMETERS: list[list[Any]] = [
    parameter(
        "allow", None, "only visitors from this network (address, network, loopback, private)", network, repeated=True
    ),
    parameter("deny", None, "no visitors from this network", network, repeated=True),
    parameter("basic", None, "only who gives a name and password: USER:HASH, the hash bcrypt or argon2", repeated=True),
    parameter("basic-file", None, "a file of such lines, as htpasswd -B makes it", folder, repeated=True),
    parameter("api-key", None, "only who shows one of the keys in this file, one on each line", folder, repeated=True),
    parameter("jwt-jwks", None, "only who shows a bearer token signed by one of the keys at this URL", https),
    parameter("jwt-issuer", None, "the issuer that the token has to name"),
    parameter("jwt-audience", None, "the audience that the token has to name"),
    *WEBHOOK_PARAMETERS,
    *LIMIT_PARAMETERS,
    *LOGIN_PARAMETERS,
    *CERTIFICATE_PARAMETERS,
]
WEB_ONLY = tuple(row[0] for row in ACCESS_PARAMETERS if row[0] not in ("allow", "deny") and row not in LIMIT_PARAMETERS)
"""What a TCP tunnel cannot have."""


def read_access(values: Mapping[str, Any]) -> str:
    """The rules that the options describe, as JSON; empty: none. Raises ConfigurationError, which repeats no secret."""
    rules: dict[str, Any] = {"private": True} if values.get("private") else {}
    for name in ("allow", "deny"):
        if values[name]:
            rules[name] = list(values[name])
    users = _users(values["basic"] or (), values["basic-file"] or ())
    if users:
        rules["basic"] = users
    keys = [digest for file in values["api-key"] or () for digest in _keys(file)]
    if keys:
        rules["api-keys"] = list(dict.fromkeys(keys))
    if token := _issuer(values):
        rules["jwt"] = token
    webhook = read_webhook(values)
    if webhook is not None:
        rules["webhook"] = webhook
    if limits := read_limits(values):
        rules["limits"] = limits
    login = read_login(values)
    if login is not None:
        rules["oidc"] = login
    authority = read_visitor_ca(values)
    if authority:
        rules["visitor-ca"] = authority
    text = json.dumps(rules, sort_keys=True, separators=(",", ":")) if rules else ""
    if len(text) > LONGEST:
        raise ConfigurationError("the rules for visitors of one tunnel are too many")
    return text


def _issuer(values: Mapping[str, Any]) -> dict[str, str]:
    found = {name: values[f"jwt-{name}"] for name in ("jwks", "issuer", "audience")}
    missing = [name for name, value in found.items() if not value]
    if missing and len(missing) < len(found):
        raise ConfigurationError(f"--jwt-jwks, --jwt-issuer and --jwt-audience go together: no --jwt-{missing[0]}")
    return {} if missing else found


def _users(lines: Sequence[str], files: Sequence[Path]) -> dict[str, str]:
    users: dict[str, str] = {}
    given = [("--basic", line) for line in lines]
    given += [(f"--basic-file {file}", line) for file in files for line in _lines(file, "--basic-file")]
    for source, line in given:
        user, colon, kept = line.partition(":")
        if not colon or not user or not kept.startswith("$"):
            raise ConfigurationError(
                f"{source}: it must be USER:HASH, the hash that of bcrypt or argon2 ($2b$..., $argon2id$...)"
            )
        if user in users:
            raise ConfigurationError(f"{source}: the user {user!r} is there twice")
        users[user] = kept
    return users


def _keys(file: Path) -> list[str]:
    digests = []
    for line in _lines(file, "--api-key"):
        if not SHORTEST_KEY <= len(line) <= LONGEST_KEY or not (line.isascii() and line.isprintable()) or " " in line:
            raise ConfigurationError(
                f"--api-key {file}: a key is {SHORTEST_KEY} to {LONGEST_KEY} characters of ASCII without blanks"
            )
        digests.append(hashlib.sha256(line.encode("ascii")).hexdigest())
    return digests


def _lines(file: Path, option: str) -> list[str]:
    """The lines of a file that say something. An empty file would open the tunnel: it is a mistake."""
    try:
        with file.open("rb") as content:
            text = content.read(FILE + 1)
        lines = [line.strip() for line in text.decode("utf-8").splitlines()]
    except OSError as error:
        raise ConfigurationError(f"{option}: cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{option}: {file} is not UTF-8") from None
    found = [line for line in lines if line and not line.startswith("#")]
    if not found or len(text) > FILE:
        raise ConfigurationError(f"{option}: there is nothing in {file}, or too much")
    return found
