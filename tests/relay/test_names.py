"""Public names: which are possible, which are not, and which the relay makes."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egtunnel.errors import Refused
from egtunnel.relay.names import LABEL, READABLE, RESERVED, candidates, canonical, check_host, check_name
from egtunnel.relay.words import ADJECTIVES, NOUNS


@pytest.mark.parametrize(
    ("wanted", "name"), [("app", "app"), ("My-App-2", "my-app-2"), ("x", "x"), ("a" * 63, "a" * 63)]
)
def test_labels_of_a_host_name_are_names(wanted: str, name: str) -> None:
    """RFC 1123, in any case."""
    assert check_name(wanted) == name


BAD_NAMES = [
    "",
    "-a",
    "a-",
    "a.b",
    "a_b",
    "ä",
    "a" * 64,
    "a b",
    "a\n",
    "a\0",
    "xn--mnchen-3ya",
    "\u212aelvin",
    "a..",
    "a/b",
]


@pytest.mark.parametrize("wanted", BAD_NAMES)
def test_what_is_no_label_is_refused(wanted: str) -> None:
    """Neither dots nor underscores nor letters beyond ASCII, nor what looks like them."""
    with pytest.raises(Refused) as refused:
        check_name(wanted)
    assert (refused.value.reason, refused.value.retry) == ("bad-name", False)


@pytest.mark.parametrize(
    "wanted", ["www", "ADMIN", "api", "mail", "_acme-challenge", "autodiscover", "connect", "healthz", "www."]
)
def test_names_that_stand_for_the_relay_are_reserved(wanted: str) -> None:
    """Whoever had them could speak for the whole domain."""
    with pytest.raises(Refused) as refused:
        check_name(wanted)
    assert (refused.value.reason, refused.value.retry) == ("reserved-name", False)


@pytest.mark.parametrize(
    ("wanted", "host"), [("Dev.Example.ORG.", "dev.example.org"), ("notexample.com", "notexample.com")]
)
def test_hosts_of_ones_own(wanted: str, host: str) -> None:
    """Any host name, in any case, with or without the root's dot."""
    assert check_host(wanted, "example.com") == host


BAD_HOSTS = [
    "",
    "host",
    "a..b",
    ".a.b",
    "a.b:80",
    "10.0.0.1",
    "127.1",
    "a.b/c",
    "*.a.b",
    "a_b.c",
    "[::1]",
    "b." * 127 + "bb",
    "a.b..",
]


@pytest.mark.parametrize("wanted", [*BAD_HOSTS, "example.com", "app.example.com", "A.B.EXAMPLE.com."])
def test_bad_hosts_and_the_relays_own_are_refused(wanted: str) -> None:
    """A host is not an address, and never below the relay's domain, where names are given."""
    with pytest.raises(Refused) as refused:
        check_host(wanted, "example.com")
    assert (refused.value.reason, refused.value.retry) == ("bad-host", False)


@given(st.text(max_size=80))
def test_whatever_is_wanted_becomes_a_label_or_a_refusal(wanted: str) -> None:
    """No third way."""
    try:
        name = check_name(wanted)
    except Refused as refused:
        assert refused.reason in ("bad-name", "reserved-name")
        assert refused.text.isprintable()
    else:
        assert LABEL.fullmatch(name)
        assert name == canonical(wanted)
        assert name not in RESERVED


@given(st.text(max_size=40), st.text(max_size=40))
def test_made_names_are_readable_stable_and_pass_as_names(client: str, key: str) -> None:
    """The same client and target give the same names in the same order; each is a name that could be asked for."""
    names = list(islice(candidates(client, key), 5))
    assert names == list(islice(candidates(client, key), 5))
    for name in names:
        assert check_name(name) == name
        adjective, noun, digits = name.split("-")
        assert adjective in ADJECTIVES
        assert noun in NOUNS
        assert 10 <= int(digits) <= 99


def test_clients_and_targets_have_names_of_their_own() -> None:
    """A thousand clients with ten targets share hardly a first choice."""
    first = {next(candidates(f"client {client}", f"target {key}")) for client in range(1000) for key in range(10)}
    assert len(first) > 9900


def test_candidates_never_run_out() -> None:
    """After the readable ones come longer ones."""
    names = list(islice(candidates("client", "key"), READABLE + 10))
    assert len(set(names[READABLE:])) == 10
    assert all(check_name(name) == name for name in names)


def test_the_words_are_labels_and_each_stands_once() -> None:
    """A typing error in the lists would be a bad name."""
    for words in (ADJECTIVES, NOUNS):
        assert len(set(words)) == len(words) > 100
        assert all(word.isascii() and word.isalpha() and word.islower() for word in words)
