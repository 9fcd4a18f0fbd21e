"""The REST API of a real relay: what schemathesis makes of its document, and what its calls do."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.integration.daemons import Client, Daemon, Relay, until
from tests.integration.rawhttp import get
from tests.integration.token_store import state_folder
from tests.integration.upstreams import Nginx

Start = Callable[[Daemon], Daemon]


@attrs.frozen
class Api:
    """The relay's API with its token."""

    relay: Relay
    token: str

    def __call__(self, method: str, path: str, value: Any = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """Status, JSON and headers of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.relay.port, timeout=30)
        fields = {"Authorization": f"Bearer {self.token}", "Host": f"localhost:{self.relay.port}", **headers}
        body = None if value is None else json.dumps(value)
        if body is not None:
            fields.setdefault("Content-Type", "application/json")
        connection.request(method, f"/api/v1{path}", body, fields)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, json.loads(content) if content else None, dict(answer.getheaders())


def started(home: Path, start: Start, *options: str) -> Api:
    """A relay and its API."""
    relay = Relay(home, *options)
    start(relay)
    relay.ready()
    file = state_folder(home) / "admin-token"
    with until("the token of the API") as deadline:
        while "--no-api" not in options and not file.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
    return Api(relay, file.read_text().strip())


@pytest.fixture(params=[1, 2], ids=["one process", "two workers"])
def api(request: pytest.FixtureRequest, tmp_path: Path, start: Start) -> Api:
    """With a store."""
    return started(tmp_path, start, "--store", "sqlite", "--workers", str(request.param))


def test_schemathesis_finds_nothing(tmp_path: Path, start: Start) -> None:
    """No 5xx, and no answer that the document does not describe."""
    api = started(tmp_path, start, "--store", "sqlite")
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        f"http://localhost:{api.relay.port}/api/v1/openapi.json",
        *("-H", f"Authorization: Bearer {api.token}"),
        *("--exclude-path", "/events", "--max-examples", "12", "--seed", "1", "--request-timeout", "30"),
        # what a document cannot say (a share of one tunnel may name paths alone) is a 422
        *("--exclude-checks", "positive_data_acceptance"),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    api.relay.assert_calm()


def test_a_token_from_its_making_to_its_end(api: Api, start: Start, nginx: Nginx) -> None:
    """Made, used, seen, revoked: the client ends with one line."""
    status, made, fields = api("POST", "/tokens", {"name": "laptop", "owner": "ann", "scope": {"names": ["demo-*"]}})
    assert (status, fields["Location"]) == (201, f"/api/v1/tokens/{made['id']}")
    assert api("POST", "/tokens", {"name": "laptop", "owner": "ann"})[0] == 409
    assert "token" not in api("GET", f"/tokens/{made['id']}")[1]
    client = Client(api.relay, "--local", str(nginx.port), "--name", "demo-one", env={"EGTUNNEL_TOKEN": made["token"]})
    start(client)
    client.url()
    (tunnel,) = api("GET", "/tunnels")[1]["tunnels"]
    assert (tunnel["name"], tunnel["servers"][0]["token"]) == ("demo-one", made["id"])
    (guest,) = api("GET", "/clients")[1]["clients"]
    assert (guest["tunnels"], guest["online"]) == (1, True)
    assert api("GET", "/status")[1]["tunnels"] == 1
    assert api("DELETE", f"/tokens/{made['id']}")[0] == 204
    assert client.exit_status() == 1
    assert "revoked" in client.output
    assert api("DELETE", f"/tokens/{made['id']}")[0] == 404
    assert api("GET", f"/tokens/{made['id']}")[0] == 404
    assert [row["state"] for row in api("GET", "/tokens?owner=ann")[1]["tokens"]] == ["revoked"]


def test_names_shares_owners_and_refusals(api: Api, start: Start, nginx: Nginx) -> None:
    """Each does what its command does; pages go on where the last one ended."""
    for name in ("one", "two", "three"):
        assert api("POST", "/names", {"kind": "name", "value": name, "owner": "ann"})[0] == 201
    page = api("GET", "/names?limit=2")[1]
    rest = api("GET", f"/names?limit=2&after={page['next']}")[1]
    assert [row["value"] for row in page["names"] + rest["names"]] == ["one", "three", "two"]
    assert rest["next"] is None
    assert api("POST", "/names", {"kind": "name", "value": "api"})[0] == 422
    with until("the name to be known as another's") as deadline:
        while time.monotonic() < deadline:
            refused = Client(api.relay, "--local", str(nginx.port), "--name", "one", "--state", str(api.relay.home))
            start(refused)
            refused.wait_for("reserved for its owner|->")
            if "reserved for its owner" in refused.output:
                break
            refused.stop()
    with until("the refusal to be written") as deadline:
        while not api("GET", "/refusals")[1]["refusals"] and time.monotonic() < deadline:
            time.sleep(0.1)
    assert api("GET", "/refusals")[1]["refusals"][0]["rule"] == "name-owned"
    assert api("DELETE", "/names/name/two")[0] == 204

    status, share, _ = api("POST", "/shares", {"tunnels": ["demo.localhost"], "expires_in": "1h", "note": "x"})
    assert status == 201 and "/share/" in share["link"]
    assert get(api.relay.port, "localhost", share["link"].partition(str(api.relay.port))[2]).status == 503
    assert api("DELETE", f"/shares/{share['id']}")[0] == 204
    with until("the link to lead nowhere", 1.0) as deadline:
        path = share["link"].partition(str(api.relay.port))[2]
        while get(api.relay.port, "localhost", path).status != 410 and time.monotonic() < deadline:
            time.sleep(0.02)

    (ann,) = [row for row in api("GET", "/owners")[1]["owners"] if row["name"] == "ann"]
    assert api("PATCH", f"/owners/{ann['id']}", {"disabled": True})[1]["disabled"] is not None
    assert api("PATCH", f"/owners/{ann['id']}", {"disabled": False})[1]["disabled"] is None


def test_events_and_a_client_that_is_sent_away(api: Api, start: Start, nginx: Nginx) -> None:
    """They come at once; the client comes back by itself."""
    connection = http.client.HTTPConnection("127.0.0.1", api.relay.port, timeout=30)
    connection.request("GET", "/api/v1/events", headers={"Authorization": f"Bearer {api.token}"})
    stream = connection.getresponse()
    assert stream.headers["Content-Type"] == "text/event-stream"
    assert stream.readline() == b": listening\n"
    client = Client(api.relay, "--local", str(nginx.port), "--name", "demo")
    start(client)
    client.url()

    def event(kind: str) -> dict[str, Any]:
        while stream.readline().strip() != f"event: {kind}".encode():
            pass
        found: dict[str, Any] = json.loads(stream.readline().removeprefix(b"data: "))
        return found

    assert event("claimed")["name"] == "demo"
    (guest,) = api("GET", "/clients")[1]["clients"]
    assert api("DELETE", f"/clients/{guest['session']}")[0] == 204
    assert api("DELETE", "/clients/nobody")[0] == 404
    client.wait_for("connected again")
    wrong = Client(api.relay, "--local", "1", env={"EGTUNNEL_TOKEN": "wrong"}, prefix=None)
    start(wrong)
    assert event("refused")["rule"] == "bad-token"
    connection.close()


def test_what_is_not_allowed(tmp_path: Path, start: Start) -> None:
    """Without the token, beyond the limits, with another method: a problem each, and the relay goes on."""
    api = started(tmp_path, start)
    stranger = Api(api.relay, "wrong")
    for problem, wanted in (
        (stranger("GET", "/tokens"), 401),
        (api("GET", "/nothing"), 404),
        (api("PUT", "/status"), 405),
        (api("GET", "/status?colour=red"), 400),
        (api("GET", "/tokens"), 409),
        (api("POST", "/tokens", {"name": "x" * 70_000}), 413),
        (api("POST", "/tokens", {"name": "x"}, **{"Content-Type": "text/plain"}), 415),
    ):
        status, value, fields = problem
        assert (status, value["status"]) == (wanted, wanted), value
        assert fields["Content-Type"] == "application/problem+json"
    assert api("PUT", "/status")[2]["Allow"] == "GET, HEAD"
    for _ in range(20):
        stranger("GET", "/status")
    assert api("GET", "/status")[0] == 429
    api.relay.assert_calm()
    api.relay.stop()
    assert started(tmp_path, start, "--no-api")("GET", "/status", Accept="application/json")[0] == 404
