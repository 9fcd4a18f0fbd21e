"""Where the token comes from: a text, a file, or the file that a relay on this account writes."""

from __future__ import annotations

from pathlib import Path

import attrs

from egtunnel.errors import ConfigurationError, Refused

__all__ = ["TokenSource", "token_from_file", "token_from_text"]

TOKEN_SIZE = 1024


@attrs.frozen
class TokenSource:
    """Gives the token when called; a file is read anew each time, so that a changed token needs no restart.

    ``awaited``: the file may come later, when the relay is started.
    """

    text: str = attrs.field(default="", repr=False)
    file: Path | None = None
    awaited: bool = False

    def __call__(self) -> str:
        """The token. Raises ``Refused``: to be tried again, except where a file that should be ours cannot be read."""
        if self.file is None:
            return self.text
        try:
            return _read(self.file)
        except FileNotFoundError:
            hint = ": start the relay on this account, or give --token-file" if self.awaited else ""
            raise Refused("no-token", f"there is no token in {self.file} yet{hint}", retry=True) from None
        except OSError as error:
            raise Refused("no-token", f"cannot read the token in {self.file}: {error.strerror}") from None
        except ConfigurationError as error:
            raise Refused("no-token", error.text, retry=True) from None

    def check(self) -> None:
        """Read the file now; raises ``ConfigurationError``."""
        try:
            self()
        except Refused as error:
            raise ConfigurationError(error.text) from None


def token_from_text(text: str) -> TokenSource:
    """A token that was given as such; raises ``ConfigurationError`` without repeating it."""
    return TokenSource(text=_checked(text, "the token"))


def token_from_file(file: Path, *, awaited: bool = False) -> TokenSource:
    """A token in a file, with or without an end of line."""
    return TokenSource(file=file, awaited=awaited)


def _read(file: Path) -> str:
    with file.open("rb") as content:
        return _checked(content.read(TOKEN_SIZE + 2).decode("utf-8", "replace"), f"the token in {file}")


def _checked(text: str, name: str) -> str:
    token = text.strip()
    if not token or len(token) > TOKEN_SIZE or not (token.isascii() and token.isprintable()):
        raise ConfigurationError(f"{name} is no token: it must be one line of 1 to {TOKEN_SIZE} ASCII characters")
    return token
