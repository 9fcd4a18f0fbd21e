"""The option --visitor-ca."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from egtunnel.client.tunnel_tables import read_offer
from egtunnel.errors import ConfigurationError
from tests.client.certificates import Authority


def test_the_certificates_of_the_file_travel_and_nothing_else(tmp_path: Path) -> None:
    """A key that happens to lie in the file stays here."""
    authority = Authority(tmp_path)
    pem = authority.file.read_text()
    file = tmp_path / "both.pem"
    file.write_text(f"a comment\n{authority.pair('x')[1].decode()}{pem}")
    offer = read_offer({"local": "3000", "visitor-ca": str(file)}, "")
    assert json.loads(offer.access) == {"visitor-ca": pem}


@pytest.mark.parametrize(
    ("content", "options"), [("", {}), ("no certificate", {}), (None, {}), ("certificate", {"tcp": 0})]
)
def test_mistakes(tmp_path: Path, content: str | None, options: dict[str, Any]) -> None:
    """An empty file, another file, none, and a TCP tunnel."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(Authority(tmp_path).file.read_text() if content == "certificate" else content)
    with pytest.raises(ConfigurationError):
        read_offer({"local": "3000", "visitor-ca": str(file), **options}, "")
