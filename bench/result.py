"""The JSON of a run, and what is printed of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import asdict, evolve

from bench.contenders import BAR
from bench.contenders.base import Contender
from bench.contenders.egtunnel import EGTUNNELS_TLS
from bench.figures import Summary, ratio, summarise
from bench.metrics import METRICS
from bench.rounds import Record
from bench.table import NOISY, render

__all__ = ["FORMAT", "as_json", "as_text", "without_paths", "write"]

FORMAT = 1


def as_json(
    record: Record, contenders: Sequence[Contender], skipped: Mapping[str, str], about: Mapping[str, Any]
) -> dict[str, Any]:
    """Every sample, every failure, the medians, and on what they were taken.

    :param about: further members: times, machine, versions, commit, options
    """
    metrics = {
        metric.key: {"title": metric.title, "unit": metric.unit, "better": metric.better.value} for metric in METRICS
    }
    medians: dict[str, dict[str, float]] = {}
    for (name, metric), summary in summarise(record.samples).items():
        medians.setdefault(name, {})[metric] = summary.median
    return {
        "format": FORMAT,
        **about,
        "bar": BAR,
        "contenders": {contender.name: {"encrypts": contender.encrypts} for contender in contenders},
        "skipped": dict(skipped),
        "metrics": metrics,
        "medians": medians,
        "samples": [asdict(sample) for sample in record.samples],
        "failures": [asdict(evolve(f, reason=without_paths(f.reason))) for f in record.failures],
    }


def as_text(record: Record, contenders: Sequence[Contender], skipped: Mapping[str, str]) -> str:
    """The table, how to read it, and what is missing from it."""
    columns = [(contender.name, contender.name + (" *" if contender.encrypts else "")) for contender in contenders]
    lines = [render(METRICS, columns, summarise(record.samples), BAR)]
    lines.append(f"Medians; 1.50x is one and a half times as good as {BAR}, whichever way is better.")
    lines += _price_of_tls(summarise(record.samples))
    lines.append(f"* encrypts between relay and client.  ~ samples spread over more than {NOISY:.0%} of the median.")
    lines += [f"not measured: {name}: {reason}" for name, reason in skipped.items()]
    lines += [f"failed: round {f.round}, {f.contender}, {f.work}: {f.reason}" for f in record.failures]
    return "\n".join(lines) + "\n"


def _price_of_tls(summaries: dict[tuple[str, str], Summary]) -> list[str]:
    """For each contender over TLS what it does as good as the same without, each figure of this run."""
    lines = []
    for contender in EGTUNNELS_TLS:
        shares = []
        for metric in METRICS:
            plain, tls = (summaries.get((name, metric.key)) for name in (contender.against, contender.name))
            times = ratio(metric, tls.median, plain.median) if plain is not None and tls is not None else None
            if times is not None:
                shares.append(f"{metric.key} {times:.2f}")
        if shares:
            lines.append(f"{contender.name}, as good as {contender.against} (1.00): " + ", ".join(shares))
    return lines


def without_paths(text: str) -> str:
    """The text with each absolute path cut to its last part: where things lay on a machine is nobody's business."""
    return re.sub(r"(?<![\w/:.])/(?:[^\s/:'\"]+/)+", "", text)


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write the JSON, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
