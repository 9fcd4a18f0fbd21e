"""No path gets outside of a prefix, in whatever way the service behind reads it."""

from __future__ import annotations

import posixpath
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from egtunnel.access.paths import inside, is_prefix, plain

PIECES = [
    "mail",
    "mailbox",
    "..",
    ".",
    "%2e",
    "%2E%2e",
    ".%2e",
    "/",
    "//",
    "\\",
    "%2f",
    "%5c",
    "%252e%252e",
    "%25",
    "%",
]
PIECES += [";x", "..;", "%00", "?", "#", "a b", "%3b", "%252f", "é", "%c0%ae", "\n", "\t", "+", "~", "%0d%0a", "%20"]
TARGETS = st.lists(st.sampled_from(PIECES), max_size=8).map(lambda pieces: "/mail/" + "".join(pieces))


def readings(target: str) -> set[str]:
    """What lax services make of a target: decoded up to four times, backslashes as slashes, parameters cut off."""
    found = {target.partition("?")[0], target.partition("?")[0].partition("#")[0]}
    for _ in range(4):
        found |= {unquote(path, "latin-1") for path in found}
    found |= {path.replace("\\", "/") for path in found}
    found |= {"/".join(segment.partition(";")[0] for segment in path.split("/")) for path in found}
    return {posixpath.normpath("/" + path.lstrip("/")) for path in found}


@given(TARGETS)
@example("/mail/..;/files")
@example("/mail/%252e%252e/files")
def test_what_is_inside_is_inside_in_every_reading(target: str) -> None:
    """The property that matters."""
    decoded = plain(target)
    if decoded is not None and inside(decoded, "/mail"):
        for path in readings(target):
            assert path == "/mail" or path.startswith("/mail/"), path


@pytest.mark.parametrize(
    "target",
    [
        "/mail/../files", "/mail/./x", "/mail/%2e%2e/files", "/mail/.%2E/files", "/mail//x", "//mail",
        "/mail\\..\\files",
        "/mail/%5c..%5cfiles", "/mail/a%2f..%2f..%2ffiles", "/mail/%2F", "/mail/..;/files", "/mail/%252e%252e/files",
        "/mail/%25252e%25252e/files", "/mail/..", "/mail/%00", "/mail/%0a", "/mail/%zz", "/mail/%", "/mail/ x", "mail",
        "", "*", "http://host/mail", "/mail/#x", "/mail/é", "/mail/..%3bx/files", "/mail/%20../x/..%20",
    ],
)  # fmt: skip
def test_what_can_be_read_in_two_ways_is_not_plain(target: str) -> None:
    """Each trick by its name."""
    assert plain(target) is None


@pytest.mark.parametrize(
    ("target", "decoded"),
    [
        ("/", "/"),
        ("/mail", "/mail"),
        ("/mail/", "/mail/"),
        ("/mail/inbox?next=../../x//", "/mail/inbox"),
        ("/mail/...", "/mail/..."),
        ("/mail/a.b;v=1", "/mail/a.b;v=1"),
        ("/mail/100%25", "/mail/100%"),
        ("/m%61il/%C3%A9", "/mail/Ã©"),
        ("/mail/~ann/a+b:c@d", "/mail/~ann/a+b:c@d"),
    ],
)
def test_ordinary_paths_are_plain(target: str, decoded: str) -> None:
    """The query is no part of it."""
    assert plain(target) == decoded


def test_a_prefix_ends_at_a_slash() -> None:
    """/mail is not /mailbox."""
    assert inside("/mail", "/mail")
    assert inside("/mail/x", "/mail")
    assert not inside("/mailbox", "/mail")
    assert not inside("/Mail", "/mail")
    assert inside("/anything", "/")


@pytest.mark.parametrize("prefix", ["", "mail", "/mail/", "/mail/..", "/a//b", "/a%20b", "/a?b", "/a;b", "//"])
def test_what_is_no_prefix(prefix: str) -> None:
    """So that inside() means what it says."""
    assert not is_prefix(prefix)
    assert is_prefix("/mail/in.box")
