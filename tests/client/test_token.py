"""Where the token comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from egtunnel.client.token import token_from_file, token_from_text
from egtunnel.errors import ConfigurationError, Refused


def test_a_text_is_the_token() -> None:
    """Blanks around it are not part of it."""
    assert token_from_text(" t0ken\n")() == "t0ken"


def test_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    """A token that was changed is used at the next connection."""
    file = tmp_path / "token"
    file.write_text("one\n")
    source = token_from_file(file)
    assert source() == "one"
    file.write_text("two")
    assert source() == "two"


def test_a_file_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    """The client may be started before the relay that writes it."""
    source = token_from_file(tmp_path / "token", awaited=True)
    with pytest.raises(Refused, match="start the relay on this account, or give --token-file") as caught:
        source()
    assert caught.value.retry


def test_a_file_that_cannot_be_read_is_no_matter_of_time(tmp_path: Path) -> None:
    """A folder in its place, as where rights are missing."""
    with pytest.raises(Refused, match="Is a directory") as caught:
        token_from_file(tmp_path)()
    assert not caught.value.retry


@pytest.mark.parametrize("content", ["", " \n", "two lines\nhere", "x" * 1025, "x" * 100_000, "tök", "\x1b[2J"])
def test_what_is_no_token_is_refused_and_not_repeated(tmp_path: Path, content: str) -> None:
    """An empty file, a whole document, control characters."""
    file = tmp_path / "token"
    file.write_text(content)
    source = token_from_file(file)
    with pytest.raises(Refused):
        source()
    for attempt in (source.check, lambda: token_from_text(content)):
        with pytest.raises(ConfigurationError) as caught:
            attempt()
        assert len(caught.value.text) < 200
        assert not content.strip() or content not in caught.value.text


def test_a_token_is_not_in_its_repr() -> None:
    """What a traceback would show."""
    assert "t0ken" not in repr(token_from_text("t0ken"))
