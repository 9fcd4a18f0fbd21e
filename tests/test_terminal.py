"""What a person at the terminal sees; the exit status is that of real twistd processes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogLevel, capturedLogs
from twisted.python.usage import Options

from egtunnel.terminal import Terminal, own_pidfile

CHECKOUT = Path(__file__).parents[1]

PLUGIN = """
    from twisted.application.service import Service
    from twisted.python.usage import Options
    from zope.interface import implementer
    from twisted.plugin import IPlugin
    from twisted.application.service import IServiceMaker
    from egtunnel.terminal import Terminal, own_pidfile

    class Doomed(Service):
        def startService(self):
            from twisted.internet import reactor
            self.terminal.say("here I am")
            {when}

    class DoomedOptions(Options):
        def postOptions(self):
            own_pidfile(self, "doomed")

    @implementer(IPlugin, IServiceMaker)
    class Maker:
        tapname, description, options = "doomed", "fails", DoomedOptions
        def makeService(self, options):
            from twisted.internet import reactor
            service = Doomed()
            service.terminal = Terminal(reactor)
            return service

    doomed = Maker()
"""


def run_doomed(folder: Path, when: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """twistd with a service that fails, in a folder of its own."""
    plugins = folder / "twisted" / "plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    (plugins / "doomed_plugin.py").write_text(textwrap.dedent(PLUGIN.format(when=when)))
    return subprocess.run(
        [*twistd(), *arguments, "doomed"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{CHECKOUT}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def twistd() -> list[str]:
    return [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]


@pytest.mark.parametrize(
    "when",
    [
        "self.terminal.fail('all is lost')",
        "reactor.callLater(0.05, self.terminal.fail, 'all is lost')",
        "self.terminal.fail('all is lost'); self.terminal.fail('twice')",
        "reactor.callLater(0.01, self.terminal.fail, 'all is lost'); reactor.callLater(0.01, reactor.stop)",
    ],
)
def test_a_failure_is_one_line_and_status_1(tmp_path: Path, when: str) -> None:
    """Whenever it comes: one line on stderr, none of it in the log, no traceback, status 1, no pid file left."""
    ended = run_doomed(tmp_path, when, "-n")
    assert ended.returncode == 1
    assert ended.stderr == "all is lost\n"
    assert "here I am\n" in ended.stdout.splitlines(keepends=True)
    assert "all is lost" not in ended.stdout
    assert "Traceback" not in ended.stdout
    assert "Server Shut Down" in ended.stdout
    assert list(tmp_path.glob("*.pid")) == []


def test_a_pid_file_asked_for_is_removed(tmp_path: Path) -> None:
    """twistd still cleans up behind a failure."""
    ended = run_doomed(
        tmp_path, "reactor.callLater(0.05, self.terminal.fail, 'all is lost')", "-n", "--pidfile", "x.pid"
    )
    assert (ended.returncode, ended.stderr) == (1, "all is lost\n")
    assert not (tmp_path / "x.pid").exists()


def test_in_the_background_the_log_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """After a fork there is nobody to print for."""
    terminal = Terminal(Clock())
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with capturedLogs() as events:
        terminal.say("here I am")
    assert [(event["log_level"], event["line"]) for event in events] == [(LogLevel.info, "here I am")]
    assert capsys.readouterr().out == ""


def test_a_closed_pipe_is_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """``egrelay | head -1`` goes on after the first line; the log is told instead."""
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    monkeypatch.setattr(sys, "__stdout__", stream)
    with capturedLogs() as events:
        Terminal(MemoryReactorClock()).say("anybody?")
    with suppress(BrokenPipeError):
        stream.close()
    assert [event["line"] for event in events] == ["anybody?"]


class Parent(Options):
    """As much of twistd's options as counts."""

    optParameters = [["pidfile", None, "twistd.pid", ""]]  # noqa: RUF012
    optFlags = [["nodaemon", "n", ""], ["debug", "b", ""]]  # noqa: RUF012


@pytest.mark.parametrize(
    ("arguments", "pidfile"),
    [
        (["-n"], ""),
        (["-b"], ""),
        ([], "egrelay.pid"),
        (["--pidfile", "mine.pid"], "mine.pid"),
        (["-n", "--pidfile", "mine.pid"], "mine.pid"),
    ],
)
def test_pid_files_of_two_daemons_do_not_clash(arguments: list[str], pidfile: str) -> None:
    """In the foreground there is none, in the background one by the daemon's name; the user's wish counts more."""
    parent, options = Parent(), Options()
    parent.parseOptions(arguments)
    options.parent = parent
    own_pidfile(options, "egrelay")
    assert parent["pidfile"] == pidfile
