"""The table that tells connections apart."""

from __future__ import annotations

from egtunnel.ingress.front.detection import Row, anything, detect, starts_with

TABLE = (Row(starts_with(b"\x16"), "tls"), Row(starts_with(b"PRI *", b"PRX"), "pri"), Row(anything, "rest"))


def test_the_first_row_that_fits_counts() -> None:
    """Each kind is known by its start."""
    assert detect(TABLE, b"\x16\x03") == "tls"
    assert detect(TABLE, b"PRI * HTTP") == "pri"
    assert detect(TABLE, b"PRX") == "pri"
    assert detect(TABLE, b"GET /") == "rest"


def test_what_may_still_become_one_is_waited_for() -> None:
    """A row is passed over only once it is certain that it does not fit."""
    assert detect(TABLE, b"") is None
    assert detect(TABLE, b"P") is None
    assert detect(TABLE, b"PRI ") is None
    assert detect(TABLE, b"PR") is None
    assert detect(TABLE, b"PO") == "rest"
    assert detect(TABLE, b"PRI /") == "rest"
