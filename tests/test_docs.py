"""The documents say what the code does: every option, default, limit and refusal, and no link that leads nowhere."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import egtunnel
from egtunnel.client import reload as client_reload
from egtunnel.client.tap import Options as ClientOptions
from egtunnel.client.tunnel_tables import TUNNEL_FLAGS, TUNNEL_PARAMETERS
from egtunnel.relay import reload as relay_reload
from egtunnel.relay.tap import Options as RelayOptions

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
REFERENCE = (ROOT / "docs" / "reference.md").read_text()
DAEMONS = {"egrelay": RelayOptions, "egclient": ClientOptions}
OF_TWISTD = {"help", "version", "nodaemon", "pidfile", "logfile"}


def section(title: str) -> str:
    """A section of the reference, up to the next of the same rank."""
    _, found, rest = REFERENCE.partition(f"\n## {title}\n")
    assert found, f"the reference has no section {title!r}"
    return rest.partition("\n## ")[0]


def parameters(daemon: str) -> dict[str, Any]:
    """The daemon's options that take a value, with their defaults."""
    rows: list[list[Any]] = DAEMONS[daemon].optParameters
    return {row[0]: row[2] for row in rows}


def flags(daemon: str) -> set[str]:
    """The daemon's options that take no value."""
    return {row[0] for row in getattr(DAEMONS[daemon], "optFlags", [])}


def rows(text: str) -> dict[str, list[str]]:
    """The rows of the tables in a text: the first cell, without its backquotes, to the others."""
    found = {}
    for line in text.splitlines():
        if line.startswith("| `"):
            first, *others = [cell.strip() for cell in line.strip("|").split("|")]
            found[re.findall(r"`([^`]+)`", first)[0]] = others
    return found


@pytest.mark.parametrize("daemon", sorted(DAEMONS))
def test_the_reference_lists_every_option_and_no_other(daemon: str) -> None:
    """One row for each, ``--name``."""
    listed = {name.removeprefix("--").partition(" ")[0] for name in rows(section(f"Options of {daemon}"))}
    assert listed == parameters(daemon).keys() | flags(daemon)


@pytest.mark.parametrize("daemon", sorted(DAEMONS))
def test_the_reference_gives_the_default_of_every_option(daemon: str) -> None:
    """The second cell, where the code has a default."""
    listed = {
        name.removeprefix("--").partition(" ")[0]: cells
        for name, cells in rows(section(f"Options of {daemon}")).items()
    }
    for name, default in parameters(daemon).items():
        if default not in (None, ""):
            assert listed[name][0] == f"`{shown(default)}`", name


def test_the_reference_says_which_options_belong_to_a_tunnel() -> None:
    """What may stand in a ``[[tunnel]]`` table."""
    text = section("Configuration file")
    for row in [*TUNNEL_PARAMETERS, *TUNNEL_FLAGS]:
        assert f"`{row[0]}`" in text


RELOAD = (ROOT / "docs" / "howto" / "reload.md").read_text()
APPLIED = {"egrelay": relay_reload.LIVE, "egclient": client_reload.LIVE}


def at_sighup(daemon: str) -> list[tuple[str, bool]]:
    """The options in the daemon's table of the page about SIGHUP, and whether each is said to be applied."""
    table = RELOAD.partition(f"\n## Options of {daemon}\n")[2].partition("\n## ")[0]
    lines = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| `--")]
    return [
        (option, said.strip().startswith("applied"))
        for options, said in lines
        for option in re.findall(r"`--([a-z-]+)`", options)
    ]


@pytest.mark.parametrize("daemon", sorted(DAEMONS))
def test_what_sighup_does_with_every_option_is_written_down(daemon: str) -> None:
    """Each once; what is applied live is what the code says."""
    listed = at_sighup(daemon)
    assert len(listed) == len(dict(listed))
    assert dict(listed).keys() == (parameters(daemon).keys() | flags(daemon)) - {"config"}
    assert {option for option, applied in listed if applied} == APPLIED[daemon]


def modules() -> Iterator[Any]:
    """Every module of the package, except the taps' plugin file."""
    for found in pkgutil.walk_packages(egtunnel.__path__, "egtunnel."):
        yield importlib.import_module(found.name)


def shown(value: Any) -> str:
    """A default as the reference writes it."""
    if isinstance(value, range):
        return f"{value[0]}-{value[-1]}"
    if isinstance(value, tuple):
        return " to ".join(map(shown, value))
    return f"{value:g}" if isinstance(value, float) and value < 1_000_000 else str(value)


def limits() -> dict[str, str]:
    """``Class.field`` to default, of every limit in the package that is not itself a set of limits."""
    found = {}
    for module in modules():
        for name, cls in inspect.getmembers(module, inspect.isclass):
            if name.endswith("Limits") and attrs.has(cls) and cls.__module__ == module.__name__:
                for field in attrs.fields(cls):
                    if not isinstance(field.default, attrs.Factory):  # type: ignore[arg-type]
                        found[f"{name}.{field.name}"] = shown(field.default)
    return found


def test_the_reference_lists_every_limit_with_its_default_and_no_other() -> None:
    """One row for each field of a ``...Limits`` class."""
    listed = {name: cells[0] for name, cells in rows(section("Limits")).items()}
    assert listed == limits()


def refusals() -> set[str]:
    """The reasons of every ``Refused(...)`` in the package that are written as a text."""
    found = set()
    for file in (ROOT / "egtunnel").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Refused" and node.args:
                reason = node.args[0]
                if isinstance(reason, ast.Constant):
                    found.add(str(reason.value))
    return found


def test_the_reference_lists_every_refusal() -> None:
    """What the relay may say to a client, by the word that stands in the protocol."""
    assert refusals() <= rows(section("Refusals")).keys()


def test_every_link_between_the_documents_leads_somewhere() -> None:
    """Files, relative to the page."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def command_lines(text: str) -> Iterator[tuple[str, list[str]]]:
    """Daemon and option names of each ``twistd`` line in a text."""
    for daemon, rest in re.findall(r"twistd [^\n`]*?\b(egrelay|egclient)\b([^\n`|#]*)", text):
        yield daemon, re.findall(r"(?<!\S)--([a-z][a-z-]*)", rest)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_in_an_example_exists(page: Path) -> None:
    """README and all documents."""
    for daemon, options in command_lines(page.read_text()):
        unknown = set(options) - parameters(daemon).keys() - flags(daemon) - OF_TWISTD
        assert not unknown, f"{page.name}: {daemon} has no {unknown}"


def test_the_examples_are_found_at_all() -> None:
    """The search above would else find nothing and never fail."""
    assert list(command_lines("`twistd -n egclient --local 8080 --nonsense x`")) == [
        ("egclient", ["local", "nonsense"])
    ]
    assert sum(len(list(command_lines(page.read_text()))) for page in PAGES) > 10


def test_the_readme_begins_with_the_two_commands() -> None:
    """What a stranger types first."""
    readme = (ROOT / "README.md").read_text()
    assert -1 < readme.find("make demo") < readme.find("make test") < readme.find("twistd")
