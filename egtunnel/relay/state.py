"""What the relay keeps in its state folder: the token, and who owns which public name."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from egtunnel.errors import ConfigurationError
from egtunnel.relay.reservations import Reservations

__all__ = ["Ledger", "State", "read_token"]

TOKEN_BYTES = 32
SHORTEST_TOKEN = 16
LONGEST_TOKEN = 1024
LARGEST_LEDGER = 64 * 1024 * 1024
DELAY = 0.05
"""Seconds from a change to the moment it is written down, so that a hundred changes are one write."""
RETRY = 10.0
"""Seconds until a write that failed is tried again."""


class State:
    """The state folder, held by one relay at a time.

    :param say: takes one line for a person.
    :raises ConfigurationError: the folder cannot be used; from every method.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder = folder
        self._say = say
        self._lock = -1

    def hold(self) -> None:
        """Make the folder (0700) where it is missing, and take its lock."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise ConfigurationError(f"another egrelay uses the state folder {self.folder}: give --state") from None
        except OSError as error:
            raise ConfigurationError(f"cannot use the state folder {self.folder}: {error.strerror}") from None

    def release(self) -> None:
        """Let another relay have the folder."""
        descriptor, self._lock = self._lock, -1
        if descriptor >= 0:
            os.close(descriptor)

    def token(self) -> str:
        """The token in the file ``token``, made at the first start and readable by its owner only."""
        file = self.folder / "token"
        try:
            if not file.exists():
                write_atomically(file, (secrets.token_urlsafe(TOKEN_BYTES) + "\n").encode())
            elif stat.S_IMODE(file.stat().st_mode) & 0o077:
                file.chmod(0o600)
                self._say(f"{file} could be read by others; it is readable by its owner only now")
        except OSError as error:
            raise ConfigurationError(f"cannot keep the token in {file}: {error.strerror}") from None
        return read_token(file)


def read_token(file: Path) -> str:
    """The token in a file. Raises ConfigurationError."""
    try:
        with file.open("rb") as content:
            if os.fstat(content.fileno()).st_mode & stat.S_IROTH:
                raise ConfigurationError(f"{file} can be read by everybody; give it the mode 0600")
            token = content.read(LONGEST_TOKEN + 2).decode("utf-8", "replace").strip()
    except OSError as error:
        raise ConfigurationError(f"cannot read the token in {file}: {error.strerror}") from None
    if not SHORTEST_TOKEN <= len(token) <= LONGEST_TOKEN or not (token.isascii() and token.isprintable()):
        raise ConfigurationError(
            f"{file} holds no token: one line of {SHORTEST_TOKEN} to {LONGEST_TOKEN} ASCII characters"
        )
    return token


class Ledger:
    """Keeps reservations in a file, written a moment after a change; what cannot be read or written is said, not fatal.

    ``renamed``: ids of tokens that stand in the file as others, which they will have once they are read from it.

    :param wall: the time of day, in seconds.
    """

    log = Logger()

    def __init__(
        self,
        file: Path,
        reservations: Reservations,
        clock: IReactorTime,
        wall: Callable[[], float],
        say: Callable[[str], None],
    ) -> None:
        self._file = file
        self._reservations = reservations
        self._clock = clock
        self._wall = wall
        self._say = say
        self._call: IDelayedCall | None = None
        self._failing = self._frozen = False
        self.renamed: dict[str, str] = {}

    def load(self) -> None:
        """Read the file; a damaged one is set aside."""
        try:
            if not self._file.exists():
                return
            if self._file.stat().st_size > LARGEST_LEDGER:
                raise ValueError("too large")
            items: Any = json.loads(self._file.read_bytes())["reservations"]
            self._reservations.load(items, self._clock.seconds(), self._wall())
        except OSError as error:
            self._say(f"cannot read {self._file} ({error.strerror}): all public names are free")
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            self._set_aside()

    def changed(self) -> None:
        """Something is to be written, soon."""
        if self._call is None and not self._frozen:
            self._call = self._clock.callLater(DELAY, self.write)

    def write(self) -> None:
        """Write now."""
        call, self._call = self._call, None
        if call is not None and call.active():
            call.cancel()
        items = self._reservations.to_json(self._clock.seconds(), self._wall())
        for item in items:
            item["token"] = self.renamed.get(item["token"], item["token"])
        try:
            write_atomically(self._file, json.dumps({"reservations": items}, indent=0).encode())
        except OSError as error:
            if not self._failing:
                self.log.error("cannot write {file}: {error}; trying on", file=str(self._file), error=error.strerror)
            self._failing = True
            self._call = self._clock.callLater(RETRY, self.write)
        else:
            self._failing = False

    def thaw(self) -> None:
        """Write again, after ``close``."""
        self._frozen = False
        self.changed()

    def close(self) -> None:
        """Write what has not been written yet, and nothing more."""
        self._frozen = True
        if self._call is not None:
            self.write()
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _set_aside(self) -> None:
        aside = self._file.with_suffix(".damaged")
        self._say(f"{self._file} is damaged; it is kept as {aside.name}, and public names are free that were in it")
        try:
            self._file.replace(aside)
        except OSError as error:
            self.log.error("cannot set {file} aside: {error}", file=str(self._file), error=error.strerror)


def write_atomically(file: Path, content: bytes) -> None:
    """Replace a file as a whole, 0600; after a crash there is the old content or the new, nothing between."""
    temporary = file.with_name(f"{file.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(file)
    folder = os.open(file.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
