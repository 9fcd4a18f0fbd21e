"""Own error pages: which file is taken, when it is read, and what is filled in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from egtunnel.ingress.http.error_pages import ErrorPageLimits, ErrorPages, fill
from egtunnel.ingress.http.ingress import SiteSettings
from egtunnel.ingress.http.refusals import AWAY, UNKNOWN, Refusal
from tests.ingress.http.world import Answer, World, answers, get


class Pages:
    """A folder of pages and a clock."""

    def __init__(self, folder: Path, **limits: float) -> None:
        self.folder = folder
        self.now = 0.0
        self.pages = ErrorPages(folder, ErrorPageLimits(**limits), lambda: self.now)  # type: ignore[arg-type]

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def find(self, name: str, status: int, later: float = 10.0) -> bytes | None:
        self.now += later
        return self.pages.find(name, status)


def test_the_nearest_page_is_taken(tmp_path: Path) -> None:
    """The tunnel's before everybody's, and within each the status before its class before the rest."""
    pages = Pages(tmp_path)
    order = ["default.html", "4xx.html", "404.html", "app/default.html", "app/4xx.html", "app/404.html"]
    assert pages.find("app", 404) is None
    for name in order:
        pages.write(name, name)
        assert pages.find("app", 404) == name.encode()
    assert pages.find("app", 503) == b"app/default.html"
    assert pages.find("other", 404) == pages.find("", 404) == b"404.html"
    assert pages.find("other", 410) == b"4xx.html"
    assert pages.find("other", 502) == b"default.html"


def test_a_change_is_seen_after_a_moment(tmp_path: Path) -> None:
    """Files are looked at once in ``fresh`` seconds, and read again only if they changed."""
    pages = Pages(tmp_path, fresh=2.0)
    path = pages.write("404.html", "one")
    assert pages.find("", 404) == b"one"
    path.write_text("other")
    assert pages.find("", 404, 1.9) == b"one"
    assert pages.find("", 404, 0.2) == b"other"
    path.unlink()
    assert pages.find("", 404) is None


@pytest.mark.parametrize("name", ["..", ".", "../app", "a/b", "/etc", "a\0b", "A", "", "x" * 300, "..%2f", "a\\b"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    """What is no tunnel's name is no folder's either."""
    pages = Pages(tmp_path / "pages")
    pages.write("../404.html", "secret")
    pages.write("404.html", "public")
    assert pages.find(name, 404) == b"public"


def test_links_within_the_folder_are_followed_and_no_others(tmp_path: Path) -> None:
    """A tunnel's folder that somebody else may write gives no file of the relay away."""
    pages = Pages(tmp_path / "pages")
    pages.write("shared/page.html", "shared")
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (pages.folder / "404.html").symlink_to("shared/page.html")
    (pages.folder / "403.html").symlink_to(secret)
    (pages.folder / "app").symlink_to(tmp_path)
    (tmp_path / "404.html").write_text("outside")
    assert pages.find("app", 404) == b"shared"
    assert pages.find("app", 403) is None


def test_what_is_too_large_or_no_file_is_left_out(tmp_path: Path) -> None:
    """A pipe would make the relay wait."""
    pages = Pages(tmp_path, size=10)
    pages.write("default.html", "x" * 10)
    pages.write("404.html", "x" * 11)
    os.mkfifo(tmp_path / "502.html")
    (tmp_path / "503.html").mkdir()
    for status in (404, 502, 503):
        assert pages.find("", status) == b"x" * 10


def test_a_page_that_becomes_readable_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be opened once is tried again once its rights have changed."""
    pages = Pages(tmp_path)
    path = pages.write("404.html", "page")
    path.chmod(0o640)
    real = os.open

    def denied(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    assert pages.find("", 404) is None
    monkeypatch.setattr(os, "open", real)
    path.chmod(0o644)
    assert pages.find("", 404) == b"page"


def test_only_so_many_files_are_remembered(tmp_path: Path) -> None:
    """The one that was asked for longest ago is forgotten, and found again."""
    pages = Pages(tmp_path, entries=4)
    pages.write("404.html", "page")
    for number in range(100):
        assert pages.find(f"app{number}", 404, 0.0) == b"page"
    assert len(pages.pages._entries) == 4


def test_placeholders_are_filled_in_and_escaped() -> None:
    """Other braces, bytes of any charset and dollars stay; what is filled in is not looked at again."""
    page = b"<style>a{b:c}</style>{status} {reason} {word} {host} {text} {nothing} $status \xff"
    filled = fill(page, Refusal(404, "a&b", "<{status}>"), b'"{word}"<b>\xff')
    assert filled == (
        b"<style>a{b:c}</style>404 Not Found a&amp;b &quot;{word}&quot;&lt;b&gt;&#65533; &lt;{status}&gt; "
        b"{nothing} $status \xff"
    )
    assert fill(b"{text}", AWAY) == AWAY.text.encode()


def ask(folder: Path, host: str, *headers: str) -> Answer:
    """What a visitor gets from a relay with pages there."""
    world = World(settings=SiteSettings(error_pages=ErrorPages(folder)))
    world.app.failure = ConnectionRefusedError()
    (answer,) = answers(world.visitor(get("/", host, *headers)).take())
    return answer


def test_visitors_get_the_page_with_the_headers_of_every_error(tmp_path: Path) -> None:
    """Of the tunnel's folder if it is a tunnel's error."""
    pages = Pages(tmp_path)
    pages.write("default.html", "all {status} {host}")
    pages.write("app/5xx.html", "app {status} {word}")
    answer = ask(tmp_path, "nobody.relay.test")
    assert (answer.status, answer.body) == (404, b"all 404 nobody.relay.test")
    answer = ask(tmp_path, "app.relay.test")
    assert (answer.status, answer.body) == (502, b"app 502 upstream-broke")
    assert answer.word == "upstream-broke"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["date"].endswith(" GMT")


def test_who_asks_for_json_gets_json(tmp_path: Path) -> None:
    """Pages are for browsers."""
    Pages(tmp_path).write("default.html", "page")
    answer = ask(tmp_path, "nobody.relay.test", "Accept: application/json")
    assert answer.headers["content-type"] == "application/json"
    assert UNKNOWN.word.encode() in answer.body
