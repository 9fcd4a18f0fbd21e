"""The options --webhook and --webhook-secret-file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from egtunnel.client.tunnel_tables import read_offer
from egtunnel.errors import ConfigurationError

SECRET = "It's a Secret to Everybody"


def offered(folder: Path, secret: str = SECRET, **options: Any) -> Any:
    """The rule that travels, by these options."""
    file = folder / "secret"
    file.write_text(secret)
    offer = read_offer({"local": "3000", "webhook-secret-file": str(file), **options}, "")
    assert SECRET not in repr(offer) and SECRET not in repr(offer.claim(1))
    return json.loads(offer.access)


def test_the_rule_that_travels(tmp_path: Path) -> None:
    """The kind, and the lines of the file."""
    github = {"kind": "github", "header": "", "secrets": [SECRET]}
    assert offered(tmp_path, SECRET + "\n", webhook="github") == {"webhook": github}
    two = offered(tmp_path, f"{SECRET}\n\n  the next secret\n{SECRET}\n", webhook="Stripe")["webhook"]
    assert (two["kind"], two["secrets"]) == ("stripe", [SECRET, "the next secret"])


@pytest.mark.parametrize(("text", "header"), [("hmac", "x-signature"), ("hmac:X-Mine", "x-mine")])
def test_a_header_of_its_own(tmp_path: Path, text: str, header: str) -> None:
    """For hmac."""
    assert offered(tmp_path, webhook=text)["webhook"]["header"] == header


@pytest.mark.parametrize(
    ("secret", "options"),
    [
        (SECRET, {"webhook": "gitlab"}),
        (SECRET, {"webhook": "github:X-Mine"}),
        (SECRET, {"webhook": "hmac:"}),
        (SECRET, {"webhook": "hmac:a b"}),
        (SECRET, {}),
        ("", {"webhook": "github"}),
        ("short", {"webhook": "github"}),
        (SECRET, {"webhook": "github", "tcp": 0}),
        (SECRET, {"webhook": "github", "webhook-secret-file": None}),
        (SECRET, {"webhook": "github", "webhook-secret-file": "/missing"}),
    ],
)
def test_mistakes(tmp_path: Path, secret: str, options: dict[str, Any]) -> None:
    """Told without the secret."""
    with pytest.raises(ConfigurationError) as refused:
        offered(tmp_path, secret, **options)
    assert SECRET not in refused.value.text
