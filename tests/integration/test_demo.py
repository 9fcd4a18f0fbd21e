"""The demo, as a stranger starts it: it shows a site through a tunnel, checks itself, and leaves nothing behind."""

from __future__ import annotations

import http.client
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from demo.site import PAGES
from tests.integration.daemons import ROOT, Daemon

DEMO = [sys.executable, "-m", "demo.run"]
PUBLIC = r"^(http://\S+)$"


@pytest.fixture
def demo(tmp_path: Path, start: Callable[[Daemon], Daemon]) -> Callable[..., Daemon]:
    """``demo("--check")``: the demo with its temporary files below the test's folder."""

    def run(*options: str) -> Daemon:
        return start(Daemon([*DEMO, *options], ROOT, {"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}))

    return run


def children(pid: int) -> set[int]:
    """The processes that a process has started and that still run."""
    found = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        found |= {int(child) for child in (task / "children").read_text().split()}
    return found


def fetch(public: str, path: str) -> tuple[int, bytes]:
    """Status and body of a page of a ``*.localhost`` address."""
    url = urlsplit(public)
    connection = http.client.HTTPConnection("127.0.0.1", url.port or 80, timeout=20)
    connection.request("GET", path, headers={"Host": url.netloc})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def test_the_demo_checks_itself(demo: Callable[..., Daemon], tmp_path: Path) -> None:
    """``make demo CHECK=1``: status 0, every page compared, nothing left."""
    running = demo("--check")
    assert running.exit_status(90) == 0, running.output
    for page in PAGES.iterdir():
        assert f"demo/pages/{page.name}" in running.output
    assert "/clock" in running.output
    assert list(tmp_path.iterdir()) == []
    running.assert_calm()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_of_it(demo: Callable[..., Daemon], tmp_path: Path, sign: signal.Signals) -> None:
    """The page is there before; afterwards no process and no file is left, and the demo's own status is 0."""
    running = demo()
    public = running.wait_for(PUBLIC, 90).group(1)
    assert fetch(public, "/") == (200, (PAGES / "index.html").read_bytes())
    processes = children(running.pid)
    assert len(processes) == 3
    running.wait_for("Ctrl-C")
    assert running.stop(sign, 30) == 0
    assert not [pid for pid in processes if Path(f"/proc/{pid}").exists()]
    assert list(tmp_path.iterdir()) == []
    running.assert_calm()


def test_a_process_that_dies_ends_the_demo_with_one_line(demo: Callable[..., Daemon], tmp_path: Path) -> None:
    """Not a page that no longer answers, but a status and a reason."""
    running = demo()
    running.wait_for(PUBLIC, 90)
    running.wait_for("Ctrl-C")
    relay = next(pid for pid in children(running.pid) if b"egrelay" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(relay, signal.SIGKILL)
    assert running.exit_status(30) == 1
    assert re.search(r"^demo: the relay ended with status -9", running.output, re.MULTILINE)
    assert list(tmp_path.iterdir()) == []
    running.assert_calm()


def test_a_wrong_page_fails_the_check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The check compares what came with the files; it would not do with a page that only looks right."""
    from demo import check
    from demo.processes import DemoError

    (tmp_path / "index.html").write_text("another page")

    class Answer:
        status, reason = 200, "OK"

        def read(self) -> bytes:
            return b"not that page"

    class Connection:
        def request(self, *_: object, **__: object) -> None:
            """Nothing is sent."""

        def getresponse(self) -> Answer:
            return Answer()

        def close(self) -> None:
            """Nothing is open."""

    monkeypatch.setattr(check, "_connect", lambda _: (Connection(), {}))
    with pytest.raises(DemoError, match="is not equal"):
        check.check("http://demo.localhost:1", tmp_path, lambda _: None)
