"""The picture of a sweep: quality against energy, the front marked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from deploy.sweep.run import Entry, Sweep
from deploy.view.placing import place_labels
from deploy.view.style import COLOURS, INK, MARKS, PAPER, SOFT, WIDE, figure, log_axis, save_png, styled

__all__ = ["draw_front", "save_front"]

#: Share by which two points may differ in both figures before their numbers stand apart.
_CLOSE = 0.025

#: First below to the left of a point of the front: no point lies there, it would be better for less energy.
_FREE = ((-1, -1), (0, -1), (-1, 0), (1, 1), (0, 1), (1, 0))

_NAMES = {
    "reconstruction": "reconstruction MSE of held-out images",
    "image_mse": "MSE against the float decoder with the window of the training",
    "fad": "FAD (Fréchet autoencoder distance)",
}


def save_front(found: Sweep, target: str | os.PathLike[str]) -> None:
    """Writes :func:`draw_front` as PNG."""
    save_png(draw_front(found), target)


@styled
def draw_front(found: Sweep, width: float = WIDE) -> Figure:
    """Every point that has an outcome, with the interval of its quality; those on the front are numbered and named."""
    made, (axis,) = figure(width, 5)
    there = [entry for entry in found.points if entry.outcome is not None]
    front = sorted(((_at(entry, found), entry) for entry in there if entry.front), key=lambda one: one[0])
    axis.plot(*zip(*(at for at, _ in front), strict=True), color=SOFT, linewidth=1.2, zorder=1, label="Pareto front")
    for k, steps in enumerate(sorted({entry.point.steps for entry in there}, reverse=True)):
        colour, mark = COLOURS[k % len(COLOURS)], MARKS[k % len(MARKS)]
        for on_front in (True, False):
            mine = [entry for entry in there if entry.point.steps == steps and entry.front == on_front]
            if mine:
                look = {"color": colour, "markerfacecolor": colour if on_front else PAPER}
                _points(axis, mine, found, fmt=mark, zorder=3 if on_front else 2, **look)
        axis.plot([], [], mark, color=colour, markersize=7, label=f"{steps} steps")
    if len(front) < len(there):
        axis.plot([], [], "o", color=INK, markerfacecolor=PAPER, markersize=7, label="dominated: another is better")
    for number, (_, entry) in enumerate(front, 1):
        axis.plot([], [], " ", label=f"{number}  {entry.point.label}")
    energies, qualities = zip(*(_at(entry, found) for entry in there), strict=True)
    log_axis(axis.xaxis, min(energies), max(energies), "J")
    if min(qualities) > 0:
        log_axis(axis.yaxis, min(qualities), max(qualities))
    axis.set_xlabel(f"energy an image, an estimate by {found.profile}")
    axis.set_ylabel(_NAMES[found.quality])
    made.legend(loc="outside right upper", handlelength=1.2)
    made.suptitle(f"{Path(found.run).name}: quality against energy, {len(there)} exports")
    numbered = [(", ".join(map(str, numbers)), at) for numbers, at in _apart([at for at, _ in front])]
    place_labels(made, axis, numbered, preferred=_FREE)
    return made


def _apart(places: Sequence[tuple[float, float]]) -> list[tuple[list[int], tuple[float, float]]]:
    """Numbers from 1 and where they go: those of neighbours that lie on top of each other stand together."""
    groups: list[tuple[list[int], tuple[float, float]]] = []
    for number, place in enumerate(places, 1):
        if groups and all(abs(a - b) <= _CLOSE * abs(b) for a, b in zip(place, groups[-1][1], strict=True)):
            groups[-1] = ([*groups[-1][0], number], place)
        else:
            groups.append(([number], place))
    return groups


def _points(axis: Any, entries: Sequence[Entry], found: Sweep, **look: Any) -> None:
    """Marks with the intervals of their quality."""
    x, y = zip(*(_at(entry, found) for entry in entries), strict=True)
    away: list[list[float]] = [[], []]
    for value, entry in zip(y, entries, strict=True):
        ends = entry.outcome["quality"][found.quality] if entry.outcome is not None else {}
        for side, (sign, end) in enumerate(((-1, "low"), (1, "high"))):
            away[side].append(0.0 if ends.get(end) is None else max(0.0, sign * (ends[end] - value)))
    axis.errorbar(x, y, yerr=away, markersize=7, elinewidth=0.8, **look)


def _at(entry: Entry, found: Sweep) -> tuple[float, float]:
    assert entry.outcome is not None
    return entry.outcome["energy"][found.profile]["joules"], entry.outcome["quality"][found.quality]["value"]
