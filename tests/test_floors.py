"""No library older than the release that closed its known holes, neither asked for nor installed."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
FLOORS = {
    "twisted": "26.10.0",  # seven CVEs, among them smuggling by bare CR and LF
    "autobahn": "26.10.1",  # decompression without a bound
    "pyopenssl": "26.0.0",  # CVE-2026-27448: a failed SNI callback was ignored
    "cryptography": "50",
    "h2": "4.4.1",  # two Hosts
}
ASKED_FOR = {"twisted", "autobahn", "pyopenssl", "cryptography", "h2"}


def requirements() -> dict[str, Requirement]:
    """What pyproject.toml asks for, by lower-case name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [Requirement(line) for line in project["dependencies"]]
    return {requirement.name.lower(): requirement for requirement in asked}


@pytest.mark.parametrize(("name", "floor"), FLOORS.items())
def test_what_is_installed_is_not_below_the_floor(name: str, floor: str) -> None:
    """The environment these tests run in."""
    try:
        installed = metadata.version(name)
    except metadata.PackageNotFoundError:
        if name in ASKED_FOR:
            raise
        pytest.skip(f"{name} is not installed, and nothing here needs it")
    assert Version(installed) >= Version(floor)


def just_below(floor: str) -> str:
    """A version that is lower than the floor, and nothing to speak of lies between."""
    *front, last = [int(part) for part in f"{floor}.0.0".split(".")[:3]]
    if last:
        return ".".join(map(str, [*front, last - 1]))
    major, minor = front
    return f"{major}.{minor - 1}.9999" if minor else f"{major - 1}.9999"


@pytest.mark.parametrize("name", sorted(ASKED_FOR))
def test_pyproject_does_not_accept_less_than_the_floor(name: str) -> None:
    """An install from the metadata alone gets the floor or newer."""
    specifier = requirements()[name].specifier
    assert not specifier.contains(just_below(FLOORS[name]))
    assert specifier.contains(metadata.version(name))


def test_every_dependency_has_a_tested_range() -> None:
    """A lower and an upper bound each, and what is installed lies between."""
    for name, requirement in requirements().items():
        operators = {clause.operator for clause in requirement.specifier}
        assert ">=" in operators, name
        assert operators & {"<", "<="}, name
        assert requirement.specifier.contains(metadata.version(name)), name


@pytest.mark.parametrize(
    ("floor", "below"), [("26.10.0", "26.9.9999"), ("26.10.1", "26.10.0"), ("26.0.0", "25.9999"), ("50", "49.9999")]
)
def test_just_below(floor: str, below: str) -> None:
    """The arithmetic that the test above rests on."""
    assert just_below(floor) == below
    assert Version(below) < Version(floor)
