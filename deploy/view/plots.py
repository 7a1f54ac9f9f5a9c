"""Pictures of what a network does and costs, each drawn by one function for ``--plot`` and for the report.

They take a result's plain form, as the report holds it, and the width in inches.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from deploy.view.numbers import percent, si, whole
from deploy.view.style import (
    COLOURS,
    INK,
    NARROW,
    PAPER,
    SOFT,
    WIDE,
    figure,
    legend,
    line,
    linear_axis,
    log_axis,
    save_png,
    step_axis,
    styled,
)
from esvae.arrays import Shaped

__all__ = [
    "draw_activity",
    "draw_cores",
    "draw_energy",
    "draw_raster",
    "draw_synops",
    "save_energy_plots",
    "save_fit_plots",
]

_SHOWN_NEURONS = 64
#: Of a raster to a step, the last of them white.
_COLUMNS = 5
_LIMITS = {"neurons": "neurons, %", "words": "synaptic memory, %", "axons": "input axons, %"}


def save_energy_plots(
    operations: Mapping[str, Any],
    raster: Sequence[Shaped[np.ndarray, "steps _neurons"]],
    energy: Mapping[str, Any],
    folder: str | os.PathLike[str],
) -> list[Path]:
    """Writes raster, activity, operations and energy as PNG into ``folder``; gives their paths."""
    made = {
        "raster": draw_raster(operations, raster),
        "activity": draw_activity(operations),
        "synops": draw_synops(operations),
        "energy": draw_energy(energy),
    }
    return _save(made, folder)


def save_fit_plots(fit: Mapping[str, Any], folder: str | os.PathLike[str]) -> list[Path]:
    """Writes the use of cores as PNG into ``folder``; gives its path."""
    return _save({"cores": draw_cores(fit)}, folder)


def _save(made: Mapping[str, Figure], folder: str | os.PathLike[str]) -> list[Path]:
    paths = [Path(folder) / f"{name}.png" for name in made]
    for drawn, path in zip(made.values(), paths, strict=True):
        save_png(drawn, path)
    return paths


@styled
def draw_raster(
    operations: Mapping[str, Any], raster: Sequence[Shaped[np.ndarray, "steps _neurons"]], width: float = WIDE
) -> Figure:
    """Spikes of the first image, ``(steps, neurons)`` each: steps across, one panel a layer; of wide layers evenly
    chosen neurons."""
    names = ["input", *(row["layer"] for row in operations["layers"])]
    steps = operations["steps"]
    chosen = [_chosen(spikes) for spikes in raster]
    heights = [max(len(rows) if rows.any() else 0, _SHOWN_NEURONS // 4) for rows in chosen]
    ratios = {"height_ratios": heights}
    made, axes = figure(width, 0.8 + 0.022 * sum(heights), len(chosen), sharex=True, gridspec_kw=ratios)
    for axis, name, rows, spikes in zip(axes, names, chosen, raster, strict=True):
        apart = np.repeat(rows, _COLUMNS, axis=1)
        apart[:, _COLUMNS - 1 :: _COLUMNS] = 0  # so that neighbouring steps do not run together
        extent = (0.5, steps + 0.5, -0.5, len(rows) - 0.5)
        axis.imshow(
            apart, "Greys", vmin=0, vmax=1, aspect="auto", interpolation="nearest", origin="lower", extent=extent
        )
        of = spikes.shape[1]
        shown = f"{len(rows)} of {of:,}" if len(rows) < of else f"{of:,}"
        axis.set_ylabel(f"{name}\n{shown} neurons", rotation=0, ha="right", va="center")
        axis.set_yticks([])
        axis.grid(visible=False)
        if not rows.any():
            axis.text(0.5, 0.5, "no spikes", transform=axis.transAxes, ha="center", va="center")
    step_axis(axes[-1], steps)
    axes[-1].set_xlim(0.5, steps + 0.5)
    made.suptitle("spikes of the first image")
    return made


def _chosen(spikes: np.ndarray) -> np.ndarray:
    """``(steps, neurons)`` as ``(at most so many neurons, steps)``."""
    neurons = spikes.shape[1]
    picked = np.unique(np.linspace(0, neurons - 1, min(neurons, _SHOWN_NEURONS)).round().astype(int))
    return spikes[:, picked].T


@styled
def draw_activity(operations: Mapping[str, Any], width: float = WIDE) -> Figure:
    """Share of each layer's neurons that fire in each step, mean over images; band: one standard deviation."""
    made, (axis,) = figure(width, 3.2)
    steps = np.arange(1, operations["steps"] + 1)
    first = operations["layers"][0]
    entering = ("input", first["over_steps"]["spikes_in"], first["inputs"])
    series = [(row["layer"], row["over_steps"]["spikes"], row["neurons"]) for row in operations["layers"]]
    # The input comes first and looks as no layer does: a layer has the same colour in every chart.
    looks = [len(COLOURS) - 1, *(k % (len(COLOURS) - 1) for k in range(len(series)))]
    for k, (name, spreads, neurons) in zip(looks, (entering, *series), strict=True):
        mean, std = (100 * np.array([step[key] for step in spreads]) / neurons for key in ("mean", "std"))
        axis.plot(steps, mean, **line(k, name))
        low, high = np.clip(mean - std, 0, 100), np.clip(mean + std, 0, 100)
        axis.fill_between(steps, low, high, color=line(k, name)["color"], alpha=0.12, linewidth=0)
    step_axis(axis, operations["steps"])
    axis.set_ylabel("neurons that fire, %")
    axis.set_ylim(bottom=0)
    legend(made, axis)
    return made


@styled
def draw_synops(operations: Mapping[str, Any], width: float = WIDE) -> Figure:
    """Synaptic operations of each layer an image: mean as a bar, 5 to 95 % of the images as a whisker."""
    layers = operations["layers"]
    mean = np.array([row["synops"] for row in layers], float)
    spreads = [row["over_images"]["synops"] for row in layers]
    low = np.array([spread["low"] or 0.0 for spread in spreads])
    high = np.array([spread["high"] or 0.0 for spread in spreads])
    texts = []
    for row in layers:
        full = row["synapses"] * operations["steps"]
        texts.append(
            f"{whole(round(row['synops']))}\n{percent(row['synops'] / full if full else 0, 0)} of the most possible"
        )
    made, (axis,) = figure(width, 0.7 + 0.42 * len(layers))
    _bars(axis, [row["layer"] for row in layers], mean, low, high, texts)
    linear_axis(axis.xaxis, "", ticks=4 if width > NARROW else 3)
    axis.set_xlabel("synaptic operations an image")
    return made


def _bars(
    axis: Any, names: Sequence[str], value: np.ndarray, low: np.ndarray, high: np.ndarray, texts: Sequence[str]
) -> None:
    """Horizontal bars from zero with whiskers, and a text behind each."""
    at = np.arange(len(names))
    away = np.clip([value - low, high - value], 0, None)
    axis.barh(at, value, 0.62, color=COLOURS[0], xerr=away, capsize=3, error_kw={"ecolor": INK, "elinewidth": 1})
    most = max(float(value.max()), float(high.max()), 1e-300)
    for place, end, text in zip(at, np.maximum(value, high), texts, strict=True):
        axis.text(end + 0.02 * most, place, text, va="center", fontsize=7, linespacing=1.05)
    room = max(max(map(len, text.split("\n"))) for text in texts) * 0.055 / (axis.figure.get_figwidth() - 1.2)
    axis.set_xlim(0, most / max(0.35, 0.97 - room))
    axis.set_yticks(at, names)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="y", visible=False)
    axis.invert_yaxis()


@styled
def draw_energy(energy: Mapping[str, Any], width: float = WIDE) -> Figure:
    """Energy of an image by profile: above with its range, below what it goes into."""
    estimates = energy["estimates"]
    made, (totals, parts) = figure(width, 1.5 + 0.6 * len(estimates), 2)
    at = np.arange(len(estimates))
    names = [one["profile"] for one in estimates]
    value, low, high = (np.array([one["energy"][end] for one in estimates]) for end in ("value", "low", "high"))
    shown = low > 0
    if shown.any():
        room = 1.6 if width > NARROW else 4.0
        ends = low[shown].min() / room, high[shown].max() * room
        log_axis(totals.xaxis, *ends, "J", ticks=5 if width > NARROW else 3)
        totals.set_xlim(*ends)
    totals.hlines(at[shown], low[shown], high[shown], color=COLOURS[0], alpha=0.4, linewidth=4)
    totals.plot(value[shown], at[shown], "o", color=COLOURS[0], markersize=6)
    for place, one in zip(at, value, strict=True):
        above: dict[str, Any] = {"xytext": (0, 6), "textcoords": "offset points", "ha": "center", "fontsize": 7}
        if one > 0:
            totals.annotate(si(one, "J"), (one, place), **above)
    totals.set_xlabel("energy an image, estimate with its range")
    static = [any(part["amount"] is None for part in one["parts"]) for one in estimates]
    _stack(parts, estimates, energy["parts"])
    labels = [name if has else f"{name}\n(no static power)" for name, has in zip(names, static, strict=True)]
    for axis, ticks in ((totals, names), (parts, labels)):
        axis.set_yticks(at, ticks)
        axis.set_ylim(len(at) - 0.5, -0.6)
        axis.grid(axis="y", visible=False)
        axis.tick_params(axis="y", length=0)
    parts.set_xlabel("share of the energy, %")
    legend(made, parts, "lower")
    return made


def _stack(axis: Any, estimates: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    """A bar of 100 % for each estimate, made of its parts."""
    at, left = np.arange(len(estimates)), np.zeros(len(estimates))
    for k, name in enumerate(names):
        part = [sum(p["energy"]["value"] for p in one["parts"] if p["name"] == name) for one in estimates]
        share = 100 * np.array(part) / np.array([one["energy"]["value"] or 1.0 for one in estimates])
        axis.barh(
            at, share, 0.6, left=left, label=name, color=COLOURS[k % len(COLOURS)], edgecolor=PAPER, linewidth=0.8
        )
        for place, start, wide in zip(at, left, share, strict=True):
            if wide >= 12:
                box = {"boxstyle": "round,pad=0.15", "facecolor": PAPER, "edgecolor": "none", "alpha": 0.85}
                axis.text(start + wide / 2, place, f"{wide:.0f} %", ha="center", va="center", fontsize=7, bbox=box)
        left += share
    axis.set_xlim(0, 100)


@styled
def draw_cores(fit: Mapping[str, Any], width: float = WIDE) -> Figure:
    """How full each core is, in the order in which they are filled: a panel a limit, a colour a layer."""
    layers, chip = fit["layers"], fit["chip"]
    made, axes = figure(width, 4.6, len(_LIMITS), sharex=True)
    for axis, (limit, title) in zip(axes, _LIMITS.items(), strict=True):
        first = 1
        for k, layer in enumerate(layers):
            use = 100 * np.array(layer["limit_use"][limit])
            if len(use):
                edges = np.arange(first, first + len(use) + 1) - 0.5
                axis.stairs(use, edges, fill=True, color=COLOURS[k % len(COLOURS)], label=layer["layer"])
                for edge in edges[1:] if len(use) < 80 else edges[-1:]:
                    axis.axvline(edge, color=PAPER, linewidth=0.5)
            first += len(use)
        axis.axhline(100, color=SOFT, linewidth=0.8)
        axis.set_ylim(0, 108)
        axis.set_yticks([0, 50, 100])
        axis.grid(axis="x", visible=False)
        axis.set_title(title, loc="left")
        axis.set_xlim(0.5, max(first - 0.5, 1.5))
    limit, cores = chip["usable_cores"], sum(len(layer["core_use"]) for layer in layers)
    if cores > limit:
        for axis in axes:
            axis.axvline(limit + 0.5, color=INK, linestyle="--", linewidth=1)
        axes[0].text(limit + 1, 84, f" one chip's {limit} usable cores end here", ha="left", va="center", fontsize=7)
    axes[-1].xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes[-1].set_xlabel("core")
    if cores:
        legend(made, axes[0])
    return made
