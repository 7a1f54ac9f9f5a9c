"""Which charts the report has, and what is said of each to those who do not see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from deploy.view.numbers import percent, rounded, shape, si, whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["figures"]


def figures(content: Mapping[str, Any]) -> dict[str, Markup]:
    """All charts by name; those that have nothing to show are left out."""
    from deploy.view import comparison, histograms, outline, plots
    from deploy.view.style import inline_svg

    found = content["comparison"]
    made: dict[str, Markup] = {}

    def add(name: str, draw: Callable[[Any, float], Figure], shown: Any, title: str, about: str) -> None:
        svg = inline_svg(lambda width: draw(shown, width), f"chart-{name}", title, about)
        made[name] = Markup(svg)

    stages = content["outline"]
    about = "; ".join(f"{one['layer']} {shape(one['shape'])}" for one in stages)
    add("outline", outline.draw_outline, stages, f"The network from input to output in {len(stages)} stages", about)
    quality = found["quality"]
    if any(value is not None for value in quality["per_image"]["mse"]):
        about = f"Median {rounded(quality['mse']['median'])}; 95 % {rounded(quality['mse']['p95'])}."
        title = f"How the MSE between float and integer picture is distributed over {quality['images']:,} images"
        add("errors", comparison.draw_errors, quality, title, about)
    if any(layer["membrane_by_step"] for layer in found["layers"]):
        title = "Spikes that differ between float and integer, and potentials' difference, by step of the window"
        add("layers", comparison.draw_layers, found["layers"], title, _drift(found["layers"]))
    for name, title in (("weights", "Weights"), ("potentials", "Membrane potentials")):
        if rows := found[name]:
            about = "; ".join(f"{row['name']} from {_ends(row['edges'])} {row['unit']}" for row in rows)
            add(name, histograms.draw_histograms, rows, f"{title} of each layer, float and integer", f"{about}.")
    if found["attribution"] is not None and found["attribution"]["layers"]:
        shares = (f"{one['name']} {percent(one['share'])}" for one in found["attribution"]["layers"])
        title = "Each layer's share of the image MSE, where it alone computes with integers and added in order"
        add("attribution", comparison.draw_shares, found["attribution"], title, f"Alone: {'; '.join(shares)}.")
    operations = content["operations"]
    most = max(operations["layers"], key=lambda row: row["synops"])
    about = f"The largest is {most['layer']}: {whole(most['synops'])}."
    add("synops", plots.draw_synops, operations, "Synaptic operations by layer", about)
    active = (f"{row['layer']} {percent(row['activity'])}" for row in operations["layers"])
    title = "Share of each layer's neurons that fire in each step"
    add("activity", plots.draw_activity, operations, title, f"Mean over the steps: {'; '.join(active)}.")
    if content["energy"]["estimates"]:
        title = "Energy of an image by profile, estimates with their ranges, and what it goes into"
        add("energy", plots.draw_energy, content["energy"], title, _energies(content["energy"]))
    fit = content["fit"]
    if any(row["core_use"] for row in fit["layers"]):
        title = f"{fit['cores']} of {fit['chip']['usable_cores']} usable cores of {fit['chip']['title']}"
        about = "; ".join(f"{row['layer']} takes {row['cores']}" for row in fit["layers"])
        add("cores", plots.draw_cores, fit, title, f"{about}.")
    epochs = content["training"]["epochs"]
    values = [epoch["reconstruction_mse"] for epoch in epochs]
    if len(values) > 1 and all(isinstance(value, (int, float)) and value > 0 for value in values):
        about = f"From {rounded(values[0])} to {rounded(values[-1])}."
        add("training", comparison.draw_training, epochs, "Reconstruction MSE over the training", about)
    return made


def _ends(edges: Sequence[float]) -> str:
    """Where a histogram begins and ends."""
    return f"{rounded(edges[0])} to {rounded(edges[-1])}"


def _drift(layers: list[Mapping[str, Any]]) -> str:
    """Where each curve begins and ends."""
    parts = []
    for one in layers:
        differ = one["mismatch_by_step"]
        if differ:
            parts.append(f"{one['name']}: spikes from {percent(differ[0], 2)} to {percent(differ[-1], 2)}")
    return "; ".join(parts or ["No layer has spikes"]) + "."


def _energies(energy: Mapping[str, Any]) -> str:
    """Each profile's energy, and its largest part."""
    parts = []
    for one in energy["estimates"]:
        total = one["energy"]["value"]
        largest = max(one["parts"], key=lambda part: part["energy"]["value"])
        share = f", mostly {largest['name']}, {largest['energy']['value'] / total:.0%}" if total else ""
        parts.append(f"{one['profile']} {si(total, 'J')}{share}")
    return "; ".join(parts) + "."
