"""Whether limits are kept, and what they cost others: ``python -m bench.limits``. Needs nginx, wrk and curl."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.integration.daemons import Client, Relay
from tests.integration.upstreams import Nginx

SECONDS = 10
WANTED = 2_000
RATE, BANDWIDTH = 100, 1_000_000
PACED = """
local waits = {waits}
function delay() return waits end
"""
FILE = """
[[tunnel]]
local = "{port}"
name = "limited"
rate = "{rate}/s"

[[tunnel]]
local = "{port}"
name = "paced"
bandwidth-out = "{bandwidth}"

[[tunnel]]
local = "{port}"
name = "free"
"""


def load(relay: Relay, name: str, script: Path, connections: int, *, seconds: int = SECONDS) -> str:
    """What wrk says of a load with pauses between the requests of each connection."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency", "-s", str(script)]
    url = f"http://127.0.0.1:{relay.port}/"
    done = subprocess.run(
        [*command, "-H", f"Host: {relay.host(name)}", url], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def figure(said: str, pattern: str) -> float:
    """The first group as a number; 0.0: it does not say."""
    found = re.search(pattern, said)
    return float(found[1]) if found else 0.0


def p99(said: str) -> float:
    """Milliseconds."""
    found = re.search(r"99%\s+([\d.]+)(us|ms|s)", said)
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]] if found else 0.0


def rates(relay: Relay, home: Path) -> None:
    """More requests than are allowed, while another tunnel has its own load."""
    script = home / "paced.lua"
    script.write_text(PACED.format(waits=10))
    connections = WANTED // 100
    alone = [p99(load(relay, "free", script, connections, seconds=5)) for _ in range(3)]
    with ThreadPoolExecutor() as pool:
        free = pool.submit(load, relay, "free", script, connections)
        beside_free = pool.submit(load, relay, "free", script, connections)
        unlimited = p99(free.result()), p99(beside_free.result())
        limited = pool.submit(load, relay, "limited", script, connections)
        other = p99(pool.submit(load, relay, "free", script, connections).result())
        said = limited.result()
    count = figure(said, r"(\d+) requests in") - figure(said, r"Non-2xx or 3xx responses: (\d+)")
    asked, lasted = figure(said, r"Requests/sec:\s+([\d.]+)"), figure(said, r"requests in ([\d.]+)s")
    print(f"asked {asked:.0f} requests/s of a tunnel with {RATE}/s: {count / lasted:.1f}/s reached the service")
    print(f"p99 of another tunnel: {other:.2f} ms, alone {sorted(alone)[1]:.2f} ms")
    print(f"p99 beside a tunnel without limits: {unlimited[0]:.2f} ms")


def bandwidth(relay: Relay, nginx: Nginx) -> None:
    """Ten downloads at once."""
    nginx.file("megabytes", 12_000_000)

    def download(number: int) -> float:
        host = ["-H", f"Host: {relay.host('paced')}"]
        url = f"http://127.0.0.1:{relay.port}/megabytes"
        done = subprocess.run(
            ["curl", "-s", "-m", str(SECONDS), "-o", "/dev/null", "-w", "%{size_download}", *host, url],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return float(done.stdout)

    began = time.monotonic()
    with ThreadPoolExecutor(10) as pool:
        sizes = list(pool.map(download, range(10)))
    lasted = time.monotonic() - began
    share = min(sizes) / max(sizes)
    print(f"ten downloads of a tunnel with {BANDWIDTH} bytes/s: {sum(sizes) / lasted:.0f} bytes/s together")
    print(f"the slowest got {share:.2f} of what the fastest got")


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "nginx").mkdir()
        nginx = Nginx(home / "nginx")
        relay = Relay(home).ready()
        file = home / "client.toml"
        file.write_text(FILE.format(port=nginx.port, rate=RATE, bandwidth=BANDWIDTH))
        client = Client(relay, "--config", str(file))
        try:
            for name in ("limited", "paced", "free"):
                client.wait_for(name)
            rates(relay, home)
            bandwidth(relay, nginx)
        finally:
            for daemon in (client, relay, nginx):
                daemon.end()


if __name__ == "__main__":
    main()
