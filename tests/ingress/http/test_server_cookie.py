"""The relay's own cookie in a request: found, checked, and taken out of what the service sees."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egtunnel.ingress.http.server_cookie import NAME, take_cookie

ID = b"0123456789abcdef"
OURS = NAME + b"=" + ID


@pytest.mark.parametrize(
    ("value", "known", "left"),
    [
        (OURS, ID, None),
        (b"a=1; " + OURS, ID, b"a=1"),
        (OURS + b";b=2", ID, b"b=2"),
        (b"a=1;" + OURS + b" ; b=2", ID, b"a=1; b=2"),
        (NAME + b'="' + ID + b'"', ID, None),
        (NAME + b"=forged; " + OURS, ID, None),
        (NAME + b"=" + ID.upper(), b"", None),
        (NAME + b"=", b"", None),
        (NAME, b"", None),
        (b"x" + OURS, b"", b"x" + OURS),
        (b"a=" + OURS, b"", b"a=" + OURS),
        (b"a=1;;b=2", b"", b"a=1;;b=2"),
        (b";;" + OURS + b";", ID, None),
    ],
)
def test_one_header(value: bytes, known: bytes, left: bytes | None) -> None:
    """What is left keeps its order; a header with nothing left is not sent."""
    fields = [(b"Accept", b"*/*"), (b"cookie", value)]
    expected = fields[:1] + ([] if left is None else [(b"cookie", left)])
    assert take_cookie(fields) == (known.decode(), expected)


def test_the_first_of_several_headers_counts() -> None:
    """A visitor sends one; somebody else's second one changes nothing."""
    other = b"f" * 16
    fields = [(b"Cookie", OURS), (b"Cookie", NAME + b"=" + other + b"; a=1"), (b"X-Cookie", OURS)]
    assert take_cookie(fields) == (ID.decode(), [(b"Cookie", b"a=1"), (b"X-Cookie", OURS)])


@given(st.lists(st.binary(max_size=30) | st.just(OURS) | st.just(NAME + b" = " + ID)))
def test_the_service_never_sees_it(parts: list[bytes]) -> None:
    """Whatever stands around it; and a known value is always one that could be ours."""
    known, fields = take_cookie([(b"Cookie", b";".join(parts))])
    assert known in ("", ID.decode()) or len(known) == 16
    for _, value in fields:
        names = [pair.partition(b"=")[0].strip(b" \t") for pair in value.split(b";")]
        assert NAME not in names
