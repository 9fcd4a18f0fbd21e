"""The page of a profile: for each piece of work microseconds by layer, and the dearest functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.layers import LAYERS
from bench.machine import short
from bench.table import number

__all__ = ["page"]

WAITING = "kernel: epoll"

HEAD = """\
# Where the time goes

`make profile` runs each piece of work of the [benchmark](benchmarks.md) through egtunnel while py-spy samples relay and
client, and writes this page; do not change it by hand. **All** is the processor time, user and system, that the kernel
counted for a daemon, divided by the units of work done. A layer's figure is its share of the samples of that.

What these figures cannot say:

- **epoll is not in the split.** py-spy counts a daemon that waits in epoll as one that works there. Those samples are
  left out, and what epoll does cost is spread over the other layers.
- **Waiting for a processor is sampled as work.** On a machine that wrk, nginx, relay and client share, there are up to
  several times as many samples as the processor time accounts for; below each table stand both numbers. `send` wakes
  the other side and loses the processor there, so its figure is likely too high. Take the split as a hint where to
  look, the more so the further the two numbers are apart, and only **all** as measured.
- A system call counts as `kernel: ...` by the source line that makes it; time in C (OpenSSL, httptools) counts with the
  Python function that calls it, and the standard library with its caller.
- py-spy stops a daemon for each sample, so the sums lie above those of the benchmark.
"""


def page(result: Mapping[str, Any]) -> str:
    """The whole page as Markdown."""
    machine, costs = result["machine"], result["costs"]
    taken = (
        f"Taken {result['started'][:10]} at commit `{short(result['commit'])}` on {machine['processors']} processors "
        f"({machine['processor']}), Linux {machine['kernel']}.\n"
    )
    parts = [HEAD, taken]
    for contender in dict.fromkeys(cost["contender"] for cost in costs):
        parts.append(f"## {contender}\n")
        own = [cost for cost in costs if cost["contender"] == contender]
        tasks = dict.fromkeys(cost["task"] for cost in own)
        parts += [_section(task, [cost for cost in own if cost["task"] == task]) for task in tasks]
    return "\n".join(parts)


def _section(task: str, costs: Sequence[Mapping[str, Any]]) -> str:
    shares = [_shares(cost) for cost in costs]
    lines = [f"### {task}: microseconds a {costs[0]['unit']}\n"]
    lines.append("| layer | " + " | ".join(cost["daemon"] for cost in costs) + " |")
    lines.append("|---|" + "--:|" * len(costs))
    met = [layer for layer in LAYERS if layer != WAITING and any(layer in share for share in shares)]
    lines += [f"| {layer} | " + " | ".join(number(share.get(layer, 0.0)) for share in shares) + " |" for layer in met]
    lines.append("| **all** | " + " | ".join(f"**{number(cost['microseconds'])}**" for cost in costs) + " |\n")
    for cost in costs:
        total = _busy(cost)
        working = [(name, count) for name, count in cost["functions"].items() if "doPoll" not in name]
        dear = ", ".join(f"`{name}` {count / total:.0%}" for name, count in working[:6])
        due = cost["seconds"] * cost["rate"]
        lines.append(f"Dearest in the {cost['daemon']} ({total} samples, {due:.0f} accounted for): {dear}.\n")
    return "\n".join(lines)


def _shares(cost: Mapping[str, Any]) -> dict[str, float]:
    """Microseconds a unit by layer, waiting left out."""
    total = _busy(cost)
    layers = {layer: count for layer, count in cost["layers"].items() if layer != WAITING}
    return {layer: cost["microseconds"] * count / total for layer, count in layers.items()}


def _busy(cost: Mapping[str, Any]) -> int:
    return sum(count for layer, count in cost["layers"].items() if layer != WAITING) or 1
