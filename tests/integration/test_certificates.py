"""A relay's certificates, with openssl as the visitor: chosen by name, replaced in the midst of everything."""

from __future__ import annotations

import asyncio
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.integration.daemons import PATIENCE, Client, SecureRelay, until
from tests.integration.papers import Papers
from tests.integration.programs import program
from tests.integration.transfers import MIB, Sized, WebService, read_digest, sha256_of_blocks
from tests.integration.websockets import BINARY, Conversation
from tests.integration.wstest import echo_server

StartSecure = Callable[..., SecureRelay]
BLOCKS = 256
"""MiB of the download that outlives its certificate."""


def s_client(port: int, *options: str) -> str:
    """What ``openssl s_client`` says of a handshake."""
    argv = [program("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-verify_quiet", *options]
    done = subprocess.run(argv, input=b"", capture_output=True, timeout=PATIENCE, check=False)
    return (done.stdout + done.stderr).decode("utf-8", "replace")


def serial(port: int, name: str) -> str:
    """The serial number of the certificate shown for a name."""
    shown = s_client(port, "-servername", name)
    pem = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", shown, re.S)
    assert pem is not None, shown
    argv = [program("openssl"), "x509", "-noout", "-serial"]
    return subprocess.run(argv, input=pem.group(), capture_output=True, text=True, check=True).stdout


def test_each_name_has_its_own_certificate(papers: Papers, start_secure: StartSecure, tmp_path: Path) -> None:
    """A folder beside the relay's own; a name without any ends with ``unrecognized_name``."""
    folder = tmp_path / "certs"
    folder.mkdir()
    (folder / "other.pem").write_bytes(b"".join(papers.authority.pair("www.example.org")))
    (folder / "other.pem").chmod(0o600)
    relay = start_secure("--tls-dir", str(folder))
    for name in (papers.domain, f"app.{papers.domain}", "www.example.org"):
        said = s_client(relay.port, "-servername", name, "-CAfile", str(papers.ca), "-verify_hostname", name)
        assert "Verify return code: 0 (ok)" in said
    assert "Verify return code: 0 (ok)" in s_client(relay.port, "-noservername", "-CAfile", str(papers.ca))
    for name in ("www.example.net", f"a.b.{papers.domain}"):
        assert re.search("alert number 112|unrecognized name", s_client(relay.port, "-servername", name))
    relay.assert_calm()


def test_old_versions_and_ciphers_are_refused(papers: Papers, start_secure: StartSecure) -> None:
    """TLS 1.2 and 1.3 are spoken, each with ciphers that have forward secrecy and authenticate."""
    relay = start_secure()
    for version in ("-tls1", "-tls1_1"):
        assert "Cipher is (NONE)" in s_client(relay.port, version, "-cipher", "ALL:@SECLEVEL=0")
    for cipher in ("AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA256", "AES128-GCM-SHA256"):
        assert "Cipher is (NONE)" in s_client(relay.port, "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0")
    assert "Cipher is ECDHE-ECDSA-AES128-GCM-SHA256" in s_client(
        relay.port, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"
    )
    assert "New, TLSv1.3, Cipher is TLS_AES" in s_client(relay.port, "-tls1_3")
    relay.assert_calm()


def test_a_certificate_is_replaced_while_a_download_and_a_websocket_run(
    papers: Papers, start_secure: StartSecure, start: Callable[[Client], Client], tmp_path: Path
) -> None:
    """Both go on, the next handshake shows the new certificate; a bad file changes nothing and is named."""
    echo, echo_port = echo_server(tmp_path)
    with WebService() as web:
        try:
            relay = start_secure()
            for name, port in {"web": web.port, "echo": echo_port}.items():
                client = Client(relay, "--local", str(port), "--name", name, "--state", str(tmp_path / name))
                start(client)
                client.wait_for("^https://")
            asyncio.run(replace_in_the_midst(papers, relay))
        finally:
            echo.end()


async def replace_in_the_midst(papers: Papers, relay: SecureRelay) -> None:
    """The story of the test above."""
    before = serial(relay.port, papers.domain)
    talk = await Conversation.begin(relay.port, relay.host("echo"), papers.context())
    visitor = papers.visit(f"https://{relay.host('web')}/")
    visitor.request("GET", f"/sized/{BLOCKS}")
    answer = visitor.getresponse()
    first = answer.read(MIB)  # the rest waits: TCP holds it back until somebody reads
    papers.issue(papers.domain, f"*.{papers.domain}")
    after = before
    with until("the new certificate") as deadline:
        while after == before and time.monotonic() < deadline:
            await asyncio.sleep(0.2)
            after = serial(relay.port, papers.domain)
    papers.cert.write_text("half a certif")
    relay.wait_for("cert.pem holds no certificate.*stays")
    assert serial(relay.port, papers.domain) == after
    await talk.send(b"still here")
    assert await talk.receive() == (BINARY, b"still here")
    await talk.end()
    digest, size = await asyncio.to_thread(read_digest, Rest(first, answer))
    assert (digest, size) == (sha256_of_blocks(BLOCKS), BLOCKS * MIB)
    relay.assert_calm()


class Rest:
    """What was read already, then the rest."""

    def __init__(self, first: bytes, answer: Sized) -> None:
        self._first = first
        self._answer = answer

    def read(self, size: int, /) -> bytes:
        """The next piece."""
        first, self._first = self._first, b""
        return first or self._answer.read(size)
