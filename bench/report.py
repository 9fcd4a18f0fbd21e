"""``python -m bench.report [FILE]``: docs/benchmarks.md and its charts, from the newest result or the one given."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.figures import summarise
from bench.goals import behind, is_ours, missed
from bench.machine import short
from bench.metrics import METRICS, Better, Metric, Sample
from bench.options import RESULTS
from bench.result import FORMAT, without_paths, write
from bench.scale import KEPT as SCALE
from bench.scale import section
from bench.svg import Bar, Panel, bars
from bench.table import number, render

__all__ = ["GROUPS", "charts", "figures", "main", "newest", "page"]

CHECKOUT = Path(__file__).resolve().parents[1]
TEMPLATE = Path(__file__).with_name("report.md")
KEPT = "result.json"
"""The result itself, beside the charts, so that the page can be made again from what is in the repository."""
MARK = "<!-- figures -->\n"
GROUPS = {
    "requests": ("Requests a second", ("requests_1", "requests_32", "requests_256", "new_connections")),
    "bulk": ("Bulk transfer", ("download", "upload")),
    "latency": ("Latency of a small request", ("latency_p50", "latency_p99", "loaded_4_p99", "loaded_8_p99")),
    "processor": ("Processor time a request", ("cpu_1", "cpu_32", "cpu_256")),
    "memory": ("Memory of an idle visitor", ("idle_relay", "idle_client")),
}
"""Charts by file name: title, and the metrics of its panels."""
KNOWN = {metric.key: metric for metric in METRICS}


def newest(folder: Path = RESULTS) -> Path | None:
    """The result whose run began last, or ``None``; names and times of files say nothing."""
    found = [path for path in folder.glob("*.json") if _read(path).get("format") == FORMAT]
    return max(found, key=lambda path: str(_read(path).get("started", "")), default=None)


def _read(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text())
    return content if isinstance(content, dict) else {}


def charts(result: Mapping[str, Any]) -> dict[str, str]:
    """SVG text by file name; a group without any figure has no chart."""
    found = {}
    for name, (title, keys) in GROUPS.items():
        panels = [panel for key in keys if (panel := _panel(KNOWN[key], result)).bars]
        if panels:
            found[f"{name}.svg"] = bars(title, panels)
    return found


def _panel(metric: Metric, result: Mapping[str, Any]) -> Panel:
    better = {Better.HIGHER: ", more is better", Better.LOWER: ", less is better"}.get(metric.better, "")
    medians = result["medians"]
    shown = [
        Bar(_label(name, result), medians[name][metric.key], is_ours(name))
        for name in result["contenders"]
        if metric.key in medians.get(name, {})
    ]
    return Panel(f"{metric.title} ({metric.unit}{better})", shown)


def _label(name: str, result: Mapping[str, Any]) -> str:
    return name + (" *" if result["contenders"][name]["encrypts"] else "")


def figures(result: Mapping[str, Any]) -> str:
    """All that the page says of one result, as Markdown."""
    parts = ["## Figures\n", _setting(result), _table(result), _charts(result), _behind(result), _missed(result)]
    return "\n".join([*parts, _absent(result), _versions(result)])


def _setting(result: Mapping[str, Any]) -> str:
    machine, options = result["machine"], result["options"]
    note = f" {result['note']}" if result.get("note") else ""
    rounds = len({sample["round"] for sample in result["samples"]})
    return (
        f"Taken {result['started'][:10]} at commit `{short(result['commit'])}` on {machine['processors']} processors "
        f"({machine['processor']}), {machine['memory']}, Linux {machine['kernel']}, load {machine['load']:.2f} before. "
        f"Medians of {rounds} round{'' if rounds == 1 else 's'}, {options['seconds']} s each, {options['size_mib']} "
        f"MiB of bulk, {options['idle_connections']} idle visitors.{note}\n"
    )


def _table(result: Mapping[str, Any]) -> str:
    summaries = summarise(Sample(**sample) for sample in result["samples"])
    table = render(METRICS, [(name, _label(name, result)) for name in result["contenders"]], summaries, result["bar"])
    return f"{table}\n`*` the link is encrypted; the others have no encryption. `~` the samples spread widely.\n"


def _charts(result: Mapping[str, Any]) -> str:
    return "\n".join(f"![{GROUPS[name[:-4]][0]}](benchmarks/{name})\n" for name in charts(result))


def _behind(result: Mapping[str, Any]) -> str:
    rows = behind(result["medians"])
    lines = [
        "## Where egtunnel is behind\n",
        "Every row of this run in which a tunnel does better than egtunnel does.\n",
    ]
    if not rows:
        return "\n".join([lines[0], "In no row of this run.\n"])
    lines[1] += "\n| row | egtunnel | figure | ahead of it | figure | as good |\n|---|---|--:|---|--:|--:|"
    for row in rows:
        peer = row.peer + ("" if result["contenders"][row.peer]["encrypts"] else " (no encryption)")
        ours = row.ours + ("" if result["contenders"][row.ours]["encrypts"] else " (no encryption)")
        values = f"{number(row.value)} | {peer} | {number(row.against)} | {row.times:.2f}x"
        lines.append(f"| {row.metric.title} ({row.metric.unit}) | {ours} | {values} |")
    return "\n".join(lines) + "\n"


def _missed(result: Mapping[str, Any]) -> str:
    encrypting = frozenset(name for name, about in result["contenders"].items() if about["encrypts"])
    lines = missed(result["medians"], encrypting)
    said = [f"- {line}" for line in lines] or ["None of those that this run can judge."]
    return "\n".join(["## Goals that are missed\n", *said]) + "\n"


def _absent(result: Mapping[str, Any]) -> str:
    lines = [f"- not measured: {name}: {without_paths(reason)}" for name, reason in result["skipped"].items()]
    lines += [
        f"- failed: round {each['round']}, {each['contender']}, {each['work']}: {without_paths(each['reason'])}"
        for each in result["failures"]
    ]
    return "\n".join(["## What is missing\n", *(lines or ["Nothing."])]) + "\n"


def _versions(result: Mapping[str, Any]) -> str:
    rows = [f"| {name} | {without_paths(version)} |" for name, version in result["versions"].items()]
    return "\n".join(["## Versions\n", "| what | version |", "|---|---|", *rows]) + "\n"


def page(result: Mapping[str, Any], scale: Mapping[str, Any] | None = None) -> str:
    """The whole page: the standing text, with the figures where its mark is."""
    before, mark, after = TEMPLATE.read_text().partition(MARK)
    if not mark:
        raise ValueError(f"{TEMPLATE.name} has no line {MARK.strip()}")
    return before + figures(result) + (f"\n{section(scale)}" if scale else "") + after


def main(arguments: Sequence[str], docs: Path = CHECKOUT / "docs") -> int:
    """Write page and charts.

    :return: 0, or 2 when there is no result to write them from
    """
    parser = argparse.ArgumentParser(prog="python -m bench.report", description="Write docs/benchmarks.md.")
    parser.add_argument("result", type=Path, nargs="?", help="a JSON of bench (the newest in bench/results)")
    path = parser.parse_args(arguments).result or newest()
    if path is None or not path.exists():
        print("bench.report: there is no result; run: make bench", file=sys.stderr)
        return 2
    result = _read(path)
    if result.get("format") != FORMAT:
        print(f"bench.report: {path.name} is not a result of format {FORMAT}", file=sys.stderr)
        return 2
    folder = docs / "benchmarks"
    folder.mkdir(exist_ok=True)
    for name, text in charts(result).items():
        (folder / name).write_text(text)
    write(folder / KEPT, result)
    kept = folder / SCALE
    (docs / "benchmarks.md").write_text(page(result, _read(kept) if kept.exists() else None))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
