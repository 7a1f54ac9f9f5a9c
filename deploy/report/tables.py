"""The report's tables, each made from the plain content alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deploy.report import numbers as n

__all__ = ["Table", "tables"]

_NONE = "–"
_METRICS = {
    "fad": "FAD",
    "kid": "KID",
    "fid": "FID",
    "inception_score": "Inception score",
    "precision": "precision",
    "recall": "recall",
}


@dataclass(frozen=True)
class Table:
    """Rows of text; the first column names the row.

    Attributes:
        caption: what it holds, with units.
        header: of all columns.
        rows: likewise; the last is a sum where ``total``.
        words: numbers of the columns that hold words, set to the left; the first always is.
        total: whether the last row sums up the others.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: frozenset[int] = frozenset({0})
    total: bool = False


def tables(content: dict[str, Any]) -> dict[str, Table]:
    """All tables by name; those that have nothing to say are left out."""
    made = {
        "quality": _quality(content["comparison"]),
        "distances": _distances(content["comparison"]),
        "rounding": _rounding(content["layers"]),
        "drift": _drift(content["comparison"]["layers"]),
        "attribution": _attribution(content["comparison"]["attribution"]),
        "counts": _counts(content["operations"]),
        "spreads": _spreads(content["operations"]),
        "energy": _energy(content["energy"]),
        "parts": _parts(content["energy"]),
        "fit": _fit(content["fit"]),
        "other_ways": _other_ways(content["fit"]),
        "verification": _verification(content["verification"]),
        "network": _network(content["network"]),
        "versions": _versions(content["provenance"]),
        "training": _training(content["training"]),
    }
    return {name: table for name, table in made.items() if table is not None and table.rows}


def _quality(comparison: dict[str, Any]) -> Table:
    quality = comparison["quality"]
    names = (("MSE", "mse", "largest"), ("PSNR, dB", "psnr", "smallest"), ("SSIM", "ssim", "smallest"))
    rows = []
    for name, key, _ in names:
        spread = quality[key]
        if spread is None:
            rows.append((name, "all images identical", *[_NONE] * 5))
            continue
        ends = (n.figure(spread[end]) for end in ("p05", "median", "p95", "worst"))
        rows.append((name, n.interval(spread["mean"]), *ends, str(spread["worst_image"])))
    return Table(
        f"Integer against float pictures of the same latent spikes, {quality['images']:,} images, pixels in [−1, 1]",
        ("", "mean [95 %]", "5 %", "median", "95 %", "worst", "in image"),
        tuple(rows),
    )


def _distances(comparison: dict[str, Any]) -> Table:
    rows = []
    pair = comparison["reconstruction"]
    if pair is not None:
        sides = [n.interval(pair[side]) for side in ("float", "quantized", "difference")]
        rows.append((f"reconstruction MSE, {pair['images']:,} test images", *sides, _NONE))
    distribution = comparison["distribution"] or {"distances": {}}
    for key, one in distribution["distances"].items():
        sides = [n.interval(one[side]) for side in ("float", "quantized", "difference")]
        better = "larger is better" if one["larger_is_better"] else "smaller is better"
        rows.append((f"{_METRICS.get(key, key)}, {better}", *sides, n.interval(one["floor"])))
    header = ("", "float [95 %]", "integer [95 %]", "integer − float [95 %]", "floor [95 %]")
    return Table("Both decoders against real images", header, tuple(rows))


def _rounding(layers: dict[str, Any]) -> Table:
    header = ("layer", "current, of register", "potential, of register")
    if not layers["quantization_known"]:
        rows = [(row["layer"], n.percent(row["u_share"]), n.percent(row["v_share"])) for row in layers["rows"]]
        return Table("Largest possible current and potential, of the 24 bit registers", header, tuple(rows))
    return Table(
        "What rounding did; and the largest possible current and potential, of the 24 bit registers",
        (
            "layer",
            "bits",
            "scale",
            "bound by",
            "clipped",
            "weight error",
            "bias error",
            "threshold error",
            "zeros",
            *header[1:],
        ),
        tuple(
            (
                row["layer"],
                str(row["bits"]),
                n.figure(row["scale"], 4),
                row["bound_by"],
                n.whole(row["clipped"]),
                n.percent(row["weight_error"], 2),
                n.percent(row["bias_error"], 2),
                n.percent(row["threshold_error"], 2),
                n.percent(row["zeros"]),
                n.percent(row["u_share"]),
                n.percent(row["v_share"]),
            )
            for row in layers["rows"]
        ),
        frozenset({0, 3}),
    )


def _drift(layers: list[dict[str, Any]]) -> Table:
    rows = []
    for one in layers:
        if one["unmapped"]:
            rows.append((_short(one["name"]), one["unmapped"], *[_NONE] * 6))
            continue
        rows.append(
            (
                _short(one["name"]),
                one["layout"] or _NONE,
                n.percent(one["mismatch"], 2),
                n.percent(one["missing"], 2),
                n.percent(one["extra"], 2),
                n.percent(one["agreement"]),
                n.figure(one["rate_float"]),
                n.figure(one["rate_quantized"]),
                n.figure(one["membrane"]),
            )
        )
    header = ("layer", "held as", "spikes that differ", "missing", "extra", "agreement", "rate, float", "rate, integer")
    return Table(
        "How far each layer drifts from its float original; shares are of images, steps and neurons",
        (*header, "potential, r.m.s."),
        tuple(rows),
        frozenset({0, 1}),
    )


def _attribution(found: dict[str, Any] | None) -> Table | None:
    if found is None or not found["layers"]:
        return None
    rows = [
        (
            _short(one["name"]),
            n.interval(one["alone"]),
            n.percent(one["share"]),
            n.interval(one["upto"]),
            n.percent(one["added"]),
        )
        for one in found["layers"]
    ]
    header = ("layer", "alone integer, MSE [95 %]", "of the whole", "up to here integer, MSE [95 %]", "adds")
    return Table(f"Which layer does the damage, {found['images']:,} images", header, tuple(rows))


def _counts(operations: dict[str, Any]) -> Table:
    names = ("neurons", "synapses", "spikes_in", "synops", "spikes", "updates")
    rows = [
        (row["layer"], *(n.whole(row[name]) for name in names), n.percent(row["activity"]), n.percent(row["sparsity"]))
        for row in operations["layers"]
    ]
    rows.append(("all", *(n.whole(operations["all_layers"][name]) for name in names), "", ""))
    header = ("layer", "neurons", "synapses", "spikes in", "synaptic operations", "spikes out", "neuron updates")
    about = f"Counts an image, exact, mean of {operations['images']:,} images of {operations['steps']} steps"
    return Table(about, (*header, "activity", "sparsity"), tuple(rows), total=True)


def _spreads(operations: dict[str, Any]) -> Table:
    rows = []
    for row in operations["layers"]:
        spread = row["over_images"]["synops"]
        ends = (n.whole(spread[end]) for end in ("min", "low", "median", "high", "max"))
        rows.append((row["layer"], *ends, n.percent(row["zero_weights"]), n.whole(row["macs"]["effective"])))
    header = ("layer", "least", "5 %", "median", "95 %", "most", "zero weights", "products of float equivalent")
    return Table("Synaptic operations over images, and products of the float equivalent", header, tuple(rows))


def _energy(energy: dict[str, Any]) -> Table:
    rows = []
    for one in energy["estimates"]:
        value, spread = n.energy(one["energy"])
        step, image = n.seconds(one["step_time"])[0], n.seconds(one["interval"])
        share = n.percent(one["static_share"]["value"], 0) if one["static_share"] else _NONE
        rows.append((one["profile"], value, spread, share, step, *image, one["basis"]))
    return Table(
        "Energy and time by profile: estimates from the exact counts above, not readings of an instrument",
        ("profile", "an image", "range", "static", "a step takes", "an image takes", "range", "basis"),
        tuple(rows),
        frozenset({0, 7}),
    )


def _parts(energy: dict[str, Any]) -> Table:
    rows = []
    for one in energy["estimates"]:
        found = {part["name"]: n.energy(part["energy"])[0] for part in one["parts"]}
        rows.append((one["profile"], *(found.get(name, _NONE) for name in energy["parts"])))
    return Table("Parts of the energy of an image, estimates", ("profile", *energy["parts"]), tuple(rows))


def _fit(fit: dict[str, Any]) -> Table:
    rows = []
    for row in fit["layers"]:
        use = [n.percent(row["use"][name], 0) for name in ("neurons", "words", "axons")]
        cores = str(row["cores"]) if row["cores"] else "impossible"
        rows.append(
            (
                row["layer"],
                row["kind"],
                n.whole(row["neurons"]),
                str(row["weight_bits"]),
                n.whole(row["words"]),
                cores,
                *use,
                row["binding"],
            )
        )
    header = ("layer", "synapses", "neurons", "bits", "memory words", "cores", "neurons", "memory", "axons", "binding")
    about = f"Cores of {fit['chip']['title']} by layer; shares are of the layer's fullest core"
    return Table(about, header, tuple(rows), frozenset({0, 1, 9}))


def _other_ways(fit: dict[str, Any]) -> Table:
    rows = [
        (
            one["what"],
            *("impossible" if one[key] is None else str(one[key]) for key in ("cores", "chips")),
            "yes" if one["fits"] else "no",
        )
        for one in fit["other_ways"]
    ]
    return Table("Other ways to put it on a chip", ("", "cores", "chips", "fits"), tuple(rows))


def _verification(found: dict[str, Any]) -> Table:
    rows = []
    for row in found["backends"]:
        if row["verdict"] == "not run":
            rows.append((row["backend"], "not run", _NONE, _NONE, row["reason"]))
            continue
        about = ", ".join(f"{name} {version}" for name, version in row["about"].items())
        remark = f"first at {row['difference']}" if row["difference"] else about
        rows.append((row["backend"], row["verdict"], n.whole(row["integers"]), f"{row['seconds']:.1f} s", remark))
    header = ("backend", "verdict", "integers compared", "took", "with, or why not")
    return Table(
        "The same spikes on each backend, every integer against the twin's", header, tuple(rows), frozenset({0, 1, 4})
    )


def _network(network: dict[str, Any]) -> Table:
    rows = [
        (
            row["layer"],
            n.shape(row["input_shape"]),
            n.shape(row["output_shape"]),
            n.shape(row["kernel"]),
            n.whole(row["weights"]),
            n.whole(row["neuron"]["current_decay"]),
            n.whole(row["neuron"]["voltage_decay"]),
            n.whole(row["neuron"]["threshold"]),
        )
        for row in network["layers"]
    ]
    header = ("layer", "input", "output", "kernel", "weights", "current decay", "voltage decay", "threshold")
    return Table("Layers of the file; decays in 1/4096 a step", header, tuple(rows))


def _versions(provenance: dict[str, Any]) -> Table:
    made = provenance["versions"]
    names = [*made, *(name for name in provenance["trained_with"] if name not in made)]
    rows = tuple((name, made.get(name, _NONE), provenance["trained_with"].get(name, _NONE)) for name in names)
    return Table("Versions", ("", "report", "training"), rows, frozenset({0, 1, 2}))


def _training(training: dict[str, Any]) -> Table | None:
    epochs = training["epochs"]
    if not epochs:
        return None
    chosen = sorted({0, *range(len(epochs) // 5, len(epochs), max(1, len(epochs) // 5)), len(epochs) - 1})
    keys = ("reconstruction_mse", "mmd", "total")
    rows = tuple(
        (str(epochs[k]["epoch"]), *(n.figure(epochs[k][key]) for key in keys), n.whole(epochs[k]["seconds"]))
        for k in chosen
    )
    return Table("Training: some epochs", ("epoch", "reconstruction MSE", "MMD", "loss", "seconds"), rows)


def _short(layer: str) -> str:
    return layer.removeprefix("layer ")
