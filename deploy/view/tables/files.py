"""Tables of network files: what ``inspect``, ``check``, ``diff`` and ``export`` say of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deploy.view import numbers as n
from deploy.view.prose import counted
from deploy.view.table import Column, Table, count_column, layer, number_column, share, words

__all__ = ["check_tables", "diff_tables", "fidelity_table", "inspection_tables", "network_table", "quantization_tables"]


def inspection_tables(found: Mapping[str, Any], *, items: bool = True) -> list[Table]:
    """Layers of a file, where it is a network, and where wanted all arrays and texts in it; of ``inspect --json``."""
    tables = []
    if found["layers"]:
        tables.append(_layers(found))
    if items:
        tables.append(_items(found["items"]))
    return tables


def _layers(found: Mapping[str, Any]) -> Table:
    rows = tuple(
        (
            view["layer"],
            view["output_shape"],
            *(view[name] for name in ("neurons", "weights", "synapses")),
            view["weight_range"],
            "" if view["even"] else "odd",
            *(view[name] for name in ("weight_levels", "zeros", "bias_range", "delay_range")),
            "" if view["neuron"] == "lif" else view["neuron"],
            *(view[name] for name in ("voltage_keep", "current_keep", "threshold")),
        )
        for view in found["layers"]
    )
    window = found["time_steps"] or "not said"
    columns = (
        layer(),
        Column("output", n.shape),
        *map(count_column, ("neurons", "weights", "synapses")),
        Column("weight range", n.ends),
        words("parity", help="odd where not all weights are even, as mixed signs are stored on the chip"),
        count_column("levels", help="different weights"),
        share("zero", 0, help="of the stored weights"),
        Column("bias range", n.ends),
        Column("delay range", n.ends, help="in steps"),
        words("neuron", help="where it is not integrate-and-fire"),
        number_column("keeps v", help="share of the potential that survives a step"),
        number_column("keeps u", help="share of the current that survives a step"),
        count_column("threshold", help="in units of weights"),
    )
    # These columns are there only where they say something.
    names = ("parity", "delay range", "neuron", "keeps v", "keeps u")
    rare = {name: k for k, name in enumerate(column.name for column in columns) if name in names}
    dropped = {k for k in rare.values() if all(row[k] in (None, "") for row in rows)}
    return Table(
        "layers",
        f"Layers of the file; input {n.shape(found['input_shape'])}, window {window}",
        tuple(column for k, column in enumerate(columns) if k not in dropped),
        tuple(tuple(cell for k, cell in enumerate(row) if k not in dropped) for row in rows),
        caption="keeps v, keeps u: share of the potential, and of the current, that survives a step, the largest where "
        "neurons differ; threshold: in units of weights",
    )


def _items(items: Sequence[Mapping[str, Any]]) -> Table:
    rows = []
    for item in items:
        kind = f"{item['dtype']} {n.shape(item['shape'])}" if item["dtype"] else ""
        content = " ".join(item["text"].split()) if item["low"] is None else n.ends((item["low"], item["high"]))
        rows.append((item["path"], item["kind"], kind, content))
    return Table("items", "In the file", tuple(map(words, ("path", "kind", "type", "content"))), tuple(rows))


def check_tables(findings: Sequence[Mapping[str, Any]], *, title: str = "Findings") -> list[Table]:
    """What is wrong or surprising in a file; of ``findings`` in ``check --json``."""
    rows = tuple((found["severity"], found["where"], found["what"]) for found in findings)
    return [Table("findings", title, tuple(map(words, ("severity", "where", "what"))), rows)]


def diff_tables(differences: Sequence[Mapping[str, Any]], *, title: str = "Differences") -> list[Table]:
    """Where two files differ; of ``differences`` in ``diff --json``."""
    rows = tuple((found["where"], found["kind"], found["what"]) for found in differences)
    return [Table("differences", title, tuple(map(words, ("where", "kind", "what"))), rows)]


def quantization_tables(layers: Mapping[str, Any], *, title: str = "What rounding did") -> list[Table]:
    """What quantizing did to each layer where it is known, and how full its registers can get; of ``layers`` in
    report.json."""
    bounds = (
        share("current, of register", help="largest possible, of the 24 bit register"),
        share("potential, of register", help="largest possible, of the 24 bit register"),
    )
    if not layers["quantization_known"]:
        about = "Largest possible current and potential, of the 24 bit registers"
        rows = tuple((row["layer"], row["u_share"], row["v_share"]) for row in layers["rows"])
        return [Table("rounding", about, (layer(), *bounds), rows)]
    keys = ("layer", "bits", "scale", "bound_by", "clipped", "weight_error", "bias_error", "threshold_error", "zeros")
    return [
        Table(
            "rounding",
            title,
            (
                layer(),
                count_column("bits"),
                number_column("scale", 4),
                words("bound by", help="what keeps the scale from being larger"),
                count_column("clipped", help="weights beyond the largest level"),
                share("weight error", 2, help="relative, root mean square"),
                share("bias error", 2, help="largest, as a share of the threshold"),
                share("threshold error", 2, help="relative"),
                share("zeros", help="weights that are zero"),
                *bounds,
            ),
            tuple(tuple(row[key] for key in (*keys, "u_share", "v_share")) for row in layers["rows"]),
            caption="current, potential: the largest possible, as shares of the 24 bit registers",
        )
    ]


def fidelity_table(judged: Sequence[Mapping[str, Any]]) -> Table:
    """Whether layers fire in integers as in floats; of ``fidelity`` in ``export --json`` and report.json's layers."""
    keys = ("layer", "rate_float", "rate_integer", "standard_error", "picture_error", "verdict")
    columns = (
        layer(),
        number_column("float rate", 4, help="spikes a step and neuron"),
        number_column("integer rate", 4, help="spikes a step and neuron"),
        number_column("standard error", 2, help="of their difference, over images"),
        number_column("picture error", 2, help="root mean square, over the spread of the float pictures"),
        words(
            "verdict",
            help="changed: beyond five standard errors and a quarter of the rate, or pictures off by more "
            "than they differ among themselves",
        ),
    )
    images = judged[0]["images"] if judged else 0
    rows = tuple(tuple(row[key] for key in keys) for row in judged)
    title = f"Rates in floats and in integers, on the same spikes of {counted(images, 'image')}"
    return Table("fidelity", title, columns, rows)


def network_table(network: Mapping[str, Any]) -> Table:
    """Shapes, sizes and neurons by layer; of ``network`` in report.json."""
    neuron = ("current_decay", "voltage_decay", "threshold")
    rows = tuple(
        (
            *(row[key] for key in ("layer", "input_shape", "output_shape", "kernel", "weights")),
            *(row["neuron"][key] for key in neuron),
        )
        for row in network["layers"]
    )
    shapes = (Column(name, n.shape) for name in ("input", "output", "kernel"))
    decays = (Column(name, _decay) for name in ("current decay", "voltage decay"))
    columns = (layer(), *shapes, count_column("weights"), *decays, count_column("threshold"))
    return Table("network", "Layers of the file; decays in 1/4096 a step", columns, rows)


def _decay(value: int | list[int]) -> str:
    """Of all neurons, or from the smallest to the largest."""
    return n.ends((min(value), max(value))) if isinstance(value, list) else n.whole(value)
