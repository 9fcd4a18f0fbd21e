"""HTTP/2 as visitors meet it conforms, by the judgement of a suite that nobody here wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration import h2spec
from tests.integration.daemons import Client, Daemon, SecureRelay
from tests.integration.upstreams import Nginx

CASES = 146


def test_every_case_passes_through_a_tunnel(
    start_secure: Callable[..., SecureRelay],
    start: Callable[[Daemon], Daemon],
    nginx: Nginx,
    tmp_path: Path,
) -> None:
    """RFC 9113 and RFC 7541, the strict cases as well; and nothing is a surprise to the relay.

    Over TLS, where ALPN says that it is HTTP/2: in the clear, a wrong preface is answered as the HTTP/1 that it is.
    """
    try:
        program = h2spec.install()
    except h2spec.SuiteMissing as reason:
        pytest.skip(str(reason))
    relay = start_secure()
    client = Client(relay, "--local", str(nginx.port), "--name", "app")
    start(client)
    client.url()
    host = relay.host("app").partition(":")[0]
    judgement = h2spec.judge(program, tmp_path, host, relay.port, "-S", "-t", "-k")
    assert (judgement.cases, judgement.passed) == (CASES, CASES), judgement.text
    relay.assert_calm()
    client.assert_calm()
