"""What is built and installed: a wheel that shows both daemons, a source distribution that holds everything."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import egtunnel

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".tox", "build", "dist", "*.egg-info", "__pycache__", ".*_cache")
IMPORTED_AS = {"argon2": "argon2_cffi", "jwt": "pyjwt", "openssl": "pyopenssl", "zope": "zope.interface"}
"""Import name to distribution, both lower case, where they differ."""


def run(*argv: str | Path, cwd: Path, **environment: str) -> str:
    """The output of a program that must end well; none of this checkout is on its path."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in argv],
        cwd=cwd,
        env=kept | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with wheel and source distribution, built from a copy, so that nothing is left in the checkout.

    setuptools of this environment builds: no network is needed.
    """
    pytest.importorskip("build")
    folder = tmp_path_factory.mktemp("built")
    copy = folder / "source"
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, copy, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` folder of a fresh environment outside the checkout with the wheel in it.

    The libraries come from the environment the tests run in, by a path file; egtunnel itself must not.
    """
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=True, symlinks=True)
    python = folder / "bin" / "python"
    wheel = next(built.glob("*.whl"))
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    # sys.path.append and not a plain path line: the latter would run the path file of this checkout's editable install.
    libraries = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    (site / "libraries.pth").write_text("".join(f"import sys; sys.path.append({path!r})\n" for path in libraries))
    return folder / "bin"


def twistd(installed: Path, cwd: Path, *options: str) -> str:
    """What twistd prints; its script lies in the libraries' environment, so it is called as that script calls it."""
    call = "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"
    return run(installed / "python", "-c", call, *options, cwd=cwd)


def test_twistd_shows_both_daemons_from_an_installed_wheel(installed: Path, tmp_path: Path) -> None:
    """From another folder, ``twistd --help`` names them, and the package that answers is the installed one."""
    where = run(installed / "python", "-c", "import egtunnel; print(egtunnel.__file__)", cwd=tmp_path).strip()
    assert Path(where).is_relative_to(installed.parent)
    shown = twistd(installed, tmp_path, "--help")
    assert re.search(r"^ +egrelay +\w", shown, re.MULTILINE)
    assert re.search(r"^ +egclient +\w", shown, re.MULTILINE)


@pytest.mark.parametrize("daemon", ["egrelay", "egclient"])
def test_the_installed_daemon_says_its_options(installed: Path, tmp_path: Path, daemon: str) -> None:
    """The whole package is in the wheel: loading the daemon's options imports all of it."""
    shown = twistd(installed, tmp_path, daemon, "--help")
    assert "--config" in shown
    assert "--state" in shown


def test_the_installed_command_says_its_version(installed: Path, tmp_path: Path) -> None:
    """The script that pip made of it."""
    assert run(installed / "egtunnel", "--version", cwd=tmp_path) == f"egtunnel {egtunnel.__version__}\n"
    assert "revoke" in run(installed / "egtunnel", "token", "--help", cwd=tmp_path)


def test_the_wheel_holds_the_package_and_the_plugin_and_nothing_else(built: Path) -> None:
    """Every module of the checkout is in it; tests, caches and an ``__init__`` in twisted/ are not."""
    names = set(zipfile.ZipFile(next(built.glob("*.whl"))).namelist())
    code = {name for name in names if ".dist-info/" not in name}
    modules = {str(file.relative_to(ROOT)) for file in (ROOT / "egtunnel").rglob("*.py")}
    assert modules <= code
    assert {name for name in code if not name.startswith("egtunnel/")} == {"twisted/plugins/egtunnel_plugins.py"}
    assert not [name for name in code if "__pycache__" in name or name.endswith("dropin.cache")]


def test_the_source_distribution_holds_everything(built: Path) -> None:
    """Tests, samples, documents and tools come along."""
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in (
        "tests/__init__.py",
        "tests/test_packaging.py",
        "tests/integration/conftest.py",
        "etc/egrelay.toml",
        "etc/egrelay.service",
        "etc/nginx.conf",
        "docs/tutorial.md",
        "docs/howto/systemd.md",
        "demo/pages/index.html",
        "bench/__main__.py",
        "twisted/plugins/egtunnel_plugins.py",
        "tox.ini",
        "Makefile",
        ".ci/run",
        "LICENSE",
        "CHANGELOG.md",
    ):
        assert name in names
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_the_version_is_that_of_the_package(built: Path) -> None:
    """One number, in one place."""
    assert next(built.glob("*.whl")).name.startswith(f"egtunnel-{egtunnel.__version__}-py3-")


def test_every_library_that_is_imported_is_asked_for() -> None:
    """No module of egtunnel leans on something that only happens to be installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = {Requirement(line).name.lower().replace("-", "_") for line in project["dependencies"]}
    used: dict[str, Path] = {}
    for file in (ROOT / "egtunnel").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names = [node.module]
            used |= {name.partition(".")[0].lower(): file for name in names}
    libraries = used.keys() - sys.stdlib_module_names - {"egtunnel", "__future__"}
    unasked = {name: used[name] for name in libraries if IMPORTED_AS.get(name, name) not in asked}
    assert not unasked
