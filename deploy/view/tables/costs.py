"""Tables of ``esvae energy`` (exact counts, estimates) and ``esvae fit`` (cores)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deploy.view.prose import counted
from deploy.view.table import Column, Table, count_column, joules, layer, range_of, seconds_column, share, words

__all__ = ["cost_tables", "counts_tables", "energy_tables", "fit_tables"]

_COUNTS = {
    "neurons": "neurons",
    "synapses": "synapses",
    "spikes in": "spikes_in",
    "synaptic operations": "synops",
    "spikes out": "spikes",
    "neuron updates": "updates",
}


def cost_tables(operations: Mapping[str, Any], energy: Mapping[str, Any]) -> list[Table]:
    """Counts first, then estimates."""
    return [*counts_tables(operations), *energy_tables(energy)]


def counts_tables(operations: Mapping[str, Any]) -> list[Table]:
    """Exact counts an image by layer, and how they spread from image to image; of ``operations`` in report.json."""
    layers = operations["layers"]
    keys = ("layer", *_COUNTS.values(), "activity", "sparsity")
    counts = [tuple(row[key] for key in keys) for row in layers]
    all_layers = operations["all_layers"]
    counts.append(("all", *(all_layers[key] for key in _COUNTS.values()), None, None))
    spreads = []
    for row in layers:
        spread = row["over_images"]["synops"]
        ends = (spread[key] for key in ("min", "low", "median", "high", "max"))
        spreads.append((row["layer"], *ends, row["zero_weights"], row["macs"]["effective"]))
    about = f"mean of {counted(operations['images'], 'image')} of {counted(operations['steps'], 'step')}"
    activity = (
        share("activity", help="spikes for each neuron and step"),
        share("sparsity", help="share of synapses and steps without an operation"),
    )
    return [
        Table(
            "counts",
            f"Counts an image, exact, {about}",
            (layer(), *map(count_column, _COUNTS), *activity),
            tuple(counts),
            total=True,
        ),
        Table(
            "spreads",
            "Synaptic operations over images, and products of the float equivalent",
            (
                layer(),
                *map(count_column, ("least", "5 %", "median", "95 %", "most")),
                share("zero weights"),
                count_column("products of float equivalent", help="which runs once an image"),
            ),
            tuple(spreads),
        ),
    ]


def energy_tables(energy: Mapping[str, Any]) -> list[Table]:
    """Estimates by profile, and their parts; of ``energy`` in report.json."""
    estimates = energy["estimates"]
    rows = []
    for one in estimates:
        energies = (_value(one["energy"]), one["energy"], _value(one["static_share"]))
        times = (*(_value(one[key]) for key in ("step_time", "interval", "latency")), one["latency"])
        rows.append((one["profile"], *energies, *times, one["basis"]))
    parts = []
    for one in estimates:
        found = {part["name"]: part["energy"]["value"] for part in one["parts"]}
        parts.append((one["profile"], *(found.get(name) for name in energy["parts"])))
    return [
        Table(
            "energy",
            "Energy and time by profile: estimates from the exact counts above, not readings of an instrument",
            (
                words("profile"),
                joules("energy an image"),
                range_of("its range", "J", help="all figures at their low, or at their high end"),
                share("static share", 0, help="share of the energy that is taken without any spike"),
                seconds_column("time a step"),
                seconds_column("time an image", help="from image to image, one after another"),
                seconds_column("latency", help="from the first spike of an image to its picture"),
                range_of("latency range", "s"),
                words("basis", help="of the weakest figure in the estimate"),
            ),
            tuple(rows),
        ),
        Table(
            "parts",
            "Parts of the energy of an image, estimates",
            (words("profile"), *map(joules, energy["parts"])),
            tuple(parts),
        ),
    ]


def fit_tables(fit: Mapping[str, Any]) -> list[Table]:
    """Cores by layer, and other ways to put the network on a chip; of ``fit`` in report.json."""
    rows = []
    for row in fit["layers"]:
        use = [row["use"][name] if row["cores"] else None for name in ("neurons", "words", "axons")]
        cores = row["cores"] or "impossible"
        head = (row["layer"], row["kind"], row["neurons"], row["weight_bits"], row["words"], cores)
        rows.append((*head, *use, row["groups"], row["binding"]))
    tables = [
        Table(
            "fit",
            f"Cores of {fit['chip']['title']} by layer; shares are of the layer's fullest core",
            (
                layer(),
                words("synapses", help="one shared kernel, or lists of all synapses"),
                count_column("neurons"),
                count_column("bits", help="of a stored weight"),
                count_column("memory words"),
                _number_or_word("cores"),
                *(share(name, 0) for name in ("neurons used", "memory used", "axons used")),
                Column("groups", lambda groups: f"{groups}/{fit['chip']['groups']}", help="sets of neuron parameters"),
                words("binding", help="the limit that is fullest"),
            ),
            tuple(rows),
        )
    ]
    ways = tuple(
        (way["what"], *("impossible" if way[key] is None else way[key] for key in ("cores", "chips")), way["fits"])
        for way in fit["other_ways"]
    )
    if ways:
        columns = (words("way"), _number_or_word("cores"), _number_or_word("chips"), words("fits one", _yes))
        tables.append(Table("other_ways", "Other ways to put it on a chip", columns, ways))
    return tables


def _number_or_word(name: str) -> Column:
    return Column(name, lambda value: value if isinstance(value, str) else f"{value:,}")


def _value(quantity: Mapping[str, float] | None) -> float | None:
    return None if quantity is None else quantity["value"]


def _yes(value: bool) -> str:
    return "yes" if value else "no"
