"""The report's sections as plain objects: what goes into the JSON, and what the page is made of, is the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deploy.cost import Cost
from deploy.entering import Entering
from deploy.verify import Verdict
from export.ir import Dense, Network, Synapse
from export.ir.bounds import LayerRange
from export.passes import LayerQuantization
from sim.energy.estimate import part_names
from sim.fit.adviser import Fit

__all__ = ["energy", "fit", "layers", "network", "operations", "plain", "verification"]


def plain(value: Any) -> Any:
    """Dataclasses, arrays, paths and tuples as what JSON has; numbers that are not finite as None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def network(net: Network) -> dict[str, Any]:
    """Shapes, sizes and neurons, layer by layer."""
    return plain(
        {
            "content_hash": net.content_hash(),
            "time_steps": net.time_steps,
            "depth": net.depth,
            "input_shape": net.input_shape,
            "image_shape": None if net.readout is None else net.readout.image_shape,
            "layers": [_layer(_short(name), *nodes) for name, nodes in zip(net.labels, net.synapses(), strict=True)],
        }
    )


def _layer(name: str, layer: Synapse, before: tuple[int, ...], after: tuple[int, ...]) -> dict[str, Any]:
    return {
        "layer": name,
        "input_shape": before,
        "output_shape": after,
        "kernel": None if isinstance(layer, Dense) else layer.weight.shape[2:],
        "stride": None if isinstance(layer, Dense) else layer.stride,
        "weights": layer.weight.size,
        "neuron": layer.neuron,
    }


def layers(quantization: Sequence[LayerQuantization] | None, ranges: Sequence[LayerRange]) -> dict[str, Any]:
    """What rounding did to each layer, where it is known, and how much of its registers a layer can use."""
    rows = []
    for index, bounds in enumerate(ranges):
        row = {"layer": _short(bounds.layer), "u_share": bounds.u_share, "v_share": bounds.v_share}
        if quantization is not None:
            row |= {key: value for key, value in plain(quantization[index]).items() if key != "layer"}
        rows.append(row)
    return {"rows": plain(rows), "quantization_known": quantization is not None}


def operations(cost: Cost, entering: Entering) -> dict[str, Any]:
    """Exact counts by layer, and over the steps of the window."""
    counts = cost.counts
    rows = [{**plain(layer), "layer": _short(layer.layer)} for layer in counts.layers]
    names = ("neurons", "synapses", "spikes_in", "synops", "spikes", "updates")
    return {
        "images": counts.images,
        "steps": counts.steps,
        "input": {"kind": entering.kind, "about": entering.about, "seed": entering.options.seed},
        "layers": rows,
        "all_layers": {name: sum(row[name] for row in rows) for name in names},
        "totals": counts.totals,
        "products": sum(layer.macs.effective for layer in counts.layers),
    }


def energy(cost: Cost) -> dict[str, Any]:
    """The estimates of every profile."""
    return {"estimates": plain(cost.estimates), "parts": part_names(cost.estimates)}


def fit(answer: Fit) -> dict[str, Any]:
    """The mapping to cores, and what else was tried."""
    mapping, chip = answer.mapping, answer.mapping.chip
    limits = {"neurons": chip.neurons, "words": chip.memory_words, "axons": chip.input_axons}
    rows = [
        {
            "layer": _short(layer.layer),
            "kind": layer.kind,
            "neurons": layer.neurons,
            "weight_bits": layer.weight_bits,
            "words": layer.words,
            "cores": len(layer.cores),
            "binding": layer.binding,
            "problem": layer.problem,
            "use": layer.use(chip),
            "core_use": [max(getattr(core, name) / most for name, most in limits.items()) for core in layer.cores],
        }
        for layer in mapping.layers
    ]
    return plain(
        {
            "chip": {
                "name": chip.name,
                "title": chip.title,
                "cores": chip.cores,
                "usable_cores": chip.usable_cores,
                "mesh": chip.mesh_width,
                "limits": limits,
                "source": chip.source,
            },
            "fits": mapping.fits,
            "cores": mapping.cores,
            "chips": mapping.chips,
            "binding": mapping.binding if not mapping.problems else None,
            "problems": mapping.problems,
            "layers": rows,
            "other_ways": [*answer.lowerings, *(answer.advice.remedies if answer.advice else ())],
            "advice": answer.advice.sentences if answer.advice else (),
            "step_bound": answer.step,
        }
    )


def verification(verdicts: Mapping[str, Verdict], skipped: Mapping[str, str]) -> dict[str, Any]:
    """One entry a backend: equal or not, and where not; or why it was not asked."""
    rows: list[dict[str, Any]] = []
    for name, verdict in verdicts.items():
        difference = verdict.differences[name]
        rows.append(
            {
                "backend": name,
                "verdict": "equal" if difference is None else "differs",
                "integers": verdict.integers,
                "difference": None if difference is None else str(difference),
                "seconds": verdict.seconds[name],
                "about": dict(verdict.about.get(name, {})),
            }
        )
    rows += [{"backend": name, "verdict": "not run", "reason": reason} for name, reason in skipped.items()]
    first = next(iter(verdicts.values()), None)
    compared = (
        None if first is None else {key: getattr(first, key) for key in ("images", "steps", "layers", "integers")}
    )
    equal = bool(verdicts) and all(verdict.equal for verdict in verdicts.values())
    return plain({"equal": equal, "compared": compared, "backends": rows})


def _short(layer: str) -> str:
    return layer.removeprefix("layer ")
