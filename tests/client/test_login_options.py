"""The options --oidc-..."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from egtunnel.client.tunnel_tables import read_offer
from egtunnel.errors import ConfigurationError

SECRET = "the-secret-of-the-client"
GIVEN: dict[str, Any] = {
    "oidc-issuer": "https://login.example.com",
    "oidc-client-id": "app",
    "oidc-allow": "@a.example",
}


def offered(folder: Path, **options: Any) -> Any:
    """The rule that travels."""
    (folder / "secret").write_text(SECRET + "\n")
    table = {"local": "3000"} | GIVEN | {name.replace("_", "-"): value for name, value in options.items()}
    offer = read_offer(table, "")
    assert SECRET not in repr(offer) and SECRET not in repr(offer.claim(1))
    return json.loads(offer.access)["oidc"]


def test_the_rule_that_travels(tmp_path: Path) -> None:
    """With a secret, and without."""
    least = {"issuer": "https://login.example.com", "client_id": "app", "allow": ["@a.example"]}
    assert offered(tmp_path) == least | {"client_secret": "", "scopes": []}
    whole = offered(
        tmp_path,
        oidc_client_secret_file=str(tmp_path / "secret"),
        oidc_allow=["*", "group:staff"],
        oidc_scope=["groups"],
    )
    assert whole == least | {"client_secret": SECRET, "allow": ["*", "group:staff"], "scopes": ["groups"]}


@pytest.mark.parametrize(
    "options",
    [
        {"oidc_issuer": "login.example.com"},
        {"oidc_issuer": None},
        {"oidc_client_id": None},
        {"oidc_allow": None},
        {"oidc_allow": "example.com"},
        {"oidc_allow": "group:"},
        {"oidc_client_secret_file": "/missing"},
        {"oidc_client_secret_file": "/dev/null"},
        {"tcp": 0},
    ],
)
def test_mistakes(tmp_path: Path, options: dict[str, Any]) -> None:
    """Each is told."""
    with pytest.raises(ConfigurationError):
        offered(tmp_path, **options)
