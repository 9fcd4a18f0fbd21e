"""Reports of wrk and curl, and answers to our own visitor, are believed only when they are right."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs
import pytest

from bench.contenders.egtunnel import Places
from bench.errors import WorkFailed
from bench.metrics import METRICS
from bench.site import Site
from bench.upstream import ANSWER_BYTES
from bench.work import WORK
from bench.work.bulk import Transfer, curl, parse_transfer
from bench.work.load import LoadResult, parse_wrk, wrk_command
from bench.work.visitor import Visitor, answer_length

SITE = Site(8080, "app.localhost:8080", speaks_http=True)

WRK_GOOD = """Running 1s test @ http://127.0.0.1:20001/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     3.01ms    1.60ms  21.87ms   90.91%
    Req/Sec    10.95k     1.02k   12.36k    70.00%
  10890 requests in 1.00s, 3.75MB read
Requests/sec:  10879.20
Transfer/sec:      3.74MB
"""
WRK_BAD = WRK_GOOD.replace(
    "Requests/sec",
    "  Socket errors: connect 1, read 20, write 300, timeout 4000\n  Non-2xx or 3xx responses: 50000\nRequests/sec",
)
HEAD = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 200\r\n\r\n"
ANSWER = HEAD + b"x" * ANSWER_BYTES


def test_a_report_of_wrk_is_read() -> None:
    """Requests in all, and a second."""
    assert parse_wrk(WRK_GOOD) == LoadResult(requests=10890, rate=10879.20, faults=0)


def test_every_kind_of_fault_counts() -> None:
    """Socket errors and answers that were errors: a tunnel that answers 502 very fast is not fast."""
    assert parse_wrk(WRK_BAD).faults == 54321


def test_what_is_no_report_of_wrk_is_refused() -> None:
    """Its own error message is told."""
    with pytest.raises(WorkFailed, match="unable to connect"):
        parse_wrk("unable to connect to 127.0.0.1:1 Connection refused\n")


def test_wrk_names_the_host_and_goes_to_the_address() -> None:
    """So that no name need resolve; one thread for everyone."""
    command = wrk_command(SITE, 32, 5, "Connection: close")
    assert command[1:] == [
        *("-t1", "-c32", "-d5s", "-H", "Host: app.localhost:8080", "-H", "Connection: close"),
        "http://127.0.0.1:8080/",
    ]


def test_a_report_of_curl_is_read() -> None:
    """Status, bytes down and up, seconds."""
    assert parse_transfer("200 1024 0 0.5") == Transfer(status=200, down=1024, up=0, seconds=0.5)


@pytest.mark.parametrize("text", ["", "200 1024 0", "curl: no", "200 many 0 1"])
def test_what_is_no_report_of_curl_is_refused(text: str) -> None:
    """No figure is made up."""
    with pytest.raises(WorkFailed, match="curl did not report"):
        parse_transfer(text)


def test_curl_reads_no_settings_of_the_account() -> None:
    """A proxy or a rate limit in somebody's .curlrc would be measured else; -q counts only as the first option."""
    command = curl(SITE, "http://127.0.0.1:8080/bulk")
    assert command[1] == "-q"
    assert command[command.index("--noproxy") + 1] == "*"
    assert "Host: app.localhost:8080" in command


def test_curl_over_tls_believes_the_sites_authority_and_speaks_the_same_http(tmp_path: Path) -> None:
    """HTTP/1.1 on both sides of the comparison; the certificate is verified."""
    site = attrs.evolve(SITE, authority=tmp_path / "ca.pem")
    command = curl(site, site.url("/bulk"))
    assert command[command.index("--cacert") + 1] == str(tmp_path / "ca.pem")
    assert "--http1.1" in command
    assert command[-1] == "https://localhost:8080/bulk"
    assert "--cacert" not in curl(SITE, SITE.url())


def test_a_visitor_over_tls_verifies(tmp_path: Path) -> None:
    """A server with a certificate of somebody else is no site."""
    places = Places(7070, 20001, 8080, tmp_path)
    places.make_certificate()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(places.certificate, places.key)
    other = tmp_path / "other"
    other.mkdir()
    stranger = Places(7070, 20001, 8080, other)
    stranger.make_certificate()
    for authority, believed in ((places.certificate, True), (stranger.certificate, False)):
        with answering(ANSWER, tls=tls) as site:
            secure = attrs.evolve(site, authority=authority)
            if believed:
                with Visitor(secure) as visitor:
                    assert visitor.ask() > 0
            else:
                with pytest.raises(WorkFailed, match="cannot connect"):
                    Visitor(secure)


def test_the_length_of_an_answer_comes_from_its_head() -> None:
    """Whatever the case of the header's name, and with or without a blank behind it."""
    assert answer_length(HEAD) == len(ANSWER)
    assert answer_length(HEAD.replace(b"Content-Length: ", b"content-length:")) == len(ANSWER) - 1


@pytest.mark.parametrize(
    "head",
    [
        HEAD.replace(b"200 OK", b"502 Bad Gateway"),
        HEAD.replace(b": 200", b": 199"),
        HEAD.replace(b"Content-Length: 200", b"Transfer-Encoding: chunked"),
    ],
)
def test_an_answer_that_is_not_the_upstreams_is_refused(head: bytes) -> None:
    """An error page, another body, or another framing would be another measurement."""
    with pytest.raises(WorkFailed, match="answered"):
        answer_length(head)


def _accepted(plain: socket.socket, tls: ssl.SSLContext | None) -> socket.socket:
    return plain if tls is None else tls.wrap_socket(plain, server_side=True)


@contextmanager
def answering(*pieces: bytes, tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    """A server that waits for one request, sends the pieces one by one, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            plain, _ = server.accept()
            with suppress(ssl.SSLError), plain, _accepted(plain, tls) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.recv(65536)
                for piece in pieces:
                    connection.sendall(piece)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Site(server.getsockname()[1], "bench.localhost")
        thread.join()


@pytest.mark.parametrize("cut", [1, 20, len(HEAD) - 1, len(HEAD), len(HEAD) + 1, len(ANSWER) - 1])
def test_a_visitor_reads_an_answer_however_it_is_cut(cut: int) -> None:
    """A head may come in two pieces; the time is that of the whole."""
    with answering(ANSWER[:cut], ANSWER[cut:]) as site, Visitor(site) as visitor:
        assert visitor.ask() > 0


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (ANSWER[:-1], "closed after"),
        (ANSWER + b"x", "1 bytes too long"),
        (b"x" * 20_000, "has no end"),
        (b"", "closed"),
    ],
)
def test_a_visitor_refuses_an_answer_that_is_short_long_or_endless(sent: bytes, reason: str) -> None:
    """Each with its reason."""
    with answering(sent) as site, Visitor(site) as visitor, pytest.raises(WorkFailed, match=reason):
        visitor.ask()


def test_a_visitor_who_cannot_connect_says_so() -> None:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(WorkFailed, match="cannot connect"):
        Visitor(Site(port, "bench.localhost"))


def test_names_of_work_and_keys_of_metrics_are_unique() -> None:
    """They are what options and JSON rest on."""
    assert len({piece.name for piece in WORK}) == len(WORK)
    assert len({metric.key for metric in METRICS}) == len(METRICS)
