"""What a share lets its holder do: judged by method, path and moment."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from egtunnel.access.passphrases import hash_passphrase, passphrase_fits
from egtunnel.access.shares import READ, Service, Share, check_note, expiry, make_service, permitted_methods
from egtunnel.errors import ConfigurationError
from egtunnel.store.records import ShareRecord

HOST = "ann.example.com"
RECORD = ShareRecord(
    "s1", b"x" * 32, "ann", (HOST,), ({"name": "gmail", "prefix": "/mail"}, {"prefix": "/files"}), ("read",), 0.0, 100.0
)
SHARE = Share.from_record(RECORD)


@pytest.mark.parametrize(
    ("method", "path", "now", "status"),
    [
        ("GET", "/mail/inbox?x=1", 50.0, 200),
        ("HEAD", "/files", 99.999, 200),
        ("OPTIONS", "/files/", 50.0, 200),
        ("POST", "/mail/inbox", 50.0, 403),
        ("get", "/mail/inbox", 50.0, 403),
        ("GET", "/admin", 50.0, 404),
        ("POST", "/admin", 50.0, 404),
        ("GET", "/mail/../admin", 50.0, 404),
        ("GET", "/mailbox", 50.0, 404),
        ("OPTIONS", "*", 50.0, 404),
        ("GET", "/mail", 100.0, 410),
        ("POST", "/admin", 100.0, 410),
    ],
)
def test_a_request_is_judged(method: str, path: str, now: float, status: int) -> None:
    """As the issue has it: 403 for a POST, 404 outside of the services, 410 afterwards."""
    assert SHARE.judge(method, path, now) == status


METHODS = st.sampled_from(["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH", "get", ""])
PATHS = st.sampled_from(["/mail", "/mail/x", "/files/a", "/", "/mail/../x", "/mail/%2e%2e/", "//", ""]) | st.text(
    max_size=9
)


@given(METHODS, PATHS, st.floats(0, 200), st.none() | st.floats(0, 200), st.booleans())
def test_nothing_passes_that_is_over_or_not_to_be_read(
    method: str, path: str, now: float, revoked: float | None, entering: bool
) -> None:
    """Whatever comes; and no text raises anything."""
    verdict = attrs.evolve(SHARE, revoked=revoked).judge(method, path, now, entering=entering)
    assert (verdict == 410) == (revoked is not None or now >= 100.0)
    if verdict == 200:
        assert method in READ
        assert path.startswith(("/mail", "/files"))


@given(METHODS, PATHS)
def test_more_permission_never_takes_anything_away(method: str, path: str) -> None:
    """What may be read may be read by who may write."""
    writes = attrs.evolve(SHARE, permissions=permitted_methods(["write"]))
    assert writes.judge(method, path, 0.0) in (200, SHARE.judge(method, path, 0.0))
    assert writes.judge(method, path, 0.0) != 403


def test_a_use_is_needed_to_enter_only() -> None:
    """Who is in by cookie stays."""
    used_up = attrs.evolve(SHARE, uses_left=0)
    assert used_up.judge("GET", "/mail", 50.0, entering=True) == 410
    assert used_up.judge("GET", "/mail", 50.0) == 200
    assert attrs.evolve(SHARE, uses_left=1).judge("GET", "/mail", 50.0, entering=True) == 200


def test_a_service_belongs_to_its_tunnel() -> None:
    """Of two tunnels each has its own part, and without a host nothing is guessed."""
    services = ({"tunnel": HOST, "prefix": "/mail"}, {"tunnel": "Bob.example.com"})
    share = Share.from_record(attrs.evolve(RECORD, tunnels=(HOST, "bob.example.com"), services=services))
    assert share.judge("GET", "/mail", 0.0, HOST.upper()) == 200
    assert share.judge("GET", "/other", 0.0, HOST) == 404
    assert share.judge("GET", "/other", 0.0, "bob.example.com") == 200
    assert share.judge("GET", "/mail", 0.0, "eve.example.com") == 404
    assert share.judge("GET", "/mail", 0.0) == 404


def test_a_whole_tunnel_takes_every_path() -> None:
    """There is no outside; also where no service is named at all."""
    for services in (({"prefix": "/"},), ()):
        share = Share.from_record(attrs.evolve(RECORD, services=services))
        assert share.judge("GET", "/a%2Fb//c", 0.0) == 200
        assert share.judge("GET", "*", 0.0) == 404


@pytest.mark.parametrize(
    ("given", "service"),
    [
        ("/mail/", Service("mail", HOST, "/mail")),
        (HOST, Service(HOST, HOST)),
        ({"name": "gmail", "prefix": "/mail"}, Service("gmail", HOST, "/mail")),
        ({"tunnel": HOST.upper()}, Service(HOST, HOST)),
    ],
)
def test_a_service_is_read(given: object, service: Service) -> None:
    """A prefix, a host, or an object; and back."""
    assert make_service(given, [HOST]) == service
    assert make_service(service.to_json(), [HOST]) == service


def test_a_word_is_a_tunnel_or_a_path() -> None:
    """A tunnel by its first label, where one has it; else what lies below that path."""
    assert make_service("ann", [HOST]) == Service(HOST, HOST, "/")
    assert make_service("gmail", [HOST]) == Service("gmail", HOST, "/gmail")
    with pytest.raises(ConfigurationError):
        make_service("gmail", [HOST, "bob.example.com"])


@pytest.mark.parametrize(
    "value",
    [
        "other.example.com",
        "/mail/../x",
        "/%6dail",
        7,
        {"prefix": 7},
        {"prefix": "mail"},
        {"path": "/mail"},
        "/" + "a" * 256,
    ],
)
def test_another_service_is_not_read(value: object) -> None:
    """Neither of another tunnel nor with a prefix that is none."""
    with pytest.raises(ConfigurationError):
        make_service(value, [HOST])


@pytest.mark.parametrize(("tunnels", "services"), [((), ()), ((HOST,) * 33, ()), ((HOST,), ("/mail",) * 33)])
def test_a_share_has_no_end_of_parts(tunnels: tuple[str, ...], services: tuple[object, ...]) -> None:
    """Each is looked at for every request."""
    with pytest.raises(ConfigurationError):
        Share.from_record(attrs.evolve(RECORD, tunnels=tunnels, services=services))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "methods"),
    [
        (["read"], READ),
        (["write"], None),
        (["read", "write"], None),
        (["POST"], {"POST"}),
        (["read", "PUT"], READ | {"PUT"}),
    ],
)
def test_permissions_are_words_or_methods(words: list[str], methods: object) -> None:
    """None stands for every method."""
    assert permitted_methods(words) == methods


@pytest.mark.parametrize("words", [[], ["post"], ["CONNECT"], ["A B"], ["GET"] * 17, ["all"], ["GET\n"]])
def test_other_permissions_are_not_read(words: list[str]) -> None:
    """A word that is misspelt would let in nobody, or everybody."""
    with pytest.raises(ConfigurationError):
        permitted_methods(words)


def test_durations() -> None:
    """As people write them."""
    assert [expiry(text) for text in ("30m", "12h", "7d", "2w")] == [1_800, 43_200, 604_800, 1_209_600]
    for text in ("", "7", "d", "0d", "-1d", "7D", "1.5h", "7 d", "99999w", "\u0667d", "7d\n"):
        with pytest.raises(ConfigurationError):
            expiry(text)


def test_notes_and_uses_have_limits() -> None:
    """Before they get to the store."""
    check_note("for Bob", 1)
    for note, uses in (("x" * 501, None), ("a\0b", None), ("", 0), ("", 10**10)):
        with pytest.raises(ConfigurationError):
            check_note(note, uses)


def test_a_passphrase_fits_its_own_hash_only() -> None:
    """Salted: the same one twice has two hashes; what is no hash fits nothing."""
    kept = hash_passphrase("grüne Katze")
    assert passphrase_fits("grüne Katze", kept)
    assert not passphrase_fits("grüne katze", kept)
    assert hash_passphrase("grüne Katze") != kept
    assert "Katze" not in kept
    for broken in ("", "scrypt$$", "scrypt$a$b", kept.replace("scrypt", "md5"), kept[:-3]):
        assert not passphrase_fits("grüne Katze", broken)
    for passphrase in ("", "x" * 257):
        with pytest.raises(ConfigurationError):
            hash_passphrase(passphrase)
