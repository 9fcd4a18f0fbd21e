"""The hot path compiled by mypyc: the same source, the same tests, and a tunnel through it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.daemons import ROOT, Client, Daemon, Relay
from tests.integration.rawhttp import get
from tests.integration.upstreams import Nginx

COMPILED = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["egtunnel"]["compiled"]
HEADERS = Path(sysconfig.get_paths()["include"]) / "Python.h"
SHOW = "import importlib, sys; print(*(importlib.import_module(name).__file__ for name in sys.argv[1:]), sep='\\n')"

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(
        shutil.which("cc") is None or not HEADERS.exists(), reason="no C compiler, or no headers of this Python"
    ),
]


def run(folder: Path, *words: str, **more: str) -> str:
    """What Python prints that is given these words, in this folder and with the package that is there."""
    environ = {**os.environ, "PYTHONPATH": str(folder), **more}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environ, capture_output=True, text=True, timeout=350, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, built as ``make compiled`` does, but without the C compiler's optimizing."""
    folder = tmp_path_factory.mktemp("compiled")
    for name in ("docs", "egtunnel", "tests", "twisted"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for name in ("pyproject.toml", "setup.cfg", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    run(folder, "setup.py", "--quiet", "build_ext", "--inplace", EGTUNNEL_COMPILE="1", EGTUNNEL_OPTIMIZE="0")
    return folder


def test_the_modules_that_are_named_are_compiled(built: Path) -> None:
    """And found before their source."""
    names = [name.removesuffix(".py").replace("/", ".") for name in COMPILED]
    files = run(built, "-c", SHOW, *names).splitlines()
    assert len(files) == len(names) > 20
    assert all(file.startswith(str(built)) and file.endswith(".so") for file in files), files


def test_their_tests_pass(built: Path) -> None:
    """Those of the mux and of what HTTP passes on, the random ones included."""
    quiet = ("-m", "pytest", "-q", "-p", "no:cacheprovider")
    said = run(built, *quiet, "tests/mux", "tests/ingress/http/test_passing.py")
    assert " passed" in said


def test_a_tunnel_goes_through_them(
    built: Path, tmp_path: Path, start: Callable[[Daemon], Daemon], nginx: Nginx
) -> None:
    """Both daemons, compiled."""
    environ = {"PYTHONPATH": str(built)}
    relay = Relay(tmp_path, env=environ)
    start(relay)
    relay.ready()
    client = Client(relay, "--name", "app", "--local", f"127.0.0.1:{nginx.port}", env=environ)
    start(client)
    client.url()
    digest = nginx.file("large", 8 << 20)
    body = get(relay.port, relay.host("app"), "/large").body
    assert hashlib.sha256(body).hexdigest() == digest
    for daemon in (relay, client):
        maps = Path(f"/proc/{daemon.pid}/maps").read_text()
        assert "mypyc" in maps and str(built) in maps
        daemon.assert_calm()


def test_an_ordinary_build_needs_no_compiler(tmp_path: Path) -> None:
    """Unless asked for, nothing is compiled."""
    said = run(ROOT, "setup.py", "--quiet", "build_ext", f"--build-temp={tmp_path}", EGTUNNEL_COMPILE="", PATH="/")
    assert said == ""
