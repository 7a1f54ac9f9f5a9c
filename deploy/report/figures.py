"""Which charts the report has, and what they are made of."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from deploy.report import charts
from deploy.report.numbers import figure, percent, whole
from deploy.view.units import si

__all__ = ["figures"]


def figures(content: dict[str, Any]) -> dict[str, Markup]:
    """All charts by name; those that have nothing to show are left out."""
    made = {
        "errors": _errors(content),
        "mismatch": _mismatch(content),
        "attribution": _attribution(content),
        "synops": _synops(content["operations"]),
        "activity": _activity(content["operations"]),
        "energy": _energy(content["energy"]),
        "parts": _parts(content["energy"]),
        "cores": _cores(content["fit"]),
        "training": _training(content["training"]),
    }
    return {name: chart for name, chart in made.items() if chart is not None}


def _errors(content: dict[str, Any]) -> Markup | None:
    quality = content["comparison"]["quality"]
    values = [value for value in quality["per_image"]["mse"] if value is not None]
    if not values:
        return None
    marks = {"median": quality["mse"]["median"], "95 %": quality["mse"]["p95"]}
    title = f"How the MSE between float and integer picture is distributed over {len(values):,} images"
    return charts.histogram("chart-errors", title, "MSE of an image, pixels in [−1, 1]", values, marks)


def _mismatch(content: dict[str, Any]) -> Markup | None:
    layers = [one for one in content["comparison"]["layers"] if one["mismatch_by_step"]]
    if not layers:
        return None
    lines = [charts.Curve(_short(one["name"]), [100 * x for x in one["mismatch_by_step"]]) for one in layers]
    title = "Spikes that differ between float and integer, by step of the window"
    return charts.curves("chart-mismatch", title, "step", "spikes that differ, %", lines)


def _attribution(content: dict[str, Any]) -> Markup | None:
    found = content["comparison"]["attribution"]
    if found is None or not found["layers"]:
        return None
    rows = []
    for one in found["layers"]:
        value, low, high = (one["alone"][key] for key in ("value", "low", "high"))
        if value is None:
            return None
        low = None if low is None else max(low, 0.0)
        text = f"{figure(value)} ({percent(one['share'], 0)})"
        rows.append(charts.Bar(_short(one["name"]), value, low, high, text))
    title = "Image MSE where a single layer computes with integers"
    return charts.bars("chart-attribution", title, "MSE, and 95 % interval", rows, lambda value: f"{value:.2g}")


def _synops(operations: dict[str, Any]) -> Markup:
    rows = []
    for row in operations["layers"]:
        spread, full = row["over_images"]["synops"], row["synapses"] * operations["steps"]
        share = f" ({row['synops'] / full:.0%} of all spiking)" if full else ""
        rows.append(
            charts.Bar(row["layer"], row["synops"], spread["low"], spread["high"], whole(row["synops"]) + share)
        )
    axis = "synaptic operations an image; whisker: 5 to 95 % of the images"
    return charts.bars("chart-synops", "Synaptic operations by layer", axis, rows, lambda value: si(value, "").rstrip())


def _activity(operations: dict[str, Any]) -> Markup:
    first = operations["layers"][0]
    series = [("input", first["over_steps"]["spikes_in"], first["inputs"])]
    series += [(row["layer"], row["over_steps"]["spikes"], row["neurons"]) for row in operations["layers"]]
    lines = [
        charts.Curve(name, *([100 * step[key] / many for step in steps] for key in ("mean", "std")))
        for name, steps, many in series
        if any(step["mean"] for step in steps)
    ]
    if not lines:
        lines = [charts.Curve("all layers", [0.0] * operations["steps"])]
    title = "Share of each layer's neurons that fire in each step; band: one standard deviation over images"
    return charts.curves("chart-activity", title, "step", "neurons that fire, %", lines)


def _energy(energy: dict[str, Any]) -> Markup:
    rows = [
        charts.Range(one["profile"], *(one["energy"][k] for k in ("value", "low", "high")))
        for one in energy["estimates"]
    ]
    return charts.ranges(
        "chart-energy",
        "Energy of an image by profile, estimates with their ranges",
        "joules an image, logarithmic",
        rows,
        "J",
    )


def _parts(energy: dict[str, Any]) -> Markup:
    rows = {one["profile"]: {p["name"]: p["energy"]["value"] for p in one["parts"]} for one in energy["estimates"]}
    return charts.shares(
        "chart-parts", "What the energy goes into, by profile", "share of the energy, %", rows, energy["parts"]
    )


def _cores(fit: dict[str, Any]) -> Markup | None:
    if not any(row["core_use"] for row in fit["layers"]):
        return None
    chip = fit["chip"]
    about = "; ".join(f"layer {row['layer']} takes {row['cores']}" for row in fit["layers"])
    title = f"{fit['cores']} of {chip['usable_cores']} usable cores of {chip['title']}"
    return charts.cores("chart-cores", title, f"{about}.", chip, fit["layers"])


def _training(training: dict[str, Any]) -> Markup | None:
    values = [epoch["reconstruction_mse"] for epoch in training["epochs"]]
    if len(values) < 2 or not all(isinstance(value, (int, float)) and value > 0 for value in values):
        return None
    lines = [charts.Curve("training", values)]
    title = "Reconstruction MSE over the training"
    first = training["epochs"][0]["epoch"]
    return charts.curves("chart-training", title, "epoch", "MSE, logarithmic", lines, first=first, logarithmic=True)


def _short(layer: str) -> str:
    return layer.removeprefix("layer ")
