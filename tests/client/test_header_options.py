"""The client's options for headers and paths."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.python.usage import UsageError

from egtunnel.client.header_options import HEADER_PARAMETERS, read_policy
from egtunnel.client.offers import Offer
from egtunnel.client.tap import Options
from egtunnel.errors import ConfigurationError
from egtunnel.policy import Edit, HeaderPolicy, PolicyLimits

LOCAL = ["--local", "8080", "--token", "x"]


def offers(*arguments: str) -> list[Offer]:
    """What a command line asks for."""
    options = Options()
    options.parseOptions([*LOCAL, *arguments] if "--config" not in arguments else list(arguments))
    return options.offers


def test_each_option_may_be_given_several_times() -> None:
    """Removals apply first, then what is set, then what is added."""
    (offer,) = offers(
        "--request-header-add", "X-A: 1", "--request-header-add", "X-A:2:3", "--request-header-set", "X-B:",
        "--request-header-remove", "Cookie", "--response-header-set", "X-Frame-Options: DENY",
        "--response-header-remove", "Server", "--response-header-add", "X-C: c", "--path-prefix", "/app",
    )  # fmt: skip
    request = (Edit("remove", b"Cookie"), Edit("set", b"X-B"), Edit("add", b"X-A", b"1"), Edit("add", b"X-A", b"2:3"))
    response = (Edit("remove", b"Server"), Edit("set", b"X-Frame-Options", b"DENY"), Edit("add", b"X-C", b"c"))
    assert offer.policy == HeaderPolicy(request, response, b"/app")
    claim = offer.claim(1)
    assert claim.request_headers[2] == ["add", "X-A", "1"]
    assert claim.path_prefix == "/app"


def test_without_them_there_is_no_policy() -> None:
    """And the claim says nothing of it."""
    (offer,) = offers()
    assert not offer.policy
    assert (offer.claim(1).request_headers, offer.claim(1).path_prefix) == ([], "")


def test_tables_of_the_file_take_them_too(tmp_path: Path) -> None:
    """One text, or a list of them; each tunnel has its own."""
    file = tmp_path / "client.toml"
    file.write_text(
        'token = "x"\n[[tunnel]]\nlocal = 8080\nrequest-header-set = "X-A: 1"\n'
        '[[tunnel]]\nlocal = 8081\nresponse-header-add = ["X-B: 1", "X-B: 2"]\npath-prefix = "/b"\n'
    )
    first, second = offers("--config", str(file))
    assert first.policy == HeaderPolicy(request=(Edit("set", b"X-A", b"1"),))
    assert second.policy == HeaderPolicy((), (Edit("add", b"X-B", b"1"), Edit("add", b"X-B", b"2")), b"/b")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--request-header-add", "X-A"], "--request-header-add: it must be a header as 'Name: value'"),
        (["--response-header-remove", "X-A: b"], "--response-header-remove: it must be the name of a header alone"),
        (["--request-header-set", "Host: x"], "--request-header-set: the header 'Host' is the relay's own matter"),
        (["--request-header-set", "X A: x"], "--request-header-set: 'X A' is no name of a header"),
        (["--response-header-add", "X-A: a\r\nB: c"], "--response-header-add: the header 'X-A' cannot have that value"),
        (["--request-header-set", "X-A: \udcff"], "--request-header-set: it must be UTF-8"),
        (["--path-prefix", "app"], "a path prefix is like /app"),
        (["--tcp", "0", "--path-prefix", "/a"], "--tcp and --path-prefix do not go together"),
        (["--tcp", "0", "--request-header-add", "A: b"], "--tcp and --request-header-add do not go together"),
    ],
)
def test_mistakes_are_said_with_the_option(arguments: list[str], said: str) -> None:
    """Before anything is started."""
    with pytest.raises(UsageError) as caught:
        offers(*arguments)
    assert said in str(caught.value)


def test_a_table_with_something_else_than_texts_is_refused(tmp_path: Path) -> None:
    """With the number of the tunnel."""
    file = tmp_path / "client.toml"
    file.write_text('token = "x"\n[[tunnel]]\nlocal = 8080\nrequest-header-add = [["a", "b"]]\n')
    with pytest.raises(UsageError, match="tunnel 1: request-header-add: it must be a text"):
        offers("--config", str(file))


def test_more_than_a_relay_takes_is_refused_at_once() -> None:
    """The limits of both ends are the same."""
    with pytest.raises(ConfigurationError, match="at most 1 edits"):
        read_policy({"request-header-add": ["A: 1", "A: 2"]}, PolicyLimits(edits=1))
    assert {row[0] for row in HEADER_PARAMETERS if row[4].repeated} >= {"request-header-add", "response-header-remove"}
