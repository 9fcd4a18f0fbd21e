"""The key of cookies: made once, nobody else's to read."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from egtunnel.access.keys import FILE_NAME, cookie_key
from egtunnel.errors import ConfigurationError


def test_a_key_is_made_once(tmp_path: Path) -> None:
    """Eight at the same moment agree; nothing else is left."""
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(cookie_key, [tmp_path] * 8))
    assert len(keys) == 1
    assert len(keys.pop()) == 32
    assert [file.name for file in tmp_path.iterdir()] == [FILE_NAME]
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize(("content", "mode"), [(b"short", 0o600), (b"x" * 33, 0o600), (b"x" * 32, 0o640)])
def test_another_file_is_no_key(tmp_path: Path, content: bytes, mode: int) -> None:
    """Of another length, or for others to read."""
    (tmp_path / FILE_NAME).write_bytes(content)
    (tmp_path / FILE_NAME).chmod(mode)
    with pytest.raises(ConfigurationError):
        cookie_key(tmp_path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """Said, with its name."""
    with pytest.raises(ConfigurationError, match="cookie-key"):
        cookie_key(tmp_path / "missing")
