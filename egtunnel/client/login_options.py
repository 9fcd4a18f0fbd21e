"""The options of a tunnel whose visitors log in with an OpenID Connect provider."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from egtunnel.configuration import folder, parameter
from egtunnel.errors import ConfigurationError

__all__ = ["LOGIN_PARAMETERS", "read_login"]

LONGEST = 2_048


def issuer(text: str) -> str:
    """Reads the address of a provider; the relay says whether it asks there."""
    if not text.startswith(("https://", "http://")) or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("it must be an address such as https://login.example.com")
    return text


def allowed(text: str) -> str:
    """Reads who may come in; the relay looks closer."""
    known = text == "*" or "@" in text or text.startswith(("group:", "subject:"))
    if not known or text in ("@", "group:", "subject:") or len(text) > LONGEST:
        raise ValueError("it must be ada@example.com, @example.com, group:NAME, subject:ID or * for everybody")
    return text


LOGIN_PARAMETERS: list[list[Any]] = [
    parameter("oidc-issuer", None, "visitors log in with this OpenID Connect provider: https://...", issuer),
    parameter("oidc-client-id", None, "what the provider calls this tunnel"),
    parameter("oidc-client-secret-file", None, "a file with the secret that the provider gave for it", folder),
    parameter(
        "oidc-allow",
        None,
        "who may come in: ada@example.com, @example.com, group:NAME, subject:ID, * for everybody",
        allowed,
        repeated=True,
    ),
    parameter(
        "oidc-scope", None, "what to ask the provider for beside openid and email, such as groups", repeated=True
    ),
]


def read_login(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """The rule that the options describe, or none. Raises ConfigurationError, which repeats no secret."""
    given = [row[0] for row in LOGIN_PARAMETERS if values[row[0]]]
    if not given:
        return None
    for needed in ("oidc-issuer", "oidc-client-id", "oidc-allow"):
        if needed not in given:
            raise ConfigurationError(f"--{given[0]}: --{needed} is missing")
    file = values["oidc-client-secret-file"]
    return {
        "issuer": values["oidc-issuer"],
        "client_id": values["oidc-client-id"],
        "client_secret": _secret(file) if file is not None else "",
        "allow": list(values["oidc-allow"]),
        "scopes": list(values["oidc-scope"] or ()),
    }


def _secret(file: Path) -> str:
    try:
        with file.open("rb") as content:
            secret = content.read(LONGEST + 2).decode("ascii").strip()
    except OSError as error:
        raise ConfigurationError(f"--oidc-client-secret-file: cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"--oidc-client-secret-file: {file} is not ASCII") from None
    if not secret or len(secret) > LONGEST or not secret.isprintable():
        raise ConfigurationError(f"--oidc-client-secret-file: in {file} there must be one line with the secret")
    return secret
