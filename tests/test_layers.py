"""Who may import whom, as data; and the shape of the tree: short files, plain names, one place for autobahn."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).resolve().parents[1]
LONGEST_FILE = 400
"""Lines; a file that needs more holds more than one idea."""
EMPTY_NAMES = {"manager", "handler", "helper", "helpers", "util", "utils", "common", "processor", "engine", "misc"}
TAPS = {"egtunnel.relay.tap", "egtunnel.client.tap", "egtunnel.command.foreground"}
AUTOBAHN_HOME = "egtunnel.session.websocket"

EAGER = frozenset({"egtunnel.eager", "egtunnel.eager_dial", "egtunnel.eager_tls"})
SEAMS = EAGER | {
    "egtunnel.datagrams",
    "egtunnel.errors",
    "egtunnel.guard",
    "egtunnel.interfaces",
    "egtunnel.listening",
    "egtunnel.policy",
    "egtunnel.splice",
}
DAEMON = frozenset(
    {
        "egtunnel.clock",
        "egtunnel.configuration",
        "egtunnel.descriptors",
        "egtunnel.eager_loop",
        "egtunnel.garbage",
        "egtunnel.signals",
        "egtunnel.terminal",
    }
)
"""What both daemons share and no layer below them may know."""
ROOMS_OF_TOKENS = frozenset({"egtunnel.access", "egtunnel.store.records"})
STDLIB = frozenset(sys.stdlib_module_names)
PURE = (STDLIB | {"attrs"}) - {"time", "socket", "select", "selectors", "asyncio", "threading", "ssl"}


@attrs.frozen
class Layer:
    """One row of the rules: ``own`` may import itself, ``inside`` of egtunnel, ``outside`` of it (None: anything)."""

    own: str
    inside: frozenset[str] | None
    outside: frozenset[str] | None = None

    def holds(self, module: str) -> bool:
        """Whether the module belongs to this layer."""
        return within(module, self.own)

    def allows(self, target: str) -> bool:
        """Whether a module of this layer may import ``target``."""
        if not within(target, "egtunnel"):
            return self.outside is None or target.partition(".")[0] in self.outside
        if self.inside is None or target in ("egtunnel", "egtunnel.__version__"):
            return True
        return any(within(target, allowed) for allowed in (self.own, *self.inside))


LAYERS = (  # the first row that holds a module counts
    Layer("egtunnel.errors", frozenset(), STDLIB),
    Layer("egtunnel.policy", frozenset({"egtunnel.errors"}), PURE),
    Layer(
        "egtunnel.interfaces", frozenset({"egtunnel.errors", "egtunnel.policy"}), STDLIB | {"attrs", "twisted", "zope"}
    ),
    Layer(
        "egtunnel.guard",
        frozenset({"egtunnel.errors", "egtunnel.interfaces"}),
        STDLIB | {"attrs", "twisted", "zope"},
    ),
    Layer("egtunnel.datagrams", frozenset({"egtunnel.errors"}), STDLIB | {"attrs", "twisted", "zope"}),
    Layer("egtunnel.eager", frozenset(), STDLIB | {"twisted"}),
    Layer("egtunnel.eager_dial", frozenset(), STDLIB | {"twisted", "zope"}),
    Layer("egtunnel.listening", frozenset(), STDLIB | {"twisted"}),
    Layer("egtunnel.tls_records", frozenset(), STDLIB | {"OpenSSL", "attrs"}),
    Layer("egtunnel.eager_tls", frozenset({"egtunnel.eager", "egtunnel.tls_records"}), STDLIB | {"OpenSSL", "twisted"}),
    Layer("egtunnel.splice", SEAMS, STDLIB | {"attrs", "twisted", "zope"}),
    Layer("egtunnel.clock", frozenset({"egtunnel.errors"})),
    Layer("egtunnel.configuration", frozenset({"egtunnel.errors"})),
    Layer("egtunnel.descriptors", frozenset(), STDLIB),
    Layer("egtunnel.eager_loop", frozenset(), STDLIB | {"twisted"}),
    Layer("egtunnel.garbage", frozenset(), STDLIB),
    Layer("egtunnel.signals", frozenset(), STDLIB),
    Layer("egtunnel.hangup", frozenset(), STDLIB | {"twisted"}),
    Layer("egtunnel.terminal", frozenset({"egtunnel.errors"})),
    Layer("egtunnel.mux", frozenset({"egtunnel.errors"}), PURE),
    Layer("egtunnel.session.messages", frozenset({"egtunnel.errors"}), PURE),
    Layer("egtunnel.session", frozenset({"egtunnel.eager", "egtunnel.errors", "egtunnel.interfaces", "egtunnel.mux"})),
    Layer("egtunnel.store.records", frozenset(), PURE),
    Layer("egtunnel.store.address", frozenset({"egtunnel.errors"}), PURE),
    *(
        Layer(f"egtunnel.access.{name}", frozenset({"egtunnel.errors", "egtunnel.store.records"}), PURE)
        for name in ("cache", "cookies", "passphrases", "paths", "tokens")
    ),
    Layer("egtunnel.access.scope", frozenset({"egtunnel.errors", "egtunnel.limits"}), PURE),
    Layer(
        "egtunnel.access.shares",
        frozenset({"egtunnel.access.paths", "egtunnel.errors", "egtunnel.store.records"}),
        PURE,
    ),
    Layer("egtunnel.access", SEAMS | {"egtunnel.store.limits", "egtunnel.store.records"}),
    *(
        Layer(f"egtunnel.sharing.{name}", SEAMS | {"egtunnel.access", "egtunnel.store.records"}, PURE)
        for name in ("limits", "making", "verdicts")
    ),
    Layer("egtunnel.admin.openapi", frozenset({"egtunnel.admin"}), PURE),
    Layer("egtunnel.admin.limits", frozenset(), PURE),
    Layer(
        "egtunnel.admin",
        SEAMS | {"egtunnel.access", "egtunnel.limits.quota", "egtunnel.sharing.making", "egtunnel.store"},
    ),
    Layer("egtunnel.relay.api", None),
    Layer("egtunnel.relay.live", SEAMS | {"egtunnel.relay"}),
    Layer("egtunnel.sharing", SEAMS | {"egtunnel.access", "egtunnel.store.records"}),
    Layer("egtunnel.relay.sharing", None),
    Layer(
        "egtunnel.relay.share_requests",
        ROOMS_OF_TOKENS | {"egtunnel.errors", "egtunnel.relay", "egtunnel.session", "egtunnel.sharing"},
    ),
    Layer("egtunnel.limits", frozenset({"egtunnel.errors"}), PURE),
    Layer("egtunnel.relay.service", None),
    Layer("egtunnel.relay.attempts", frozenset(), PURE),
    Layer("egtunnel.relay.audit", frozenset({"egtunnel.errors", "egtunnel.ingress", "egtunnel.store.records"})),
    Layer("egtunnel.relay.membership", None),
    Layer(
        "egtunnel.relay.holdings", frozenset({"egtunnel.access", "egtunnel.errors", "egtunnel.relay", "egtunnel.store"})
    ),
    Layer("egtunnel.relay.proofs", frozenset({"egtunnel.errors", "egtunnel.store"})),
    Layer(
        "egtunnel.relay.token_options",
        frozenset({"egtunnel.access.fetching", "egtunnel.configuration", "egtunnel.errors"})
        | {"egtunnel.ingress.front.networks", "egtunnel.store"},
    ),
    Layer("egtunnel.relay.workers.supervisor", None),
    Layer("egtunnel.relay.workers.worker", None),
    Layer(
        "egtunnel.relay.workers",
        SEAMS | DAEMON | ROOMS_OF_TOKENS | {"egtunnel.ingress", "egtunnel.mux", "egtunnel.relay", "egtunnel.session"},
    ),
    Layer("egtunnel.relay.entrance", SEAMS | {"egtunnel.ingress", "egtunnel.relay", "egtunnel.sharing"}),
    *(
        Layer(f"egtunnel.relay.{name}", SEAMS | {"egtunnel.limits", "egtunnel.relay"})
        for name in ("limiter", "limiting", "token_limiting")
    ),
    Layer("egtunnel.relay.metering", None),
    Layer("egtunnel.relay.pacing", SEAMS | {"egtunnel.limits"}),
    Layer("egtunnel.relay.limit_options", frozenset({"egtunnel.configuration", "egtunnel.limits"})),
    Layer("egtunnel.relay.rules", SEAMS | {"egtunnel.access", "egtunnel.relay", "egtunnel.sharing"}),
    Layer("egtunnel.relay.settings", None),
    Layer("egtunnel.relay.tap", None),
    Layer("egtunnel.command", None),
    Layer("egtunnel.__main__", frozenset({"egtunnel.command"}), STDLIB),
    Layer(
        "egtunnel.client.limit_options",
        frozenset({"egtunnel.configuration", "egtunnel.errors", "egtunnel.limits.terms", "egtunnel.limits.bucket"}),
    ),
    Layer("egtunnel.client.service", None),
    Layer("egtunnel.client.tap", None),
    Layer("egtunnel.relay", SEAMS | DAEMON | ROOMS_OF_TOKENS | {"egtunnel.mux", "egtunnel.session"}),
    Layer("egtunnel.client", SEAMS | DAEMON | {"egtunnel.mux", "egtunnel.session"}),
)


def within(module: str, package: str) -> bool:
    """Whether ``module`` is ``package`` or below it."""
    return module == package or module.startswith(f"{package}.")


def layer_of(module: str) -> Layer:
    """The rule for a module; what stands in no row is a room (ingress, access...) and knows only the seams."""
    for layer in LAYERS:
        if layer.holds(module):
            return layer
    return Layer(".".join(module.split(".")[:2]), SEAMS)


def imports(module: str, source: str, package: bool = False) -> Iterator[str]:
    """Every module that ``source`` imports, wherever in it; ``from a import b`` gives ``a`` and ``a.b``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = module.split(".")[: len(module.split(".")) - node.level + package] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def violations(module: str, source: str, package: bool = False) -> list[str]:
    """What a module breaks of the rules, one line each."""
    layer = layer_of(module)
    found = []
    for target in dict.fromkeys(imports(module, source, package)):
        if not layer.allows(target):
            found.append(f"{module} must not import {target}")
        if within(target, "autobahn") and module != AUTOBAHN_HOME:
            found.append(f"{module}: only {AUTOBAHN_HOME} imports autobahn, not {target}")
        if target == "twisted.internet.reactor" and module not in TAPS:
            found.append(f"{module}: the reactor is an argument; only a tap imports it")
    if empty := EMPTY_NAMES & set(module.replace("_", ".").split(".")):
        found.append(f"{module}: the name {empty.pop()!r} says nothing")
    if (lines := source.count("\n")) > LONGEST_FILE:
        found.append(f"{module}: {lines} lines, more than {LONGEST_FILE}")
    return found


def tree(folder: str) -> dict[str, Path]:
    """Module name to file, of everything below a folder of the checkout."""
    files = sorted((ROOT / folder).rglob("*.py"))
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files]
    return dict(zip(names, files, strict=True))


def test_every_module_keeps_to_its_layer() -> None:
    """The package as it stands breaks none of the rules."""
    modules = tree("egtunnel")
    found = [
        line
        for module, file in modules.items()
        for line in violations(module, file.read_text(), file.name == "__init__.py")
    ]
    assert not found, "\n".join(found)
    assert {"egtunnel.mux.mux", "egtunnel.session.websocket", "egtunnel.relay.tap", "egtunnel.client.tap"} <= set(
        modules
    )


def test_every_row_of_the_rules_is_about_something() -> None:
    """A rule for a module that is no longer there would guard nothing."""
    modules = tree("egtunnel")
    idle = [layer.own for layer in LAYERS if not any(layer_of(module) is layer for module in modules)]
    assert not idle


@pytest.mark.parametrize("folder", ["tests", "bench", "demo"])
def test_what_stands_around_the_package_is_short_and_plainly_named_too(folder: str) -> None:
    """Tests, benchmark and demo: short files, plain names."""
    found = [
        f"{module}: {line}"
        for module, file in tree(folder).items()
        for line in violations(f"egtunnel.relay.service.{module}", file.read_text())
        if "says nothing" in line or f"more than {LONGEST_FILE}" in line
    ]
    assert not found, "\n".join(found)


PLANTED = [
    ("egtunnel.mux.frames", "from twisted.internet import defer"),
    ("egtunnel.mux.frames", "import time"),
    ("egtunnel.mux.frames", "def later():\n    import socket"),
    ("egtunnel.mux.frames", "from egtunnel.interfaces import Visitor"),
    ("egtunnel.mux.frames", "from egtunnel.session import session"),
    ("egtunnel.mux.frames", "from ..session import session"),
    ("egtunnel.session.session", "from egtunnel.relay.tunnels import TunnelTable"),
    ("egtunnel.session.session", "from egtunnel.splice import serve"),
    ("egtunnel.session.session", "import autobahn"),
    ("egtunnel.session.messages", "from twisted.logger import Logger"),
    ("egtunnel.ingress.http", "from egtunnel.session.session import Session"),
    ("egtunnel.ingress.http", "from egtunnel import relay"),
    ("egtunnel.access.tokens", "from egtunnel.ingress.http import HttpIngress"),
    ("egtunnel.relay.tunnels", "from egtunnel.ingress.http import HttpIngress"),
    ("egtunnel.relay.tunnels", "from egtunnel.client.targets import parse_target"),
    ("egtunnel.client.targets", "from egtunnel.relay import names"),
    ("egtunnel.errors", "import attrs"),
    ("egtunnel.interfaces", "from egtunnel.splice import serve"),
    ("egtunnel.splice", "from egtunnel.terminal import Terminal"),
    ("egtunnel.relay.service", "from autobahn.twisted import websocket"),
    ("egtunnel.relay.service", "from twisted.internet import reactor"),
    ("egtunnel.relay.service", "import twisted.internet.reactor"),
    ("egtunnel.relay.tunnel_manager", ""),
    ("egtunnel.ingress.util", ""),
    ("egtunnel.ingress.http", "\n" * (LONGEST_FILE + 1)),
]


@pytest.mark.parametrize(("module", "source"), PLANTED)
def test_a_planted_violation_is_found(module: str, source: str) -> None:
    """The checker itself: each rule, broken on purpose, is named."""
    assert violations(module, source)


ALLOWED = [
    ("egtunnel.mux.frames", "import struct\nimport attrs\nfrom egtunnel.errors import FrameError"),
    ("egtunnel.mux.mux", "from .frames import encode"),
    ("egtunnel.session.websocket", "from autobahn.twisted.websocket import WebSocketServerFactory"),
    ("egtunnel.ingress.tcp", "from egtunnel.splice import serve\nimport httptools\nfrom egtunnel import __version__"),
    ("egtunnel.relay.service", "from egtunnel.ingress.http import HttpIngress"),
    ("egtunnel.relay.settings", "from egtunnel.ingress.http.limits import HTTPLimits"),
    ("egtunnel.relay.tap", "def make():\n    from twisted.internet import reactor"),
]


@pytest.mark.parametrize(("module", "source"), ALLOWED)
def test_what_the_design_allows_is_not_reported(module: str, source: str) -> None:
    """The checker forbids no more than the rules say."""
    assert violations(module, source) == []
