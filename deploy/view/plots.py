"""Pictures of what a network does and costs: readable in grey and to colour-blind people.

Lines and bars differ in colour (Okabe and Ito's palette, 2008), in lightness and in pattern; maps use cividis.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from esvae.machine.files import atomic_file
from sim.counts.ops import Counts
from sim.energy.estimate import EnergyEstimate, part_names
from sim.fit.mapping import Mapping

__all__ = [
    "save_activity",
    "save_cores",
    "save_energy",
    "save_energy_plots",
    "save_fit_plots",
    "save_raster",
    "save_synops",
]

#: From dark to light, so that neighbours differ in grey too.
_COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
_LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
_MARKS = ("o", "s", "^", "D", "v", "x", "P", "*")
_HATCHES = ("", "///", "...", "\\\\\\", "xxx", "---", "+++", "ooo")
_DPI = 120
_SHOWN_NEURONS = 64
#: Of a raster to a step, the last of them white.
_COLUMNS = 5


def save_energy_plots(
    counts: Counts, estimates: Sequence[EnergyEstimate], folder: str | os.PathLike[str]
) -> list[Path]:
    """Writes raster, activity, operations and energy as PNG into ``folder``; gives their paths."""
    folder = Path(folder)
    paths = [folder / f"{name}.png" for name in ("raster", "activity", "synops", "energy")]
    save_raster(counts, paths[0])
    save_activity(counts, paths[1])
    save_synops(counts, paths[2])
    save_energy(estimates, paths[3])
    return paths


def save_fit_plots(mapping: Mapping, folder: str | os.PathLike[str]) -> list[Path]:
    """Writes the use of cores as PNG into ``folder``; gives its path."""
    path = Path(folder) / "cores.png"
    save_cores(mapping, path)
    return [path]


def save_raster(counts: Counts, target: str | os.PathLike[str]) -> None:
    """Spikes of the first image: steps across, neurons up, one panel a layer; of wide layers evenly chosen neurons."""
    names = ["input", *(layer.layer for layer in counts.layers)]
    rows = [_chosen(spikes) for spikes in counts.raster]
    heights = [len(chosen) if chosen.any() else _SHOWN_NEURONS // 4 for chosen, _ in rows]
    heights = [max(height, _SHOWN_NEURONS // 4) for height in heights]
    figure, axes = _figure(len(rows), (7.5, 0.8 + 0.022 * sum(heights)), height_ratios=heights, sharex=True)
    for axis, name, (chosen, of) in zip(axes, names, rows, strict=True):
        apart = np.repeat(chosen, _COLUMNS, axis=1)
        apart[:, _COLUMNS - 1 :: _COLUMNS] = 0  # so that neighbouring steps do not run together
        extent = (-0.5, counts.steps - 0.5, -0.5, len(chosen) - 0.5)
        axis.imshow(
            apart, "Greys", vmin=0, vmax=1, aspect="auto", interpolation="nearest", origin="lower", extent=extent
        )
        shown = f"{len(chosen)} of {of:,}" if len(chosen) < of else f"{of:,}"
        axis.set_ylabel(f"{_short(name)}\n{shown}", rotation=0, ha="right", va="center")
        axis.set_yticks([])
        if not chosen.any():
            axis.text(0.5, 0.5, "no spikes", transform=axis.transAxes, ha="center", va="center")
    axes[-1].set_xlim(-0.5, counts.steps - 0.5)
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[-1].set_xlabel("time step")
    figure.suptitle("spikes of the first image")
    _write(figure, target)


def _chosen(spikes: np.ndarray) -> tuple[np.ndarray, int]:
    """``(steps, neurons)`` as ``(at most so many neurons, steps)``, and how many there are."""
    neurons = spikes.shape[1]
    picked = np.unique(np.linspace(0, neurons - 1, min(neurons, _SHOWN_NEURONS)).round().astype(int))
    return spikes[:, picked].T, neurons


def save_activity(counts: Counts, target: str | os.PathLike[str]) -> None:
    """Share of each layer's neurons that fire in each step, mean over images with the spread from image to image."""
    figure, (axis,) = _figure(1, (7.5, 4.2))
    steps = np.arange(counts.steps)
    inputs = counts.layers[0]
    curves = [("input", inputs.over_steps.spikes_in, inputs.inputs)]
    curves += [(layer.layer, layer.over_steps.spikes, layer.neurons) for layer in counts.layers]
    for k, (name, spreads, neurons) in enumerate(curves):
        mean, std = (np.array([getattr(s, key) for s in spreads]) / neurons for key in ("mean", "std"))
        axis.plot(steps, mean, label=_short(name), markersize=4, **_line(k))
        axis.fill_between(
            steps, np.clip(mean - std, 0, 1), np.clip(mean + std, 0, 1), color=_line(k)["color"], alpha=0.1
        )
    axis.set_xlabel("time step")
    axis.set_ylabel("share of neurons that fire")
    axis.set_ylim(bottom=0)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.grid(alpha=0.3)
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    axis.set_title(f"mean of {counts.images} images, band: one standard deviation")
    _write(figure, target)


def save_synops(counts: Counts, target: str | os.PathLike[str]) -> None:
    """Synaptic operations of each layer an image: mean as a bar, 5 to 95 % of the images as a whisker."""
    layers = counts.layers
    figure, (axis,) = _figure(1, (7.5, 1.4 + 0.45 * len(layers)))
    places = np.arange(len(layers))
    spreads = [layer.over_images["synops"] for layer in layers]
    mean = np.array([spread.mean for spread in spreads])
    ends = np.array([[spread.low or 0.0, spread.high or 0.0] for spread in spreads])
    away = np.clip(np.abs(np.array([mean - ends[:, 0], ends[:, 1] - mean])), 0, None)
    away = np.where(np.array([ends[:, 0] > mean, ends[:, 1] < mean]), 0, away)
    axis.barh(places, mean, color=_COLOURS[6], edgecolor="black", xerr=away, capsize=4, error_kw={"linewidth": 1.2})
    most = max(float(ends.max()), float(mean.max()), 1.0)
    for place, layer, end in zip(places, layers, np.maximum(ends[:, 1], mean), strict=True):
        full = layer.synapses * counts.steps
        share = layer.synops / full if full else 0.0
        axis.text(
            end + 0.015 * most, place, f"{layer.synops:,.0f}  ({share:.0%} of all spiking)", va="center", fontsize=8
        )
    axis.set_yticks(places, [_short(layer.layer) for layer in layers])
    axis.invert_yaxis()
    axis.set_xlim(0, 1.45 * most)
    axis.xaxis.set_major_formatter(EngFormatter())
    axis.set_xlabel("synaptic operations an image")
    axis.set_title(f"mean of {counts.images} images, whisker: 5 to 95 % of them")
    _write(figure, target)


def save_energy(estimates: Sequence[EnergyEstimate], target: str | os.PathLike[str]) -> None:
    """Energy of an image by each profile: parts stacked to 100 % at the left, the total with its range at the right."""
    figure, (shares, totals) = _figure(
        1, (11, 1.9 + 0.55 * len(estimates)), columns=2, width_ratios=[3, 2], sharey=True
    )
    places = np.arange(len(estimates))
    names = part_names(estimates)
    left = np.zeros(len(estimates))
    for k, name in enumerate(names):
        part = np.array([sum(p.energy.value for p in one.parts if p.name == name) for one in estimates])
        total = np.array([one.energy.value or 1.0 for one in estimates])
        share = 100 * part / total
        face = _COLOURS[-1 - k % len(_COLOURS)]
        shares.barh(places, share, left=left, label=name, color=face, edgecolor="black", hatch=_HATCHES[k % 8])
        left += share
    shares.set_xlim(0, 100)
    shares.set_xlabel("share of the energy, %")
    static = [any(part.amount is None for part in one.parts) for one in estimates]
    labels = [one.profile + ("" if has else "\n(no static power)") for one, has in zip(estimates, static, strict=True)]
    shares.set_yticks(places, labels)
    shares.invert_yaxis()
    figure.legend(*shares.get_legend_handles_labels(), loc="outside lower center", ncols=len(names), frameon=False)
    value, low, high = (np.array([getattr(one.energy, end) for one in estimates]) for end in ("value", "low", "high"))
    totals.errorbar(
        value,
        places,
        xerr=[(value - low).tolist(), (high - value).tolist()],
        fmt="o",
        color="black",
        capsize=5,
        markersize=6,
        linewidth=1.4,
    )
    if (value > 0).any():
        totals.set_xscale("log")
    totals.xaxis.set_major_formatter(EngFormatter(unit="J"))
    totals.set_xlabel("energy an image, and its range")
    totals.grid(axis="x", alpha=0.3, which="both")
    figure.suptitle("estimates of the energy of an image")
    _write(figure, target)


def save_cores(mapping: Mapping, target: str | os.PathLike[str]) -> None:
    """How full each core is: a bar a core for each of its limits, layers set apart."""
    limits = {"neurons": mapping.chip.neurons, "words": mapping.chip.memory_words, "axons": mapping.chip.input_axons}
    titles = {"neurons": "neurons", "words": "synaptic memory", "axons": "input axons"}
    owners = np.array([k for k, layer in enumerate(mapping.layers) for _ in layer.cores], int)
    figure, axes = _figure(3, (9, 6), sharex=True)
    for axis, (name, most) in zip(axes, limits.items(), strict=True):
        use = np.array([getattr(core, name) / most for layer in mapping.layers for core in layer.cores])
        for k in np.unique(owners):
            mine = owners == k
            axis.bar(
                np.flatnonzero(mine),
                100 * use[mine],
                width=1.0,
                linewidth=0.4,
                edgecolor="black",
                color=_COLOURS[-1 - k % len(_COLOURS)] if k % len(_COLOURS) < 7 else "#999999",
                hatch=_HATCHES[k % 8] if len(owners) < 80 else "",
                label=_short(mapping.layers[k].layer),
            )
        axis.axhline(100, color="black", linewidth=1)
        axis.set_ylim(0, 108)
        axis.set_ylabel(f"{titles[name]}, %")
    limit = mapping.chip.usable_cores
    if len(owners) > limit:
        for axis in axes:
            axis.axvline(limit - 0.5, color="black", linestyle="--")
        axes[0].text(limit + 0.5, 80, f"one chip's {limit} usable cores end here", ha="left", va="center", fontsize=8)
    axes[-1].set_xlabel("core")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    handles, labels = axes[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 6), frameon=False)
    verdict = "fits" if mapping.fits else "does not fit"
    figure.suptitle(f"{mapping.chip.title}: {mapping.cores} of {limit} usable cores, {verdict}")
    _write(figure, target)


def _figure(rows: int, size: tuple[float, float], *, columns: int = 1, **ratios: Any) -> tuple[Figure, list[Any]]:
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, columns, squeeze=False, **_split(ratios)).flat)


def _split(options: dict[str, Any]) -> dict[str, Any]:
    grid = {key: options.pop(key) for key in ("height_ratios", "width_ratios") if key in options}
    return {**options, "gridspec_kw": grid}


def _line(k: int) -> dict[str, Any]:
    return {"color": _COLOURS[k % 7], "linestyle": _LINES[k % len(_LINES)], "marker": _MARKS[k % len(_MARKS)]}


def _short(layer: str) -> str:
    """``layer 3 (conv)`` as ``3 conv``."""
    return layer.removeprefix("layer ").replace("(", "").replace(")", "")


def _write(figure: Figure, target: str | os.PathLike[str]) -> None:
    with atomic_file(target) as handle:
        figure.savefig(handle, format="png", dpi=_DPI)
