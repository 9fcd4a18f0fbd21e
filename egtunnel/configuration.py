"""Options of both daemons: command line over environment over TOML file; and where state is kept."""

from __future__ import annotations

import getopt
import os
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ClassVar, Self

from twisted.python.usage import Options, UsageError

__all__ = [
    "ConfiguredOptions",
    "default_state",
    "folder",
    "interface",
    "needs_restart",
    "number",
    "one_of",
    "parameter",
    "port",
    "state_home",
    "whole_number",
]


def state_home(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder below which egtunnel keeps what must survive a restart.

    ``$XDG_STATE_HOME/egtunnel`` if that is set, else ``/var/lib/egtunnel`` for root and ``~/.local/state/egtunnel`` for
    everybody else.
    """
    home = environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(home):  # the XDG specification: a relative path is to be ignored
        return Path(home) / "egtunnel"
    if os.geteuid() == 0:
        return Path("/var/lib/egtunnel")
    return Path(os.path.expanduser("~")) / ".local" / "state" / "egtunnel"


def default_state(environ: Mapping[str, str] = os.environ) -> Path:
    """The relay's state folder when ``--state`` is absent; a client on the same account reads ``token`` in it."""
    return state_home(environ) / "relay"


class _Reader:
    """How a value of one option is read; a ValueError of ``read`` becomes a UsageError that names the option."""

    def __init__(self, name: str, read: Callable[[str], Any], repeated: bool) -> None:
        self.name = name
        self.read = read
        self.repeated = repeated

    def __call__(self, value: str) -> Any:
        try:
            return self.read(value)
        except ValueError as error:
            raise UsageError(f"--{self.name} {value}: {error}") from None


def parameter(
    name: str, default: Any, text: str, read: Callable[[str], Any] = str, *, repeated: bool = False
) -> list[Any]:
    """One row of ``optParameters``.

    A ``repeated`` option may be given several times, in the file as a list, and its value is a list of what ``read``
    made of each; where nobody gives it, a list of the default, or an empty one where that is None.
    """
    return [name, None, default, text, _Reader(name, read, repeated)]


def interface(text: str) -> str:
    """Reads an address of this machine."""
    try:
        return str(ip_address(text.strip("[]")))
    except ValueError:
        raise ValueError("it must be an IP address of this machine, such as 127.0.0.1 or ::") from None


def one_of(*words: str) -> Callable[[str], str]:
    """Reads one of these words."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"it must be {' or '.join(words)}")
        return text

    return read


def number(least: float, most: float) -> Callable[[str], float]:
    """Reads a number, say of seconds, from ``least`` to ``most``."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ValueError("it must be a number") from None
        if not least <= value <= most:
            raise ValueError(f"it must be from {least:g} to {most:g}")
        return value

    return read


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Reads a whole number from ``least`` to ``most``."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit()):
            raise ValueError("it must be a whole number")
        if len(text) > 18 or not least <= int(text) <= most:
            raise ValueError(f"it must be from {least} to {most}")
        return int(text)

    return read


port = whole_number(1, 65535)
"""Reads a port number."""


def folder(text: str) -> Path:
    """Reads a path; made absolute at once, because twistd may change the working directory later."""
    if not text:
        raise ValueError("it must name a folder or a file")
    first = _FOLDER.get()
    path = Path(text).expanduser()
    return path.absolute() if first is None else first / path


_FOLDER: ContextVar[Path | None] = ContextVar("folder", default=None)
"""Where relative paths begin while options are read again: where they began the first time."""


def needs_restart(options: Iterable[str]) -> str:
    """One line about options that have another value now and cannot be applied."""
    return f"reload: not applied before a restart: {', '.join(f'--{option}' for option in options)}"


class ConfiguredOptions(Options):
    """Options that may also come from the environment and from the TOML file that ``--config`` names.

    What the command line says wins over the environment, the environment over the file, the file over the defaults. The
    file's keys are the options' long names. A subclass with a ``postOptions`` of its own calls this one's first.
    """

    optParameters: ClassVar[list[list[Any]]] = []
    environment: ClassVar[dict[str, str]] = {}
    """Option to environment variable."""
    tables: ClassVar[frozenset[str]] = frozenset()
    """Keys of the file that are no options; what they hold is left in ``self.file`` for the subclass to read."""

    def __init__(self) -> None:
        super().__init__()
        self.given: set[str] = set()
        self._named: list[tuple[str, str]] = []
        self.file: dict[str, Any] = {}
        self._arguments: list[str] = []
        self._folder = Path("/")

    @property
    def command_line(self) -> tuple[list[str], Path]:
        """The arguments that were read, and the folder in which relative paths begin."""
        return self._arguments, self._folder

    def again(self) -> Self:
        """The same command line beside the environment and the file as they are now. Raises UsageError."""
        fresh = type(self)()
        token = _FOLDER.set(self._folder)
        try:
            fresh.parseOptions(self._arguments)
        finally:
            _FOLDER.reset(token)
        return fresh

    def differing(self, other: ConfiguredOptions, names: Iterable[str]) -> list[str]:
        """Those of the options ``names`` that have another value in ``other``, sorted."""
        return sorted(name for name in names if self[name] != other[name])

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Note which options the command line names, then read them."""
        arguments = list(sys.argv[1:] if options is None else options)
        try:
            named, _ = getopt.getopt(arguments, self.shortOpt, self.longOpt)
        except getopt.error:
            named = []  # the call below says what is wrong
        self._named = [(self.synonyms.get(option.lstrip("-"), ""), value) for option, value in named]
        self.given = {option for option, _ in self._named}
        self._arguments, self._folder = arguments, _FOLDER.get() or Path.cwd()
        super().parseOptions(arguments)

    def postOptions(self) -> None:
        """Fill in what the command line did not say."""
        for row in self.optParameters:
            if row[4].repeated:
                self.opts[row[0]] = self._repeated(row)
        for option, variable in self.environment.items():
            value = os.environ.get(variable)
            if option not in self.given and value:
                self._set(option, value, f"${variable}")
                self.given.add(option)
        if self["config"] is not None:
            self._read_file(self["config"])

    def _read_file(self, path: Path) -> None:
        values = _toml(path)
        self.file = {key: values.pop(key) for key in self.tables & values.keys()}
        for option, value in values.items():
            if option not in self.opts or option == "config":
                raise UsageError(f"{path}: {_unknown(option, self.opts.keys() | self.tables)}")
            if option not in self.given:
                self._set(option, value, str(path))

    def _repeated(self, row: list[Any]) -> list[Any]:
        """All values of the command line, of which Twisted keeps the last; else the default."""
        option, default, read = row[0], row[2], row[4]
        if option in self.given:
            return [read(value) for name, value in self._named if name == option]
        return [] if default is None else [default]

    def _set(self, option: str, value: Any, source: str) -> None:
        if option in self._flags():
            if not isinstance(value, bool):
                raise UsageError(f"{source}: {option} must be true or false")
            self.opts[option] = int(value)
            return
        read = next(row[4] for row in self.optParameters if row[0] == option)
        if read.repeated:
            values = value if isinstance(value, list) else [value]
            self.opts[option] = [_value(read, each, source) for each in values]
        else:
            self.opts[option] = _value(read, value, source)

    def _flags(self) -> set[str]:
        return {row[0] for row in getattr(self, "optFlags", [])}


def _value(read: _Reader, value: Any, source: str) -> Any:
    """One value of the environment or the file."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        several = " or a list of them" if read.repeated else ""
        raise UsageError(f"{source}: {read.name} must be a text or a number{several}")
    try:
        return read(str(value))
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from None


def _toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise UsageError(f"--config: cannot read {path}: {error.strerror}") from None
    except ValueError as error:  # bad TOML, or not UTF-8
        raise UsageError(f"--config: {path}: {error}") from None


def _unknown(option: str, known: set[str]) -> str:
    near = get_close_matches(option, known, n=1)
    return f"unknown option {option!r}" + (f"; is {near[0]!r} meant?" if near else "")
