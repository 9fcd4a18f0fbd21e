"""A folder as a target: what real visitors get of it, and what they cannot."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.daemons import Client, Relay
from tests.integration.programs import curl
from tests.integration.rawhttp import Connection, get

BIG = bytes(range(256)) * 20_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is served, and beside it what is not."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.txt").write_text("the secret")
    (outside / "www-also").mkdir()
    (outside / "www-also" / "secret.txt").write_text("the secret")
    www = outside / "www"
    (www / "sub").mkdir(parents=True)
    (www / ".well-known").mkdir()
    (www / ".git").mkdir()
    for name, content in {
        "index.html": "<h1>first</h1>",
        "sub/page.txt": "gr\u00fc\u00dfe",
        "a b%.css": "b{}",
        ".git/config": "the secret",
        ".htpasswd": "the secret",
        ".well-known/acme": "well known",
        "pack.tar.gz": "zzz",
        "data.unknown": "?",
    }.items():
        (www / name).write_text(content)
    (www / "big.bin").write_bytes(BIG)
    (www / "link-in").symlink_to("sub/page.txt")
    (www / "link-out").symlink_to(outside / "secret.txt")
    (www / "folder-out").symlink_to(outside)
    os.mkfifo(www / "fifo")
    return www


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Relay]:
    """A relay and two clients: ``files``, and ``list`` with a listing."""
    running = Relay(tmp_path_factory.mktemp("files"))
    clients = []
    try:
        running.ready()
        clients.append(Client(running, "--local", f"file:{folder}", "--name", "files"))
        clients.append(Client(running, "--local", f"file://{folder}", "--name", "list", "--listing"))
        for client in clients:
            client.url()
        yield running
        for daemon in (running, *clients):
            daemon.assert_calm()
    finally:
        for client in clients:
            client.end()
        running.end()


def url(relay: Relay, path: str, name: str = "files") -> str:
    return f"http://{name}.localhost:{relay.port}{path}"


def headers(relay: Relay, path: str, *options: str) -> str:
    """The head of an answer, in lower case."""
    return curl(url(relay, path), "--output", "/dev/null", "--dump-header", "-", *options).decode().lower()


@pytest.mark.parametrize(
    ("path", "content", "kind"),
    [
        ("/", b"<h1>first</h1>", "text/html; charset=utf-8"),
        ("/sub/page.txt", "gr\u00fc\u00dfe".encode(), "text/plain; charset=utf-8"),
        ("/link-in", "gr\u00fc\u00dfe".encode(), "application/octet-stream"),
        ("/a%20b%25.css", b"b{}", "text/css; charset=utf-8"),
        ("/.well-known/acme", b"well known", "application/octet-stream"),
        ("/pack.tar.gz", b"zzz", "application/gzip"),
        ("/data.unknown", b"?", "application/octet-stream"),
        ("/big.bin", BIG, "application/octet-stream"),
    ],
)
def test_a_file_is_served_as_what_it_is(relay: Relay, path: str, content: bytes, kind: str) -> None:
    """By curl, with its type."""
    assert curl(url(relay, path)) == content
    head = headers(relay, path)
    assert f"content-type: {kind}\r\n" in head
    assert "x-content-type-options: nosniff" in head
    assert f"content-length: {len(content)}\r\n" in headers(relay, path, "--head")


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/sub/../../secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/sub/..%2f..%2fsecret.txt",
        "/../www-also/secret.txt",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/link-out",
        "/folder-out/secret.txt",
        "/folder-out/",
        "/.git/config",
        "/.htpasswd",
        "/fifo",
        "/%00",
        "/big.bin%00.html",
        "/%ff%fe",
        "/" + "x" * 300,
        "/sub",
        "/nothing",
        "/index.html/more",
    ],
)
def test_nothing_else_is_served(relay: Relay, path: str) -> None:
    """Paths in every disguise, links that lead out, names with a dot, and what is no file: no content, no delay."""
    for name in ("files", "list"):
        answer = get(relay.port, f"{name}.localhost", path)
        assert answer.status in ((301,) if path == "/sub" else (400, 403, 404)), answer
        assert b"the secret" not in answer.body
        assert b"root:" not in answer.body


def test_a_folder_moves_to_itself_with_a_slash(relay: Relay) -> None:
    """By path alone, so that a visitor stays at the scheme and host he knows; and never to another host."""
    assert "location: /sub/?a=b\r\n" in headers(relay, "/sub?a=b")
    answer = get(relay.port, "files.localhost", "//sub")
    assert answer.headers.get("location", "/").startswith("/")
    assert not answer.headers.get("location", "").startswith("//")


def test_names_are_listed_only_if_asked_for(relay: Relay) -> None:
    """And then without those that are not served."""
    assert get(relay.port, "files.localhost", "/sub/").status == 404
    assert b"page.txt" in curl(url(relay, "/sub/", "list"))
    assert b"first" in curl(url(relay, "/", "list"))
    listed = curl(url(relay, "/.well-known/", "list"))
    assert b"acme" in listed


def test_parts_of_a_file(relay: Relay) -> None:
    """Ranges, several at once, and those that are not there (RFC 9110 section 14)."""
    assert curl(url(relay, "/big.bin"), "--range", "1000-1999") == BIG[1000:2000]
    assert curl(url(relay, "/big.bin"), "--range", "-10") == BIG[-10:]
    assert "206" in headers(relay, "/big.bin", "--range", "0-0")
    assert "multipart/byteranges" in headers(relay, "/big.bin", "--range", "0-0,5-6")
    assert "416" in headers(relay, "/big.bin", "--range", f"{len(BIG)}-")


def test_too_many_parts_are_the_whole(relay: Relay) -> None:
    """They may overlap: a thousand would be a thousand times the file."""
    assert "206" in headers(relay, "/big.bin", "--range", ",".join(["0-"] * 16))
    many = headers(relay, "/big.bin", "--range", ",".join(["0-"] * 17))
    assert "200" in many and f"content-length: {len(BIG)}\r\n" in many


def test_a_visitor_who_has_it_gets_no_second_copy(relay: Relay) -> None:
    """Conditional requests (RFC 9110 section 13)."""
    head = headers(relay, "/big.bin")
    tag = head.split("etag: ")[1].split("\r\n")[0]
    date = head.split("last-modified: ")[1].split("\r\n")[0]
    old, new = "Mon, 01 Jan 2001 00:00:00 GMT", date.replace("gmt", "GMT").title().replace("Gmt", "GMT")

    def status(*lines: str) -> int:
        options = [word for line in lines for word in ("--header", line)]
        return int(headers(relay, "/big.bin", *options).split()[1])

    assert status(f"If-None-Match: {tag}") == 304
    assert status('If-None-Match: "other"') == 200
    assert status('If-None-Match: "other"', f"If-Modified-Since: {new}") == 200
    assert status(f"If-Modified-Since: {new}") == 304
    assert status(f"If-Modified-Since: {old}") == 200
    assert status('If-Match: "other"') == 412
    assert status(f"If-Match: {tag}") == 200
    assert status(f"If-Unmodified-Since: {old}") == 412
    assert status(f"If-Unmodified-Since: {new}") == 200
    assert status("Range: bytes=0-9", f"If-Range: {tag}") == 206
    assert status("Range: bytes=0-9", 'If-Range: "other"') == 200


def test_only_reading(relay: Relay) -> None:
    """405 names what can be done."""
    answer = headers(relay, "/", "--request", "DELETE")
    assert "405" in answer
    assert "allow: get, head" in answer or "allow: head, get" in answer


def test_a_visitor_who_leaves_costs_nothing(relay: Relay) -> None:
    """A hundred who break off within a download: the client serves on."""
    for _ in range(100):
        with Connection(relay.port) as visitor:
            visitor.send(f"GET /big.bin HTTP/1.1\r\nHost: files.localhost:{relay.port}\r\n\r\n".encode())
            visitor.socket.recv(1000)
            visitor.socket.shutdown(socket.SHUT_RDWR)
    assert curl(url(relay, "/sub/page.txt")) == "gr\u00fc\u00dfe".encode()
