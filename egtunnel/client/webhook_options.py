"""The options of a tunnel that takes signed requests only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from egtunnel.configuration import folder, parameter
from egtunnel.errors import ConfigurationError

__all__ = ["WEBHOOK_PARAMETERS", "read_webhook"]

KINDS = ("github", "stripe", "slack", "standard", "hmac")
OWN_HEADER = "x-signature"
SHORTEST, LONGEST, FILE = 8, 2_048, 65_536
_HEADER = re.compile("[a-z0-9-]{1,64}")


def kind(text: str) -> str:
    """Reads one of the kinds, ``hmac`` also with a header of its own: ``hmac:X-My-Signature``."""
    name, colon, header = text.lower().partition(":")
    if name not in KINDS or (colon and (name != "hmac" or not _HEADER.fullmatch(header))):
        raise ValueError(f"it must be {', '.join(KINDS)} or hmac:HEADER")
    return f"{name}:{header or OWN_HEADER}" if name == "hmac" else name


WEBHOOK_PARAMETERS: list[list[Any]] = [
    parameter("webhook", None, "only requests that this service has signed: " + ", ".join(KINDS) + ", hmac:NAME", kind),
    parameter("webhook-secret-file", None, "with --webhook, a file with the secret; more lines: more secrets", folder),
]


def read_webhook(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """The rule that the options describe, or none. Raises ConfigurationError, which repeats no secret."""
    wanted, file = values["webhook"], values["webhook-secret-file"]
    if wanted is None and file is None:
        return None
    if wanted is None or file is None:
        raise ConfigurationError("--webhook and --webhook-secret-file go together")
    name, _, header = wanted.partition(":")
    return {"kind": name, "header": header, "secrets": _secrets(file)}


def _secrets(file: Path) -> list[str]:
    try:
        with file.open("rb") as content:
            text = content.read(FILE + 1)
        lines = [line.strip() for line in text.decode("utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise ConfigurationError(f"--webhook-secret-file: cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"--webhook-secret-file: {file} is not UTF-8") from None
    if not lines or len(text) > FILE or not all(SHORTEST <= len(line) <= LONGEST for line in lines):
        raise ConfigurationError(
            f"--webhook-secret-file: in {file} there must be lines of {SHORTEST} to {LONGEST} characters"
        )
    return list(dict.fromkeys(lines))
