"""Where a store is; no password gets out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from egtunnel.errors import ConfigurationError
from egtunnel.store.address import parse_store_address
from tests.integration.daemons import ROOT

FOLDER = Path("/state")


def test_the_default_is_a_file_in_the_state_folder() -> None:
    """Another one by its path."""
    assert parse_store_address("", FOLDER).file == FOLDER / "store.sqlite3"
    assert parse_store_address("sqlite:////var/a%20b.db", FOLDER).file == Path("//var/a b.db")
    assert parse_store_address("sqlite:///var/x.db", FOLDER).file == Path("/var/x.db")


def test_a_password_is_in_nothing_that_is_shown() -> None:
    """As it stands in the URL and as it is."""
    address = parse_store_address("postgres://ann:p%40ss@db.example.com:6543/egtunnel?pgbouncer=true", FOLDER)
    assert address.shown == "postgresql://db.example.com:6543/egtunnel"
    assert "p%40ss" in address.url
    assert "p%40ss" not in repr(address)
    assert address.without_secrets("user ann, p@ss or p%40ss") == "user ann, *** or ***"


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("postgresql://u@db.example.com/x", "require"),
        ("postgresql://u@db.example.com/x?sslmode=verify-full", "verify-full"),
        ("postgresql://u@10.0.0.7/x?sslmode=disable", "disable"),
        ("postgresql://u@127.0.0.1/x", "prefer"),
        ("postgresql://u@[::1]:5433/x", "prefer"),
        ("postgresql:///x?host=/run/postgresql", "prefer"),
        ("postgresql://u@localhost/x?host=db.example.com", "require"),
    ],
)
def test_far_away_tls_is_the_default(text: str, mode: str) -> None:
    """Who wants none has to say so."""
    assert parse_qs(urlsplit(parse_store_address(text, FOLDER).url).query)["sslmode"] == [mode]


@pytest.mark.parametrize(
    "text",
    [
        "mysql://u:secret@h/x", "postgresql://u:secret@h", "postgresql://u:secret@h/", "postgresql://u:secret@h/a/b",
        "postgresql://u:secret@h/x?sslmode=on", "postgresql://u:secret@h/x?options=-c%20x", "postgresql://u:secret@h:x/y",
        "sqlite:///", "sqlite://secret/x", "secret", "postgresql://u:secret@[h/x", "sqlite:///x?mode=ro",
    ],
)  # fmt: skip
def test_other_addresses_are_refused_without_being_repeated(text: str) -> None:
    """They may hold a password."""
    with pytest.raises(ConfigurationError) as caught:
        parse_store_address(text, FOLDER)
    assert "secret" not in caught.value.text


def test_a_relay_without_a_store_does_not_pay_for_it() -> None:
    """Neither SQLAlchemy nor Alembic is imported with the store's own module, nor with the relay."""
    script = (
        "import sys, egtunnel.store.store, egtunnel.access.logins, egtunnel.access.shares, egtunnel.relay.service\n"
        "print(sorted({'sqlalchemy', 'alembic', 'psycopg'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
