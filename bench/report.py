"""What was measured, as text."""

import os
import platform
import shutil
import statistics
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Measured = Mapping[str, Any]


def machine(threads: int) -> dict[str, Any]:
    """Processor, threads, versions, and how busy the machine is before anything is measured."""
    from importlib.metadata import version

    return {
        "processor": processor(), "threads": threads, "load": round(os.getloadavg()[0], 2), "commit": commit(),
        "python": platform.python_version(), "torch": version("torch"), "lowerbound": version("lowerbound"),
    }  # fmt: skip


def processor(listing: Path = Path("/proc/cpuinfo")) -> str:
    """Name, family and model: names alone hide the generation."""
    if not listing.is_file():
        return platform.processor() or platform.machine()
    first = listing.read_text().split("\n\n")[0]
    facts = dict(map(str.strip, line.split(":", 1)) for line in first.splitlines() if ":" in line)
    return f"{facts.get('model name', platform.machine())}, family {facts.get('cpu family')} model {facts.get('model')}"


def commit() -> str:
    """The commit, with a + where files differ from it."""
    if not shutil.which("git"):
        return "an unknown commit"
    words = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def ratios(above: Sequence[float], below: Sequence[float]) -> tuple[float, float, float]:
    """Median, lowest and highest of the ratios within each round.

    >>> ratios([3.0, 2.0, 4.0], [1.0, 1.0, 2.0])
    (2.0, 2.0, 3.0)
    """
    each = [a / b for a, b in zip(above, below, strict=True)]
    return statistics.median(each), min(each), max(each)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown with columns as wide as they must be."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def seconds(one: Measured) -> list[float]:
    """Of the counted laps."""
    return [lap["seconds"] for lap in one["laps"]]


def rates(work: Measured) -> dict[str, float]:
    """GFLOP/s of large products on this machine in these minutes: the floor of float32 is the better library's."""
    found = next((one["laps"] for one in work["contenders"] if one["name"] == "floor" and not one["failed"]), [])
    each = {kind: statistics.median(lap[kind] for lap in found) for kind in ("fp32", "fp32_onednn", "bf16") if found}
    return {**each, "best_fp32": max(each["fp32"], each["fp32_onednn"])} if each else {}


def runners(work: Measured) -> list[Measured]:
    """Everyone but the floor who came through, the fastest first."""
    through = [one for one in work["contenders"] if one["name"] != "floor" and not one["failed"]]
    return sorted(through, key=lambda one: statistics.median(seconds(one)))


def contenders(work: Measured, scored: bool) -> str:
    """One line each: time, speed, share of the floor, what the loss came to, memory."""
    floor, rows = rates(work), []
    for one in runners(work):
        times = seconds(one)
        middle = statistics.median(times)
        rate = floor.get("best_fp32" if one["floor"] == "fp32" else "bf16")
        share = f"{work['gflop'] / rate / middle:.0%}" if rate else ""
        speed = f"{1000 * middle / work['rows']:.1f}" if scored else f"{work['rows'] / middle:.0f}"
        rows.append([one["name"], f"{middle:.3f}", f"{min(times):.3f}", f"{max(times):.3f}", speed, share,
                     f"{one['laps'][-1]['loss']:.2f}", f"{one['parameters']}", f"{one['megabytes']}"])  # fmt: skip
    head = ["contender", "median s", "min", "max", "ms a row" if scored else "rows/s", "of the floor",
            "-log p(x)" if scored else "loss", "weights", "peak MB"]  # fmt: skip
    return table(head, rows)


def against(work: Measured) -> str:
    """How many times as long as each of ours everyone takes."""
    all_of_them = runners(work)
    ours = [one for one in all_of_them if one["name"].startswith("ours")]
    rows = [
        [one["name"], *("{:.2f} ({:.2f} to {:.2f})".format(*ratios(seconds(one), seconds(our))) for our in ours)]
        for one in all_of_them
    ]
    return table(["time of, over that of", *(our["name"] for our in ours)], rows)


def remarks(found: Measured, name: str, work: Measured) -> Iterator[str]:
    """Floor, overheads, first steps, failures."""
    if floor := rates(work):
        yield (
            f"floor: {work['gflop']:.1f} GFLOP a lap; products of 2048 run at {floor['fp32']:.0f} GFLOP/s (fp32, "
            f"torch's default), {floor['fp32_onednn']:.0f} (fp32, oneDNN), {floor['bf16']:.0f} (bf16): "
            f"{work['gflop'] / floor['best_fp32']:.3f} s in fp32, {work['gflop'] / floor['bf16']:.3f} s in bf16"
        )
    for one in (one for one in runners(work) if "end" in one):
        share = statistics.median(lap["steps_only"] / lap["seconds"] for lap in one["laps"])
        yield (
            f"{one['name']}: {share:.1%} of an epoch is steps, the rest history, progress and due checkpoints; first "
            f"epoch with all of `fit` before it {one['first'][0]['seconds']:.2f} s, end of `fit` (last checkpoint, run "
            f"folder) {one['end']:.2f} s"
        )
    yield from quality(work)
    for who, start in found["start"].get(name, {}).items():
        yield (
            f"{who}, fresh process: import torch {start['torch']:.2f} s, package and data {start['data']:.2f} s, "
            f"fit to the end of 64 steps {start['steps']:.2f} s (slowest {start['slowest']:.2f} s)"
        )
    yield from (f"{one['name']} failed: {one['failed']}" for one in work["contenders"] if one["failed"])


def quality(work: Measured) -> Iterator[str]:
    """What low precision costs: same seed, same noise, the losses of the counted laps compared one by one."""
    ours = {one["name"]: [lap["loss"] for lap in one["laps"]] for one in runners(work) if "end" in one}
    for name, losses in ours.items():
        if name != "ours" and "ours" in ours:
            each = [a - b for a, b in zip(losses, ours["ours"], strict=True)]
            yield f"{name}: loss {statistics.mean(each):+.3f} nats against ours, mean over the counted epochs"


def text(found: Measured) -> str:
    """The dated section."""
    here = found["machine"]
    head = (
        f"{here['processor']}; {here['threads']} threads; torch {here['torch']}; Python {here['python']}; lowerbound "
        f"{here['lowerbound']} at {here['commit']}; {found['rounds']} rounds; load before {here['load']}\n\n"
        f"`{found['command']}`"
    )
    parts = [f"## {found['finished']}", head]
    for name, work in found["works"].items():
        notes = "\n".join(f"- {line}" for line in remarks(found, name, work))
        title = f"{work['title']}, {work['rows']} rows an epoch" if name != "score" else work["title"]
        parts += [f"### {title}", contenders(work, name == "score"), against(work), notes]
    absent = [f"- {name}: not measured, {' and '.join(missing)} missing" for name, missing in found["absent"].items()]
    lines = [*absent, *(f"- {note}" for note in found["notes"])]
    if lines:
        parts += ["### What did not work", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"
