"""Who may use the API."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from egtunnel.admin.authority import FILE_NAME, MOST_WRONG, WINDOW, Authority, admin_token
from egtunnel.admin.problems import Problem
from egtunnel.errors import ConfigurationError


class Asked:
    """A request's headers."""

    def __init__(self, **headers: str) -> None:
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def getHeader(self, name: str) -> str | None:
        return self.headers.get(name)


def status(authority: Authority, **headers: str) -> int:
    request: Any = Asked(**headers)
    try:
        authority.check(request)
    except Problem as problem:
        return problem.status
    return 200


def test_the_token_is_made_once_and_nobody_else_can_read_it(tmp_path: Path) -> None:
    """0600; a file that others can read, or an empty one, is an error."""
    token = admin_token(tmp_path)
    file = tmp_path / FILE_NAME
    assert admin_token(tmp_path) == token == file.read_text().strip()
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [FILE_NAME]
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="0600"):
        admin_token(tmp_path)
    file.chmod(0o600)
    file.write_text("short\n")
    with pytest.raises(ConfigurationError, match="no token"):
        admin_token(tmp_path)
    with pytest.raises(ConfigurationError, match="cannot keep"):
        admin_token(tmp_path / "nowhere")


def test_only_the_token_lets_in() -> None:
    """As bearer token, in any case of the scheme's name."""
    authority = Authority("t" * 40, Clock().seconds)
    assert status(authority, authorization="Bearer " + "t" * 40) == 200
    assert status(authority, authorization="bearer " + "t" * 40) == 200
    for wrong in ("", "Bearer", "Bearer " + "t" * 39, "Basic " + "t" * 40, "Bearer \udcff"):
        assert status(authority, authorization=wrong) == 401
    assert status(authority) == 401


def test_wrong_tokens_of_an_address_are_counted() -> None:
    """Then even the right one has to wait, and other addresses do not."""
    clock = Clock()
    authority = Authority("t" * 40, clock.seconds)
    right = "Bearer " + "t" * 40
    for _ in range(MOST_WRONG):
        assert status(authority, authorization="Bearer x", x_forwarded_for="192.0.2.1, 10.0.0.1") == 401
    assert status(authority, authorization=right, x_forwarded_for="192.0.2.1") == 429
    assert status(authority, authorization=right, x_forwarded_for="192.0.2.2") == 200
    clock.advance(WINDOW)
    assert status(authority, authorization=right, x_forwarded_for="192.0.2.1") == 200


def test_tokens_are_compared_in_constant_time() -> None:
    """By construction: hashes of one length, by compare_digest, whatever was shown."""
    tree = ast.parse(inspect.getsource(Authority))
    calls = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert [call for call in calls if call.startswith("compare_digest(sha256(shown")]
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Compare) and "_digest" in ast.unparse(node)]
