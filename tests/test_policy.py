"""What a tunnel may change in headers and paths, and what it may not."""

from __future__ import annotations

import json

import pytest

from egtunnel.policy import Edit, HeaderPolicy, PolicyError, PolicyLimits, restore_location

FIELDS = [(b"Host", b"a"), (b"X-Team", b"one"), (b"x_team", b"two"), (b"Accept", b"*/*")]


def test_nothing_to_change_changes_nothing() -> None:
    """The fields are not even copied."""
    policy = HeaderPolicy()
    assert not policy
    assert policy.edit_request(FIELDS) is FIELDS
    assert policy.edit_response(FIELDS, b"a") is FIELDS
    assert not policy.climbs(b"/../x")


def test_add_puts_a_field_beside_those_that_are_there() -> None:
    """At the end."""
    policy = HeaderPolicy(request=(Edit("add", b"X-Team", b"three"),))
    assert policy
    assert policy.edit_request(FIELDS) == [*FIELDS, (b"X-Team", b"three")]


def test_set_takes_the_place_of_every_field_of_that_name() -> None:
    """In requests of those with underscores, too: services take one for the other."""
    edits = (Edit("set", b"x-TEAM", b"three"),)
    assert HeaderPolicy(request=edits).edit_request(FIELDS) == [FIELDS[0], FIELDS[3], (b"x-TEAM", b"three")]
    response = HeaderPolicy(response=edits).edit_response(FIELDS)
    assert response == [FIELDS[0], FIELDS[2], FIELDS[3], (b"x-TEAM", b"three")]


def test_remove_takes_every_field_of_that_name_out() -> None:
    """Whatever its case, and an underscore of its own is meant literally in responses."""
    assert HeaderPolicy(request=(Edit("remove", b"X-team"),)).edit_request(FIELDS) == [FIELDS[0], FIELDS[3]]
    policy = HeaderPolicy(response=(Edit("remove", b"X_Team"),))
    assert policy.edit_response(FIELDS) == [FIELDS[0], FIELDS[1], FIELDS[3]]


def test_edits_apply_in_their_order() -> None:
    """A later one sees what an earlier one did."""
    edits = (Edit("add", b"A", b"1"), Edit("set", b"a", b"2"), Edit("add", b"A", b"3"), Edit("add", b"B", b"4"))
    policy = HeaderPolicy(request=(*edits, Edit("remove", b"b")))
    assert policy.edit_request([(b"A", b"0"), (b"B", b"0")]) == [(b"a", b"2"), (b"A", b"3")]


def test_trailers_lose_fields_and_gain_none() -> None:
    """What is added belongs to the head alone."""
    policy = HeaderPolicy((Edit("set", b"X-Team", b"new"),), (Edit("remove", b"X-Team"), Edit("add", b"X-Sum", b"1")))
    assert policy.strip_request(FIELDS) == [FIELDS[0], FIELDS[3]]
    assert policy.strip_response(FIELDS) == [FIELDS[0], FIELDS[2], FIELDS[3]]


@pytest.mark.parametrize(
    "name",
    [
        "Content-Length", "content_length", "Transfer-Encoding", "Connection", "Keep-Alive", "TE", "Trailer", "Upgrade",
        "Host", "Expect", "Via", "Forwarded", "X-Forwarded-For", "x_forwarded_for", "X-Forwarded-Proto", "Proxy",
        "Proxy-Authorization", "HTTP2-Settings", "X-Egtunnel-Error",
    ],
)  # fmt: skip
@pytest.mark.parametrize("action", ["add", "set", "remove"])
def test_no_edit_touches_framing_routing_or_the_relays_own_words(action: str, name: str) -> None:
    """In any case, and with underscores."""
    with pytest.raises(PolicyError, match="the relay's own matter"):
        HeaderPolicy.from_wire([[action, name, ""]], [], "")


@pytest.mark.parametrize("name", ["", " ", "a b", "a:", "a\r\nb", "a\0", "é", ":path", '"a"'])
def test_a_name_is_a_token(name: str) -> None:
    """RFC 9110 section 5.6.2."""
    with pytest.raises(PolicyError, match="is no name of a header"):
        HeaderPolicy.from_wire([["add", name, "x"]], [], "")


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\rb", "a\0b", "\x7f", " a", "a ", "\ta"])
def test_a_value_cannot_begin_another_line(value: str) -> None:
    """Nor hold other control characters, or blanks at its ends."""
    with pytest.raises(PolicyError, match="cannot have that value"):
        HeaderPolicy.from_wire([], [["set", "X-A", value]], "")


def test_a_cookie_that_is_added_has_no_domain() -> None:
    """It could be meant for other tunnels."""
    with pytest.raises(PolicyError, match="has no Domain"):
        Edit("add", b"Set-Cookie", b"a=b; domain =relay.test")
    assert Edit("add", b"Set-Cookie", b"domain=b; Path=/").value


@pytest.mark.parametrize(
    "prefix", ["app", "/", "/app/", "/a//b", "/a/../b", "/.", "/a?b", "/a#b", "/%2e", "/a b", "/é"]
)
def test_a_prefix_is_a_plain_path(prefix: str) -> None:
    """Nothing in it can be read in two ways."""
    with pytest.raises(PolicyError, match="a path prefix"):
        HeaderPolicy.from_wire([], [], prefix)


@pytest.mark.parametrize(
    "target",
    [
        b"/..", b"/../x", b"/a/../../x", b"/%2e%2e/x", b"/.%2E/x", b"/a/..;x/b", b"/a%2f..%2fb", b"/..\\x", b"/..?q",
        b"/a/%2E%2e%5cb",
    ],
)  # fmt: skip
def test_a_path_that_climbs_is_seen(target: bytes) -> None:
    """However a service may read it."""
    assert HeaderPolicy(path_prefix=b"/app").climbs(target)


@pytest.mark.parametrize("target", [b"/", b"/a..b", b"/...", b"/a?/../x", b"/a%20b", b"/..a/b", b"*"])
def test_other_paths_with_dots_do_not_climb(target: bytes) -> None:
    """Dots are common in names and queries."""
    assert not HeaderPolicy(path_prefix=b"/app").climbs(target)


@pytest.mark.parametrize(
    ("place", "seen"),
    [
        (b"/app/x?y", b"/x?y"),
        (b"/app", b"/"),
        (b"/app?q", b"/?q"),
        (b"/application", b"/application"),
        (b"/other", b"/other"),
        (b"x", b"x"),
        (b"http://Me.test/app/x", b"http://Me.test/x"),
        (b"https://me.test:443/app", b"https://me.test/"),
        (b"http://other.test/app/x", b"http://other.test/app/x"),
        (b"/app//evil.test/", b"/app//evil.test/"),
        (b"/app/\\evil.test/", b"/app/\\evil.test/"),
        (b"/app/\t/evil.test/", b"/app/\t/evil.test/"),
    ],
)
def test_a_location_below_the_prefix_is_as_the_visitor_sees_it(place: bytes, seen: bytes) -> None:
    """Unless it is another host's, or would become one."""
    policy = HeaderPolicy(path_prefix=b"/app")
    fields = policy.edit_response([(b"location", place), (b"X", b"/app/x")], b"me.test")
    found = [value.replace(b":443", b"") for _, value in fields]
    assert found == [seen, b"/app/x"]
    assert restore_location([(b"X", b"1")], b"/app") == [(b"X", b"1")]


def test_a_policy_comes_back_from_the_wire_as_it_was() -> None:
    """Values are UTF-8."""
    policy = HeaderPolicy(
        (Edit("add", b"X-A", "é".encode()), Edit("remove", b"Cookie")), (Edit("set", b"B", b""),), b"/p"
    )
    assert HeaderPolicy.from_wire(*json.loads(json.dumps(policy.to_wire()))) == policy


@pytest.mark.parametrize(
    "rows",
    [None, {}, "set", [1], ["set"], [[]], [["set"]], [["set", "A", "b", "c"]], [["set", 1, "b"]], [["set", "A", None]]],
)  # fmt: skip
def test_what_is_no_list_of_edits_is_refused(rows: object) -> None:
    """Whatever a client sends, it is an error with a sentence."""
    for request, response in ((rows, []), ([], rows)):
        with pytest.raises(PolicyError):
            HeaderPolicy.from_wire(request, response, "")


@pytest.mark.parametrize(("action", "value"), [("replace", "x"), ([], "x"), ("remove", "x")])
def test_other_actions_are_refused(action: object, value: str) -> None:
    """As is a removal with a value."""
    with pytest.raises(PolicyError):
        HeaderPolicy.from_wire([[action, "X-A", value]], [], "")
    with pytest.raises(PolicyError):
        HeaderPolicy.from_wire([], [], 7)
    with pytest.raises(PolicyError):
        HeaderPolicy.from_wire([["set", "X-A", "\ud800"]], [], "")


@pytest.mark.parametrize(
    ("rows", "prefix", "limits"),
    [
        ([["add", "X-A", "1"]] * 3, "", PolicyLimits(edits=2)),
        ([["add", "X-A", "1"]], "", PolicyLimits(name=2)),
        ([["add", "X-A", "123"]], "", PolicyLimits(value=2)),
        ([["add", "X-A", "123"]] * 2, "", PolicyLimits(size=11)),
        ([], "/app", PolicyLimits(prefix=3)),
    ],
)
def test_every_limit_holds(rows: object, prefix: str, limits: PolicyLimits) -> None:
    """One more than allowed is refused, with what is allowed; the usual limits allow all of these."""
    with pytest.raises(PolicyError, match="at most"):
        HeaderPolicy.from_wire(rows, [], prefix, limits)
    assert HeaderPolicy.from_wire(rows, rows, prefix)
