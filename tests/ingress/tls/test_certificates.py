"""Which certificate for which name, and new ones when files change."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from egtunnel.errors import ConfigurationError
from egtunnel.ingress.tls.certificates import Certificates
from egtunnel.ingress.tls.limits import TLSLimits
from tests.client.certificates import Authority
from tests.ingress.tls.papers import write_pair


class Shelf:
    """A folder of certificates, and what is said about them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "certs"
        self.folder.mkdir()
        self.authority = Authority(folder)
        self.clock = Clock()
        self.said: list[str] = []
        self.times = 0

    def put(self, file: str, *hosts: str, days: float = 1) -> Path:
        """A certificate with its key, in one file, newer than all before."""
        path = self.folder / file
        write_pair(self.authority, path, path, *hosts, days=days)
        self.touch(path)
        return path

    def touch(self, path: Path) -> None:
        """File systems may tell no two moments apart."""
        self.times += 1
        os.utime(path, ns=(self.times * 10**9, self.times * 10**9))

    def certificates(self, **more: Any) -> Certificates:
        """Those of the folder."""
        folder = more.pop("folder", self.folder)
        return Certificates(self.clock, "example.com", folder=folder, say=self.said.append, **more)

    def loaded(self, **more: Any) -> Certificates:
        """Read and watched."""
        certificates = self.certificates(**more)
        certificates.load()
        certificates.start()
        return certificates


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    """Nothing is left on its clock."""
    yield Shelf(tmp_path)


def source(certificates: Certificates, name: str) -> str | None:
    """The file whose certificate is shown for a name."""
    served = certificates.find(name)
    return None if served is None else served.pair.source.name


def test_an_exact_name_comes_before_a_wildcard(shelf: Shelf) -> None:
    """And a wildcard is good for one label."""
    shelf.put("1.pem", "*.example.com")
    shelf.put("2.pem", "app.example.com")
    found = shelf.loaded()
    assert source(found, "app.example.com") == "2.pem"
    assert source(found, "other.example.com") == "1.pem"
    assert source(found, "a.b.example.com") is None
    assert source(found, "example.com") is None
    assert source(found, "example.org") is None


def test_who_names_no_host_gets_the_one_that_was_given_by_itself(shelf: Shelf, tmp_path: Path) -> None:
    """Else that of the relay's own host, else the only one, else none."""
    shelf.put("1.pem", "www.example.org")
    assert source(shelf.loaded(), "") == "1.pem"
    shelf.put("2.pem", "www.example.net")
    assert source(shelf.loaded(), "") is None
    shelf.put("3.pem", "example.com")
    assert source(shelf.loaded(), "") == "3.pem"
    write_pair(shelf.authority, tmp_path / "own.pem", tmp_path / "own.key", "example.edu")
    assert source(shelf.loaded(files=(tmp_path / "own.pem", tmp_path / "own.key")), "") == "own.pem"


def test_of_two_for_one_name_the_one_that_lasts_longer_is_shown(shelf: Shelf) -> None:
    """A renewed certificate may lie beside the old one."""
    shelf.put("1.pem", "example.com", days=1)
    shelf.put("2.pem", "example.com", days=9)
    shelf.put("3.pem", "example.com", days=5)
    assert source(shelf.loaded(), "example.com") == "2.pem"


def test_a_file_that_changes_is_read_again(shelf: Shelf) -> None:
    """Within a few seconds; the one of before stays with who has it."""
    shelf.put("1.pem", "example.com")
    found = shelf.loaded()
    before = found.find("example.com")
    shelf.clock.advance(5)
    assert found.find("example.com") is before
    shelf.put("1.pem", "example.com", "www.example.com")
    shelf.clock.advance(5)
    assert found.find("example.com") is not before
    assert source(found, "www.example.com") == "1.pem"
    assert shelf.said == []


def test_files_may_come_and_go(shelf: Shelf) -> None:
    """Each with its names."""
    shelf.put("1.pem", "example.com")
    found = shelf.loaded()
    second = shelf.put("2.pem", "example.org")
    shelf.clock.advance(5)
    assert source(found, "example.org") == "2.pem"
    second.unlink()
    shelf.clock.advance(5)
    assert source(found, "example.org") is None
    assert source(found, "example.com") == "1.pem"


def test_a_folder_that_is_emptied_changes_nothing(shelf: Shelf) -> None:
    """Somebody is about to fill it again."""
    file = shelf.put("1.pem", "example.com")
    found = shelf.loaded()
    file.unlink()
    shelf.clock.advance(5)
    assert source(found, "example.com") == "1.pem"


def test_a_bad_file_keeps_the_old_certificate_and_is_said_once(shelf: Shelf) -> None:
    """However often it is looked at; when it is good again it is taken."""
    file = shelf.put("1.pem", "example.com")
    found = shelf.loaded()
    file.write_text("half a certif")
    shelf.touch(file)
    shelf.clock.pump([5] * 3)
    assert source(found, "example.com") == "1.pem"
    (line,) = shelf.said
    assert "1.pem holds no certificate" in line and "of before stays" in line
    shelf.put("1.pem", "example.com", "new.example.com")
    shelf.clock.advance(5)
    assert source(found, "new.example.com") == "1.pem"
    assert len(shelf.said) == 1


def test_at_the_start_a_bad_file_among_good_ones_is_passed_over(shelf: Shelf) -> None:
    """And said; without any good one the relay does not start."""
    bad = shelf.folder / "0.pem"
    bad.write_text("nothing")
    with pytest.raises(ConfigurationError, match=r"0\.pem holds no certificate"):
        shelf.certificates().load()
    shelf.put("1.pem", "example.com")
    assert source(shelf.loaded(), "example.com") == "1.pem"
    assert ["going on without it" in line for line in shelf.said] == [True]


def test_at_the_start_the_certificate_that_was_named_must_be_good(shelf: Shelf, tmp_path: Path) -> None:
    """Whatever else there is."""
    shelf.put("1.pem", "example.com")
    with pytest.raises(ConfigurationError, match="cannot read"):
        shelf.certificates(files=(tmp_path / "none.pem", tmp_path / "none.key")).load()
    (shelf.folder / "1.pem").unlink()
    with pytest.raises(ConfigurationError, match="there is no certificate in"):
        shelf.certificates().load()


def test_a_folder_that_vanishes_is_said_once(shelf: Shelf) -> None:
    """The certificates stay."""
    shelf.put("1.pem", "example.com")
    found = shelf.loaded()
    shelf.folder.rename(shelf.folder.with_name("elsewhere"))
    shelf.clock.pump([5] * 3)
    assert source(found, "example.com") == "1.pem"
    assert ["stay as they are" in line for line in shelf.said] == [True]


def test_the_authority_of_clients_must_be_one(shelf: Shelf, tmp_path: Path) -> None:
    """Checked at the start."""
    shelf.put("1.pem", "example.com")
    nothing = tmp_path / "ca.pem"
    with pytest.raises(ConfigurationError, match="cannot read"):
        shelf.certificates(authority=nothing).load()
    nothing.write_text("nothing")
    with pytest.raises(ConfigurationError, match="holds no certificate"):
        shelf.certificates(authority=nothing).load()


def test_ticket_keys_are_replaced_in_time(shelf: Shelf) -> None:
    """With a new context; until then there is one."""
    shelf.put("1.pem", "example.com")
    found = shelf.loaded(limits=TLSLimits(tickets=100))
    served = found.find("example.com")
    assert served is not None
    first = found.context(served, "example.com")
    shelf.clock.advance(100)
    assert found.context(served, "example.com") is first
    shelf.clock.advance(5)
    assert found.context(served, "example.com") is not first
    found.stop()
    assert shelf.clock.getDelayedCalls() == []
