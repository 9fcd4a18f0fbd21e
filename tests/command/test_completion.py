"""Completion for shells, made from the commands."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from egtunnel.command.completion import script, words_of


def test_every_command_and_option_is_known() -> None:
    """Those of the daemons, too, which read their options by themselves."""
    words = words_of()
    assert {"relay", "http", "tcp", "share", "token", "name", "status", "tunnels", "check"} <= set(words[""])
    assert "--workers" in words[" relay"] and "--private" in words[" http"]
    assert {"create", "list", "revoke", "--expires", "--relay"} <= set(words[" share"])
    assert "--passphrase-file" in words[" share create"]


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [("egtunnel tok", "token"), ("egtunnel token cr", "create"), ("egtunnel share --exp", "--expires")],
)
def test_bash_completes(typed: str, wanted: str) -> None:
    """The script itself, in a real bash."""
    line = typed.split()
    quoted = " ".join(f"'{word}'" for word in line)
    program = (
        f'{script("bash")}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(line) - 1}; _egtunnel; echo "${{COMPREPLY[@]}}"'
    )
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert wanted in done.stdout.split()


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_can_read_theirs(shell: str) -> None:
    """Where they are installed."""
    if shutil.which(shell) is None:
        assert "egtunnel" in script(shell)
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([shell, "-n"], input=script(shell), capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
