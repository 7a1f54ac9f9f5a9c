"""Turns the figures of ``benchmarks/simulate.py`` into ``docs/benchmarks.md`` and its plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deploy.view.style import figure, line, log_axis, save_png, styled

__all__ = ["replace_part", "table", "write_report"]


def write_report(found: dict[str, Any], folder: Path) -> None:
    """Writes the part between the marks of ``benchmarks.md`` anew, and ``benchmarks_scaling.png``."""
    results = {part: entry["result"] for part, entry in found.items()}
    lines = [
        "## The integer twin",
        "",
        "Made by `python -m benchmarks.simulate`; figures in `benchmarks/simulate.json`.",
        "",
    ]
    machines = sorted({_machine(entry["machine"]) for entry in found.values()})
    lines += [*machines, ""]
    for part, write in (
        ("lava", _lava),
        ("limit", _limit),
        ("avx2", _avx2),
        ("events", _events),
        ("memory", _memory),
        ("scaling", _scaling),
    ):
        if part in results:
            lines += [*write(results[part]), ""]
    replace_part("simulate", lines, folder / "benchmarks.md")
    if "scaling" in results:
        _plot(results["scaling"], folder / "benchmarks_scaling.png")


def replace_part(name: str, lines: list[str], target: Path) -> None:
    """Writes the part of a page that lies between ``<!-- name: begin -->`` and ``end`` anew, or adds it at the end."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    text = "\n".join([begin, *lines, end]) + "\n"
    target.parent.mkdir(exist_ok=True)
    old = target.read_text("utf-8") if target.exists() else "# Benchmarks\n\n"
    if begin in old:
        before, _, rest = old.partition(begin)
        old, text = before, text + rest.partition(end)[2].lstrip("\n")
    target.write_text(old + text, "utf-8")


def _machine(about: dict[str, Any]) -> str:
    instructions = "".join(f", {name}" for name in about.get("instructions", ()))
    return (
        f"Measured on {about['cores']} cores of {about['processor']}{instructions}, {_threads(about)}, "
        f"Python {about['python']}, torch {about['torch']}, {about['date']}."
    )


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    rule = ["---"] + ["---:"] * (len(header) - 1)
    return ["| " + " | ".join(row) + " |" for row in (header, rule, *rows)]


def _lava(rows: list[dict[str, Any]]) -> list[str]:
    cells = [
        [r["network"], f"{r['Lava s']:.2f} s", f"{r['twin ms']:.3f} ms", f"{r['ratio']:,.0f}", str(r["equal"])]
        for r in rows
    ]
    return [
        "### Against Lava's CPU simulator",
        "",
        "Time an image, without loading, on the same file and latents. The paper's decoder is not among them: stock",
        "netx loads no transposed convolution, and unrolled its last one is beyond what the pass writes.",
        "",
        *table(["network", "Lava", "twin", "times faster", "potentials equal"], cells),
    ]


def _limit(rows: list[dict[str, Any]]) -> list[str]:
    rest = [
        f"{r['network']}, {_threads(r)}: sums {r['sums ms'] / (r['sums ms'] + r['neurons ms']):.0%}, "
        f"neurons {r['neurons ms'] / (r['sums ms'] + r['neurons ms']):.0%}"
        for r in rows
    ]
    active = {r["network"]: ", ".join(f"{a:.0%}" for a in r["activity"]) for r in rows}
    return [
        "### Against the bare convolutions",
        "",
        "Milliseconds an image: the twin; the twin with every product, fired or not; with these in floating point;",
        "torch's float32 convolutions of the same shapes alone; the same with the first one, on a 1x1 map, as the",
        "matrix product that it is. The last three columns are over the twin: convolutions as given, in the strictest",
        "reading (first as matrix, every product), and the twin in floating point; all five take turns, and a ratio is",
        "the median over the turns; on one thread, of the processor's time. The twin gathers weights of what fired;",
        "where a layer is too active for that, it takes every product, of 8 bit where those are faster.",
        "",
        *_limit_table(rows),
        "",
        "Where the time of the dense twin goes: " + "; ".join(rest) + ".",
        "Activity of the layers: " + "; ".join(f"{name} {shares}" for name, shares in active.items()) + ".",
    ]


def _threads(row: dict[str, Any]) -> str:
    return f"{row['threads']} thread{'s' if row['threads'] > 1 else ''}"


def _limit_table(rows: list[dict[str, Any]]) -> list[str]:
    cells = [
        [
            f"{r['network']}, {_threads(r)}",
            f"{r['twin ms']:.3f}",
            f"{r['twin dense ms']:.3f}",
            f"{r['twin float ms']:.3f}",
            f"{r['convolutions ms']:.3f}",
            f"{r['convolutions, first as matrix, ms']:.3f}",
            f"{r['ratio']:.2f}",
            f"{r['ratio dense, first as matrix']:.2f}",
            f"{r['ratio float']:.2f}",
        ]
        for r in rows
    ]
    header = [
        "network",
        "twin",
        "dense",
        "float",
        "convolutions",
        "first as matrix",
        "ratio",
        "strictest",
        "over float",
    ]
    return table(header, cells)


def _avx2(rows: list[dict[str, Any]]) -> list[str]:
    return ["### With AVX2 alone", "", "The same in a process that has no wider instructions.", "", *_limit_table(rows)]


def _events(rows: list[dict[str, Any]]) -> list[str]:
    activities = [key for key in rows[0] if key != "layer"]
    cells = [[r["layer"], *(f"{r[a]:.2f}" for a in activities)] for r in rows]
    return [
        "### Gathered sums",
        "",
        "On one thread. Time of the full product in floating point over that of the sums gathered from the inputs that",
        "fired, by their share; above 1, gathering is faster. Up to which share the engine gathers it finds out by a",
        "trial, once work enough came, against the product that it would take else, of 8 bit where those are faster.",
        "",
        *table(["layer", *activities], cells),
    ]


def _memory(rows: list[dict[str, float]]) -> list[str]:
    parts = [name for name in ("sampler", "network", "readout") if f"{name} ms" in rows[0]]
    cells = [
        [
            f"{r['images']:,.0f}",
            f"{r['seconds']:.1f} s",
            f"{r['ms']:.3f}",
            *(f"{r[f'{name} ms']:.3f}" for name in parts),
            f"{r['peak MB']:.0f} MB",
        ]
        for r in rows
    ]
    return [
        "### Any number of images",
        "",
        "The chip-native decoder: latents drawn from a prior, the network, and pictures read from its potentials;",
        "memory is the whole process's. Images are drawn a few thousand at a time, and their pictures are not kept.",
        "",
        *table(["images", "time", "ms an image", *parts, "largest memory"], cells),
    ]


def _scaling(result: dict[str, list[dict[str, float]]]) -> list[str]:
    lines = ["### Scaling", "", "Milliseconds an image of the chip-native decoder, on one thread.", ""]
    for name, rows in result.items():
        header = [name, *(f"{r[name]:.0f}" for r in rows)]
        lines += [*table(header, [["ms", *(f"{r['ms']:.3f}" for r in rows)]]), ""]
    return [*lines, "![Time an image over steps, channels and images](benchmarks_scaling.png){ .chart }"]


@styled
def _plot(result: dict[str, list[dict[str, float]]], target: Path) -> None:
    made, axes = figure(9, 3, 1, len(result), sharey=True)
    times = [row["ms"] for rows in result.values() for row in rows]
    for axis, (name, rows) in zip(axes, result.items(), strict=True):
        measured = [row[name] for row in rows]
        axis.plot(measured, [row["ms"] for row in rows], **line(0, name))
        log_axis(axis.xaxis, min(measured), max(measured))
        axis.set_xticks(measured)
        axis.set_xlabel(name)
    log_axis(axes[0].yaxis, min(times), max(times))
    axes[0].set_ylabel("ms an image")
    save_png(made, target)
