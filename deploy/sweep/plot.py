"""The picture of a sweep: quality against energy, the front marked."""

from __future__ import annotations

import os
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from deploy.sweep.run import Entry, Sweep
from esvae.machine.files import atomic_file

__all__ = ["save_front"]

#: Windows differ in colour (Okabe and Ito, 2008) and mark, so that they can be told apart in grey too.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKS = ("o", "s", "^", "D", "v", "P", "X")
_DPI = 130

_NAMES = {
    "reconstruction": "reconstruction MSE of held-out images",
    "image_mse": "MSE against the float decoder with the window of the training",
    "fad": "FAD",
}


def save_front(found: Sweep, target: str | os.PathLike[str]) -> None:
    """Draws every point that has an outcome, with the interval of its quality; labels those on the front."""
    figure = Figure(figsize=(8.5, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    there = [entry for entry in found.points if entry.outcome is not None]
    front = [(_at(entry, found), entry) for entry in there if entry.front]
    line = sorted(at for at, _ in front)
    axis.plot(
        [x for x, _ in line], [y for _, y in line], color="#888888", linewidth=1.2, zorder=1, label="Pareto front"
    )
    for k, steps in enumerate(sorted({entry.point.steps for entry in there}, reverse=True)):
        mine = [entry for entry in there if entry.point.steps == steps]
        colour, mark = _COLOURS[k % len(_COLOURS)], _MARKS[k % len(_MARKS)]
        for on_front in (True, False):
            shown = [entry for entry in mine if entry.front == on_front]
            if not shown:
                continue
            x, y = zip(*(_at(entry, found) for entry in shown), strict=True)
            ends = [entry.outcome["quality"][found.quality] for entry in shown if entry.outcome is not None]
            bars = [
                [
                    max(0.0, value - (end["low"] if end["low"] is not None else value))
                    for value, end in zip(y, ends, strict=True)
                ],
                [
                    max(0.0, (end["high"] if end["high"] is not None else value) - value)
                    for value, end in zip(y, ends, strict=True)
                ],
            ]
            axis.errorbar(
                x,
                y,
                yerr=bars,
                fmt=mark,
                color=colour,
                markerfacecolor=colour if on_front else "white",
                markersize=8,
                elinewidth=0.8,
                alpha=1.0 if on_front else 0.75,
                zorder=3 if on_front else 2,
            )
        axis.plot([], [], mark, color=colour, label=f"{steps} steps")
    for k, (at, entry) in enumerate(sorted(front, key=lambda one: one[0])):
        # Neighbours on the front lie close: their labels take turns, above to the right and below to the left.
        above = k % 2 == 0
        axis.annotate(
            entry.point.label,
            at,
            xytext=(9, 13) if above else (-9, -13),
            textcoords="offset points",
            fontsize=7,
            rotation=30,
            rotation_mode="anchor",
            ha="left" if above else "right",
            va="center",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5},
            zorder=4,
        )
    axis.margins(x=0.26, y=0.15)
    axis.plot([], [], "o", color="black", markerfacecolor="white", label="dominated")
    axis.set_xscale("log")
    if min(_at(entry, found)[1] for entry in there) > 0:
        axis.set_yscale("log")
    axis.xaxis.set_major_formatter(EngFormatter(unit="J"))
    axis.xaxis.set_minor_formatter(EngFormatter(unit="J"))
    axis.tick_params(axis="x", which="minor", labelsize=7, rotation=30)
    axis.set_xlabel(f"energy an image, an estimate by {found.profile}")
    axis.set_ylabel(_NAMES[found.quality])
    axis.grid(alpha=0.25, which="both")
    axis.legend(frameon=False, fontsize=8)
    figure.suptitle(f"{Path(found.run).name}: quality against energy, {len(there)} exports")
    with atomic_file(target) as handle:
        figure.savefig(handle, format="png", dpi=_DPI)


def _at(entry: Entry, found: Sweep) -> tuple[float, float]:
    assert entry.outcome is not None
    return entry.outcome["energy"][found.profile]["joules"], entry.outcome["quality"][found.quality]["value"]
