"""Who this client is: a random id kept in a file, so that a restarted client is known again and two never share one.

The relay keeps public names for an id. A client therefore takes the id that served the most of its tunnels before: it
stays the same client when a tunnel is added to its file or a name gets another target, while a second client beside it,
with the same tunnels or with others, has an id of its own.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import attrs

from egtunnel.errors import ConfigurationError

__all__ = ["Identity", "IdentityLimits", "hold_identity"]

ID_BYTES = 16
_ID = re.compile(r"[0-9a-f]{32}")
_MARK = re.compile(r"[0-9a-f]{16}")


@attrs.frozen
class IdentityLimits:
    """``ids``: kept for one relay; beyond it the one unused for longest is given up.

    ``tunnels``: remembered for one id. ``size``: of a file, in bytes.
    """

    ids: int = 200
    tunnels: int = 200
    size: int = 16_384


@attrs.define
class Identity:
    """A client's id and, while held, the lock on its file. Not secret: without the token it opens nothing."""

    client_id: str
    file: Path
    _descriptor: int

    def remember(self, tunnels: Iterable[str], limits: IdentityLimits | None = None) -> None:
        """These are the client's tunnels now, as for ``hold_identity``; others it had are remembered behind them.

        Raises OSError if that cannot be written.
        """
        limits = limits or IdentityLimits()
        if self._descriptor >= 0:
            _, known = _read(self._descriptor, limits.size)
            _remember(self._descriptor, self.client_id, _marks(tunnels), known, limits)

    def release(self) -> None:
        """Let another process have the id."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def hold_identity(
    folder: Path,
    relay: str,
    tunnels: Iterable[str],
    random: Callable[[int], bytes],
    limits: IdentityLimits | None = None,
) -> Identity:
    """Take the free id that knows the most of these tunnels, else a new one; hold it until ``release`` or process end.

    :param folder: the state folder; files are ``<folder>/client/<digest of the relay>-<n>.json``, the owner's only.
    :param tunnels: one stable text for each tunnel; their order does not matter.
    :raises OSError: the folder or a file cannot be made.
    :raises ConfigurationError: so many clients of this relay run already that no id is free.
    """
    limits = limits or IdentityLimits()
    marks = _marks(tunnels)
    place = folder / "client"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(place / "lock"):
        file, descriptor = _choose(place, _digest(relay), set(marks), limits)
        try:
            client_id, known = _read(descriptor, limits.size)
            if not known & set(marks):
                client_id = ""  # a new file, a spoilt one, or one given up
                known = set()
            client_id = client_id or random(ID_BYTES).hex()
            _remember(descriptor, client_id, marks, known, limits)
        except BaseException:
            os.close(descriptor)
            raise
    return Identity(client_id, file, descriptor)


def _marks(tunnels: Iterable[str]) -> list[str]:
    return [_digest(tunnel) for tunnel in sorted(set(tunnels))]


def _remember(descriptor: int, client_id: str, marks: list[str], known: set[str], limits: IdentityLimits) -> None:
    remembered = [*marks, *sorted(known - set(marks))][: limits.tunnels]
    _write(descriptor, {"id": client_id, "tunnels": remembered})


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One process chooses at a time, or two that start together could take each other's."""
    descriptor = _open(lock)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _open(file: Path) -> int:
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _choose(place: Path, relay: str, marks: set[str], limits: IdentityLimits) -> tuple[Path, int]:
    """The file to use, open and locked: the best that is free, else a new one, else the free one unused for longest."""
    files = sorted(place.glob(f"{relay}-*.json"), key=lambda file: (len(file.name), file.name))
    best, best_score, oldest = None, 0, None
    for file in files:
        descriptor = _locked(file)
        if descriptor is None:
            continue
        score = len(_read(descriptor, limits.size)[1] & marks)
        if score > best_score:
            best, best_score = file, score
        if oldest is None or file.stat().st_mtime < oldest.stat().st_mtime:
            oldest = file
        os.close(descriptor)
    if best is None and len(files) < limits.ids:
        taken = {file.name for file in files}
        best = next(place / name for n in range(1, limits.ids + 1) if (name := f"{relay}-{n}.json") not in taken)
    file_to_use = best or oldest
    held = _locked(file_to_use) if file_to_use is not None else None
    if file_to_use is None or held is None:
        raise ConfigurationError(f"{limits.ids} clients of this relay run already")
    return file_to_use, held


def _locked(file: Path) -> int | None:
    """The file, open and locked; None if a running client has it."""
    descriptor = _open(file)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _read(descriptor: int, size: int) -> tuple[str, set[str]]:
    """The id in the file and the marks of its tunnels; nothing of either if we did not write it so."""
    try:
        value = json.loads(os.pread(descriptor, size, 0))
        client_id, marks = value["id"], value["tunnels"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return "", set()
    if not isinstance(client_id, str) or not _ID.fullmatch(client_id) or not isinstance(marks, list):
        return "", set()
    return client_id, {mark for mark in marks if isinstance(mark, str) and _MARK.fullmatch(mark)}


def _write(descriptor: int, value: object) -> None:
    content = json.dumps(value).encode()
    os.pwrite(descriptor, content, 0)
    os.ftruncate(descriptor, len(content))
    os.fsync(descriptor)
