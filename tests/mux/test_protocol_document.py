"""docs/protocol.md says what the code does: its tables and its example, compared one by one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import attrs
import pytest

from egtunnel import errors
from egtunnel.errors import ChannelReset, EgtunnelError
from egtunnel.mux import frames, windows
from egtunnel.mux.channel import PEER, ChannelState
from egtunnel.mux.flight import ACK_EVERY
from egtunnel.mux.frames import LAST_COUNTED, RULES, FrameType
from egtunnel.mux.limits import MuxLimits
from egtunnel.mux.turns import FRESH_IN_A_ROW
from egtunnel.policy import PolicyLimits
from egtunnel.relay.admission import AdmissionLimits
from egtunnel.session import messages
from egtunnel.session.session import SessionLimits
from egtunnel.session.websocket import CLOSE_BASE, SUBPROTOCOL, LinkLimits
from tests.mux.test_vectors import VECTORS

DOCUMENT = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
TYPES = {
    "text": "str",
    "number": "int",
    "number or null": "int | None",
    "seconds": "float",
    "truth": "bool",
    "edits": "list[list[str]]",
    "list of numbers": "list[int]",
    "object": "dict[str, Any]",
    "object or null": "dict[str, Any] | None",
}


def section(title: str) -> str:
    """What stands under a heading of the second level."""
    return re.split(r"(?m)^## ", DOCUMENT.split(f"\n## {title}\n", 1)[1])[0]


def table(title: str, first_column: str) -> list[dict[str, str]]:
    """The table of a section whose first column is called so; one dictionary a row."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    start = next(index for index, line in enumerate(lines) if line.startswith(f"| {first_column} |"))
    split = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[start:]]
    head, rule, *rows = split
    assert set("".join(rule)) == {"-"}
    rows = rows[: next((i for i, row in enumerate(rows) if set("".join(row)) == {"-"}), len(rows) + 1) - 1]
    return [dict(zip(head, row, strict=True)) for row in rows]


def plain(cell: str) -> str:
    """A cell without its code marks."""
    return cell.strip("`")


def classes(root: type[EgtunnelError] = EgtunnelError) -> list[type[EgtunnelError]]:
    """Every error of the tree."""
    return [root, *(leaf for child in root.__subclasses__() for leaf in classes(child))]


def test_the_rules_of_frames_are_those_of_the_code() -> None:
    """Types, names, flags, bounds, channels, and what ACK counts."""
    rows = table("Frames", "type")
    assert [
        FrameType[row["name"]]
        for row in rows
        if int(row["type"]) == FrameType[row["name"]]
        and int(row["flags"]) == RULES[FrameType[row["name"]]].flags
        and int(row["shortest payload"]) == RULES[FrameType[row["name"]]].shortest
        and int(row["longest payload"]) == RULES[FrameType[row["name"]]].longest
        and (row["channel"] == "0") == RULES[FrameType[row["name"]]].on_session
        and (row["counted by ACK"] == "yes") == (int(row["type"]) <= LAST_COUNTED)
    ] == list(FrameType)


def test_every_payload_is_described() -> None:
    """In the order of the types."""
    assert [row["name"] for row in table("Frames", "name")] == [kind.name for kind in FrameType]


def test_the_states_of_a_channel_are_those_of_the_code() -> None:
    """Every pair of state and frame, errors included."""
    rows = table("Channels", "state")
    assert [row["state"] for row in rows] == [f"{state.name}: {state.value}" for state in ChannelState]
    for row in rows:
        state = ChannelState[row.pop("state").partition(":")[0]]
        for name, then in row.items():
            to = PEER.get((state, FrameType[name]))
            expected = "ignored" if state is ChannelState.CLOSED else "error" if to is None else to.name
            assert then == expected, (state, name)
    assert {FrameType[name] for name in rows[0]} == {kind for _, kind in PEER}


def test_the_windows_are_those_of_the_code() -> None:
    """By name."""
    values = {**vars(frames), **vars(windows)}
    rows = table("Flow control", "name")
    assert {row["name"] for row in rows} >= {"EARLY_WINDOW", *(n for n in windows.__all__ if n.endswith("_WINDOW"))}
    for row in rows:
        assert int(row["bytes"]) == values[row["name"]], row["name"]


def test_the_codes_are_those_of_the_errors() -> None:
    """Every error that can travel, once, with its word; and whether it ends a channel or the link."""
    rows = [(int(row["code"]), plain(row["word"]), row["ends"]) for row in table("Codes", "code")]
    assert rows == sorted(set(rows))
    local = (errors.ConfigurationError, errors.StoreError)  # are never sent
    assert set(rows) == {
        (cls.code, cls.word, "channel" if issubclass(cls, ChannelReset) else "link")
        for cls in classes()
        if not issubclass(cls, local) and cls.__module__ == errors.__name__
    }


def test_the_members_of_messages_are_those_of_the_code() -> None:
    """Names, types and defaults."""
    rows = table("Control messages", "message")
    found = {(row["message"], row["member"]): (TYPES[row["type"]], row["if absent"]) for row in rows}
    expected: dict[tuple[str, str], tuple[str, str]] = {}
    for name, cls in messages._TYPES.items():
        for field in attrs.fields(cls):
            default: Any = field.default
            if default is attrs.NOTHING:
                text = "must be there"
            else:
                made = default.factory() if isinstance(default, attrs.Factory) else default  # type: ignore[arg-type]
                text = f"`{json.dumps(made)}`"
            expected[name, field.name] = (str(field.type), text)
    assert found == expected


@pytest.mark.parametrize(
    ("title", "sentence"),
    [
        ("Link", f"`{SUBPROTOCOL}`"),
        ("Link", f"at most {LinkLimits().message:,} bytes"),
        ("Link", f"{CLOSE_BASE} + code"),
        ("Handshake", f"at most {AdmissionLimits().size:,} bytes"),
        ("Handshake", f"waits {AdmissionLimits().hello:.0f} seconds"),
        ("Handshake", f"`hello.version` is {messages.VERSION}"),
        ("Control messages", f"at most {messages.MAX_TEXT:,} characters"),
        ("Control messages", f"a list of at most {messages.MAX_EDITS} [edits]"),
        ("Header policies", f"at most {PolicyLimits().name} bytes"),
        ("Header policies", f"at most {PolicyLimits().value:,} bytes of UTF-8"),
        ("Header policies", f"together are at most {PolicyLimits().size:,} bytes"),
        ("Header policies", f"at most {PolicyLimits().prefix} bytes of printable ASCII"),
        ("Channels", f"({MuxLimits().channels:,}, both sides' together)"),
        ("Channels", f"more than {MuxLimits().unaccepted:,} channels that are not accepted"),
        ("Acknowledgement", f"{ACK_EVERY:,} bytes have come since the last"),
        ("Acknowledgement", f"fewer than {ACK_EVERY:,} bytes are unacknowledged"),
        ("Acknowledgement", f"{MuxLimits().flight:,} bytes be under way"),
        ("Turns", f"at most {MuxLimits().quantum:,} bytes"),
        ("Turns", f"at most {FRESH_IN_A_ROW} times in a row"),
        ("Heartbeat", f"for {SessionLimits().heartbeat:.0f} seconds"),
        ("Heartbeat", f"After {SessionLimits().patience:.0f} more seconds"),
        ("Heartbeat", f"within {SessionLimits().heartbeat + 2 * SessionLimits().patience:.0f} seconds"),
        ("Heartbeat", f"more than {MuxLimits().control:,} bytes"),
    ],
)
def test_the_numbers_in_the_text_are_those_of_the_code(title: str, sentence: str) -> None:
    """Limits and times, as they stand in the sentences."""
    assert sentence in " ".join(section(title).split())


def test_the_worked_example_is_that_of_the_vectors() -> None:
    """Who speaks, what, and every byte; the letters beside the bytes too."""
    (dump,) = re.findall(r"```hexdump\n(.*?)```", section("Worked example"), re.S)
    steps: list[dict[str, str]] = []
    for line in dump.splitlines():
        if not line.startswith(" "):
            side, _, what = line.partition(": ")
            steps.append({"from": side, "what": what, "hex": ""})
            continue
        part = bytes.fromhex(line[2:49])
        assert line[51:] == "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        steps[-1]["hex"] += part.hex()
    assert steps == VECTORS["session"]


def test_every_link_within_the_document_leads_somewhere() -> None:
    """Headings are anchors."""
    anchors = {heading.lower().replace(" ", "-") for heading in re.findall(r"(?m)^## (.*)$", DOCUMENT)}
    assert set(re.findall(r"\]\(#([^)]*)\)", DOCUMENT)) == anchors
