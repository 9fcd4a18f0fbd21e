"""The server name is read as OpenSSL reads it, from any cut of the bytes; whatever else comes is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL

from egtunnel.ingress.tls.hello import MalformedHello, alert, offered, server_name

LONGEST = 16_384


def client_hello(name: str = "", protocols: tuple[bytes, ...] = ()) -> bytes:
    """What OpenSSL begins with."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    if protocols:
        context.set_alpn_protos(list(protocols))
    connection = SSL.Connection(context, None)
    if name:
        connection.set_tlsext_host_name(name.encode())
    connection.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        connection.do_handshake()
    return connection.bio_read(65_536)


HELLO = client_hello("app.example.com", (b"h2", b"http/1.1"))


def split(hello: bytes, size: int) -> bytes:
    """The same message in records of that many bytes."""
    message = hello[5:]
    pieces = [message[start : start + size] for start in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces)


@pytest.mark.parametrize("name", ["app.example.com", "a" * 63 + ".example.com", "xn--bcher-kva.example"])
def test_the_name_is_that_which_openssl_writes(name: str) -> None:
    """From a real ClientHello."""
    assert server_name(client_hello(name), LONGEST) == name


def test_a_name_is_read_in_lower_case_and_without_its_last_dot() -> None:
    """As names are compared."""
    assert server_name(client_hello("App.Example.COM."), LONGEST) == "app.example.com"


def test_without_the_extension_there_is_no_name() -> None:
    """That is not the same as not knowing yet."""
    assert server_name(client_hello(), LONGEST) == ""


def test_what_is_offered_is_what_openssl_writes() -> None:
    """In its order; nothing where there is no such extension."""
    assert offered(HELLO, LONGEST) == (b"h2", b"http/1.1")
    assert offered(client_hello("app.example.com"), LONGEST) == ()


@pytest.mark.parametrize("size", [0, 3, 40, len(HELLO) - 1])
def test_what_a_part_offers_is_not_asked(size: int) -> None:
    """Whoever asks has the whole message."""
    with pytest.raises(MalformedHello):
        offered(HELLO[:size], LONGEST)


@given(st.integers(0, len(HELLO) - 1))
def test_from_a_part_nothing_is_known(size: int) -> None:
    """Every byte is waited for."""
    assert server_name(HELLO[:size], LONGEST) is None


@given(st.integers(len(HELLO) // 15, len(HELLO)))
def test_the_message_may_be_spread_over_some_records(size: int) -> None:
    """Of any length."""
    assert server_name(split(HELLO, size), LONGEST) == "app.example.com"


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x02\x01\x00\x05hello",
        b"\x17\x03\x01\x00\x05hello",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
        b"\x16\x03\x01\x00\x04\x01\x00\x00\x00",
        b"\x16\x03\x01\x00\x08\x01\x00\x00\x04abcd",
    ],
)
def test_what_is_no_client_hello_is_refused(data: bytes) -> None:
    """By the record, the message or its end."""
    with pytest.raises(MalformedHello):
        server_name(data, LONGEST)


def test_a_message_that_is_too_long_is_refused_by_its_length() -> None:
    """Before it has come."""
    with pytest.raises(MalformedHello, match="16385 bytes"):
        server_name(b"\x16\x03\x01\x00\x04\x01\x00\x40\x01", LONGEST)


def test_a_message_in_too_many_records_is_refused() -> None:
    """However short they are."""
    with pytest.raises(MalformedHello, match="too many records"):
        server_name(split(HELLO, 1)[: 17 * 6], LONGEST)


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    """Nor with a head that looks right."""
    for start in (b"", b"\x16\x03\x01\x00\x40\x01\x00\x00\x3c\x03\x03"):
        try:
            found = server_name(start + data, LONGEST)
        except MalformedHello:
            continue
        assert found is None or isinstance(found, str)


@given(st.data())
def test_no_changed_byte_does_more_than_be_refused(data: st.DataObject) -> None:
    """A name, none, not yet, or a refusal."""
    changed = bytearray(HELLO)
    changed[data.draw(st.integers(0, len(HELLO) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = server_name(bytes(changed), LONGEST)
    except MalformedHello:
        return
    assert found is None or isinstance(found, str)


def test_an_alert_is_a_record_of_its_own() -> None:
    """Fatal, with its description."""
    assert alert(112) == b"\x15\x03\x03\x00\x02\x02\x70"
