"""Pictures of a comparison and of a training: drawn alike for ``esvae compare --plot`` and for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from deploy.view.numbers import percent, rounded
from deploy.view.style import (
    COLOURS,
    NARROW,
    SOFT,
    WIDE,
    figure,
    legend,
    line,
    linear_axis,
    log_axis,
    step_axis,
    styled,
)

__all__ = ["draw_errors", "draw_layers", "draw_noise", "draw_shares", "draw_training"]

#: Errors that differ by no more than this share are one error, between which there is nothing to be seen.
_ALIKE = 1e-6
_NOISE = {"input": "the input images", "latent": "the latent spikes"}


@styled
def draw_errors(quality: Mapping[str, Any], width: float = WIDE) -> Figure:
    """How often the images have which MSE between float and integer, the median and the 95 % quantile marked."""
    values = np.array([value for value in quality["per_image"]["mse"] if value is not None])
    made, (axis,) = figure(width, 2.6)
    bins = int(np.clip(2 * np.sqrt(len(values)), 5, 24))
    low, high = values.min(), values.max()
    if high - low <= _ALIKE * high:
        low, high, bins = 0.0, 2 * high or 1.0, bins | 1  # odd, so that they are in the middle of one
    axis.hist(values, bins, range=(low, high), color=COLOURS[0], rwidth=0.94)
    top = axis.get_ylim()[1]
    marks = {"median": quality["mse"]["median"], "95 % quantile": quality["mse"]["p95"]}
    for row, (name, value) in enumerate(marks.items()):
        axis.axvline(value, color=COLOURS[1], linestyle="--", linewidth=1.2)
        text = f"{name} {rounded(value)}"
        beside: dict[str, Any] = {"xytext": (3, 0), "textcoords": "offset points", "ha": "left", "va": "top"}
        axis.annotate(text, (value, top * (1.16 - 0.09 * row)), fontsize=7, **beside)
    axis.set_ylim(0, top * 1.18)
    axis.set_xlim(right=max(high, marks["95 % quantile"] + 0.34 * (NARROW / width + 0.3) * (high - low)))
    linear_axis(axis.xaxis, ticks=6 if width > NARROW else 3)
    linear_axis(axis.yaxis, ticks=4, whole=True)
    axis.grid(axis="x", visible=False)
    axis.set_xlabel("MSE of an image, pixels in [−1, 1]")
    axis.set_ylabel("images")
    return made


@styled
def draw_layers(layers: Sequence[Mapping[str, Any]], width: float = WIDE) -> Figure:
    """Spikes that differ and the difference of the potentials, of every layer over the steps of the window."""
    wide = width > NARROW
    made, (spikes, potentials) = figure(width, 3.0 if wide else 5.2, 1 if wide else 2, 2 if wide else 1)
    for k, layer in enumerate(layers):
        differ, apart = 100 * np.array(layer["mismatch_by_step"]), np.array(layer["membrane_by_step"])
        if len(differ):
            spikes.plot(np.arange(1, len(differ) + 1), differ, **line(k, layer["name"]))
        if len(apart):
            name = layer["name"] if len(differ) else f"{layer['name']}, before tanh"
            potentials.plot(np.arange(1, len(apart) + 1), apart, **line(k, name))
    steps = max((len(layer["membrane_by_step"]) for layer in layers), default=1)
    for axis, name in ((spikes, "spikes that differ, %"), (potentials, "potentials' difference, thresholds")):
        step_axis(axis, max(steps, 1))
        axis.set_ylim(bottom=0)
        axis.set_ylabel(name)
    legend(made, potentials)
    return made


@styled
def draw_shares(attribution: Mapping[str, Any], width: float = WIDE) -> Figure:
    """Each layer's part of the image MSE of the whole file: where it alone is integer, and added in order."""
    layers = attribution["layers"]
    made, (axis,) = figure(width, 0.95 + 0.5 * len(layers))
    at = np.arange(len(layers))
    for k, (name, key) in enumerate({"alone integer": "share", "added in order": "added"}.items()):
        values = 100 * np.array([layer[key] for layer in layers])
        places = at + (k - 0.5) * 0.4
        axis.barh(places, values, 0.36, color=COLOURS[k], label=name)
        for place, value in zip(places, values, strict=True):
            away = 3 if value >= 0 else -3
            side: dict[str, Any] = {"ha": "left" if value >= 0 else "right", "va": "center", "fontsize": 7}
            axis.annotate(percent(value / 100), (value, place), xytext=(away, 0), textcoords="offset points", **side)
    axis.axvline(0, color=SOFT, linewidth=0.8)
    axis.margins(x=0.14 if width > NARROW else 0.3)
    axis.set_yticks(at, [layer["name"] for layer in layers])
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="y", visible=False)
    axis.invert_yaxis()
    linear_axis(axis.xaxis, ticks=5 if width > NARROW else 3)
    axis.set_xlabel("share of the whole file's image MSE, %")
    legend(made, axis)
    return made


@styled
def draw_noise(curves: Sequence[Mapping[str, Any]], width: float = WIDE) -> Figure:
    """Reconstruction loss against the noise's strength, with intervals."""
    made, axes = figure(width, 3.2, 1, len(curves))
    for axis, curve in zip(axes, curves, strict=True):
        sides = {"float": [pair["float"] for pair in curve["loss"]]}
        sides["integer"] = [pair["quantized"] for pair in curve["loss"]]
        if curve["analogue"]:
            sides["float, real numbers"] = list(curve["analogue"])
        for k, (name, points) in enumerate(sides.items()):
            value, low, high = ([point[end] for point in points] for end in ("value", "low", "high"))
            axis.plot(curve["levels"], value, **line(k, name))
            axis.fill_between(curve["levels"], low, high, color=COLOURS[k], alpha=0.15, linewidth=0)
        axis.set_xlabel(f"noise on {_NOISE[curve['kind']]}, standard deviation")
        axis.set_ylabel("reconstruction MSE")
        axis.set_ylim(bottom=0)
    legend(made, max(axes, key=lambda axis: len(axis.lines)))
    return made


@styled
def draw_training(epochs: Sequence[Mapping[str, Any]], width: float = WIDE) -> Figure:
    """Reconstruction MSE of the float model by epoch, logarithmic."""
    values = [epoch["reconstruction_mse"] for epoch in epochs]
    made, (axis,) = figure(width, 2.6)
    axis.plot([epoch["epoch"] for epoch in epochs], values, color=COLOURS[0], marker="o" if len(values) < 30 else "")
    log_axis(axis.yaxis, min(values), max(values))
    linear_axis(axis.xaxis, ticks=8 if width > NARROW else 5, whole=True)
    axis.set_xlabel("epoch")
    axis.set_ylabel("reconstruction MSE")
    return made
