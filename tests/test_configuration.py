"""Options from the command line, the environment and a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

import pytest
from twisted.python.usage import UsageError

from egtunnel.configuration import (
    ConfiguredOptions,
    default_state,
    folder,
    needs_restart,
    number,
    parameter,
    port,
    state_home,
    whole_number,
)


class Sample(ConfiguredOptions):
    """Options of every sort."""

    environment: ClassVar[dict[str, str]] = {"colour": "SAMPLE_COLOUR", "word": "SAMPLE_WORD"}
    tables: ClassVar[frozenset[str]] = frozenset({"thing"})
    optParameters: ClassVar[list[list[Any]]] = [
        parameter("port", 7070, "a port", port),
        parameter("hold", 10.0, "seconds", number(0, 300)),
        parameter("colour", "red", "a word"),
        parameter("door", 80, "a number of an option that may be repeated", port, repeated=True),
        parameter("word", None, "a text of an option that may be repeated", repeated=True),
        parameter("config", None, "a file", folder),
    ]
    optFlags: ClassVar[list[list[Any]]] = [["bold", None, "a flag"]]


def parsed(*arguments: str) -> Sample:
    options = Sample()
    options.parseOptions(list(arguments))
    return options


def written(tmp_path: Path, text: str) -> str:
    file = tmp_path / "sample.toml"
    file.write_text(text)
    return str(file)


def test_the_defaults_stand_alone() -> None:
    """Nothing said is a valid configuration."""
    options = parsed()
    assert (options["port"], options["hold"], options["colour"], options["bold"]) == (7070, 10.0, "red", 0)


def test_the_command_line_beats_the_environment_beats_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each source fills in what a nearer one left open, wherever --config stands."""
    file = written(tmp_path, 'port = 1\nhold = 2.5\ncolour = "green"\nbold = true\n')
    for order in (["--config", file, "--port", "5"], ["--port=5", f"--config={file}"], ["--po", "5", "--conf", file]):
        options = parsed(*order)
        assert (options["port"], options["hold"], options["colour"], options["bold"]) == (5, 2.5, "green", 1)
    monkeypatch.setenv("SAMPLE_COLOUR", "blue")
    assert parsed("--config", file)["colour"] == "blue"
    assert parsed("--config", file, "--colour", "grey")["colour"] == "grey"


def test_an_option_given_with_its_default_value_still_beats_the_file(tmp_path: Path) -> None:
    """What counts is that it was said."""
    assert parsed("--config", written(tmp_path, "port = 1"), "--port", "7070")["port"] == 7070


def test_a_repeated_option_is_a_list_whoever_gives_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each value of the command line, in order; a list or one value of the file; one value of the environment."""
    assert (parsed()["door"], parsed()["word"]) == ([80], [])
    assert parsed("--door", "1", "--word=a", "--doo=2", "--word", "a")["door"] == [1, 2]
    assert parsed("--word=a", "--word", "a")["word"] == ["a", "a"]
    file = written(tmp_path, 'door = [443, 80]\nword = "x"\n')
    assert parsed("--config", file)["door"] == [443, 80]
    assert parsed("--config", file)["word"] == ["x"]
    assert parsed("--config", file, "--door", "7")["door"] == [7]
    monkeypatch.setenv("SAMPLE_WORD", "blue, green")
    assert parsed("--config", file)["word"] == ["blue, green"]


def test_every_value_of_a_repeated_option_is_checked() -> None:
    """Not the last alone."""
    with pytest.raises(UsageError, match=r"^--door x: it must be"):
        parsed("--door", "x", "--door", "1")


def test_lists_of_one_parse_are_not_those_of_the_next() -> None:
    """A value that is appended somewhere must not turn up elsewhere."""
    parsed()["word"].append("x")
    assert parsed()["word"] == []


def test_tables_are_left_to_the_daemon(tmp_path: Path) -> None:
    """Keys that are no options, and are known, are kept as they are."""
    options = parsed("--config", written(tmp_path, "[[thing]]\na = 1\n[[thing]]\na = 2\n"))
    assert options.file == {"thing": [{"a": 1}, {"a": 2}]}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("prot = 1", "unknown option 'prot'; is 'port' meant?"),
        ("xyzzy = 1", "unknown option 'xyzzy'"),
        ('config = "other.toml"', "unknown option 'config'"),
        ("port = 70000", "--port 70000: it must be from 1 to 65535"),
        ("port = true", "port must be a text or a number"),
        ("port = [1]", "port must be a text or a number"),
        ("door = [1, 70000]", "--door 70000: it must be from 1 to 65535"),
        ("door = [true]", "door must be a text or a number or a list of them"),
        ("door = [[1]]", "door must be a text or a number or a list of them"),
        ("bold = 1", "bold must be true or false"),
        ("port = ", "Invalid value"),
        ("\udcff", "utf-8"),
    ],
)
def test_a_bad_file_is_refused_with_its_name_and_the_option(tmp_path: Path, text: str, complaint: str) -> None:
    """Whatever is wrong in the file is said with the file's name."""
    file = tmp_path / "sample.toml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError) as refused:
        parsed("--config", str(file))
    assert str(file) in str(refused.value)
    assert complaint in str(refused.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """No traceback for a name typed wrong."""
    with pytest.raises(UsageError, match=f"--config: cannot read {tmp_path}/none.toml: No such file"):
        parsed("--config", f"{tmp_path}/none.toml")


@pytest.mark.parametrize("text", ["0", "65536", "-1", "x", "", "1.5", "٣", "9" * 5000])
def test_a_bad_value_is_refused_with_the_options_name(text: str) -> None:
    """Twisted's own words do not say which option it was."""
    with pytest.raises(UsageError, match=r"^--port .*: it must be"):
        parsed(f"--port={text}")


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "301", "soon"])
def test_numbers_have_bounds(text: str) -> None:
    """Neither endless nor negative."""
    with pytest.raises(ValueError, match="it must be"):
        number(0, 300)(text)


def test_whole_numbers_include_their_bounds() -> None:
    """From least to most."""
    read = whole_number(1, 3)
    assert (read("1"), read("3")) == (1, 3)


def test_paths_are_made_absolute_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """twistd changes the working directory when it goes into the background."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert folder("here") == tmp_path / "here"
    assert folder("~/there") == Path("/home/me/there")
    with pytest.raises(ValueError, match="folder"):
        folder("")


@pytest.mark.parametrize(
    ("environ", "user", "home"),
    [
        ({"XDG_STATE_HOME": "/x"}, 1000, "/x/egtunnel"),
        ({"XDG_STATE_HOME": "/x"}, 0, "/x/egtunnel"),
        ({"XDG_STATE_HOME": "relative"}, 1000, "/home/me/.local/state/egtunnel"),
        ({}, 1000, "/home/me/.local/state/egtunnel"),
        ({}, 0, "/var/lib/egtunnel"),
    ],
)
def test_where_state_is_kept(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], user: int, home: str) -> None:
    """The XDG folder, the home folder, or for root the system's."""
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setenv("HOME", "/home/me")
    assert state_home(environ) == Path(home)
    assert default_state(environ) == Path(home) / "relay"


def test_options_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line is that of the first time, and so is where relative paths begin; the rest is new."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sample.toml").write_text('hold = 1\nport = 1\ncolour = "blue"\ndoor = [1]\n')
    first = parsed("--config", "sample.toml", "--port", "8080", "--word", "x", "--bold")
    (tmp_path / "sample.toml").write_text("hold = 2\nport = 2\ndoor = [1, 2]\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("SAMPLE_COLOUR", "green")
    for second in (first.again(), first.again().again()):
        assert (second["hold"], second["port"], second["colour"], second["door"]) == (2, 8080, "green", [1, 2])
        assert (second["word"], second["bold"], second["config"]) == (["x"], 1, tmp_path / "sample.toml")
        assert first.differing(second, first.keys()) == ["colour", "door", "hold"]
        assert first.differing(second, ["port", "hold"]) == ["hold"]
    assert folder("here") == tmp_path / "elsewhere" / "here"
    assert (first["hold"], first["colour"]) == (1, "blue")


def test_a_mistake_found_again_is_a_usage_error(tmp_path: Path) -> None:
    """As at the start; and the next try is as good as the first."""
    file = tmp_path / "sample.toml"
    file.write_text("hold = 1\n")
    first = parsed("--config", str(file))
    file.write_text("hold = 1000\n")
    with pytest.raises(UsageError, match="hold 1000"):
        first.again()
    file.write_text("hold = 3\n")
    assert first.again()["hold"] == 3
    assert needs_restart(["hold", "port"]) == "reload: not applied before a restart: --hold, --port"
