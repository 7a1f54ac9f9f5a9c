"""The report's sections as plain objects: what goes into the JSON, and what the page is made of, is the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deploy.view.table import plain
from export.ir import Conv, ConvTranspose, Network, Synapse, all_weights
from sim.energy.estimate import part_names

if TYPE_CHECKING:  # each section shows what others have computed, and takes none of what computes it
    from deploy.cost import Cost
    from deploy.entering import Entering
    from deploy.verify import Verdict
    from export.ir.bounds import LayerRange
    from export.passes import LayerFidelity, LayerQuantization
    from sim.fit.adviser import Fit
    from sim.fit.mapping import Mapping as ChipMapping

__all__ = ["cores", "counts", "energy", "fit", "layers", "network", "operations", "verification"]


def network(net: Network) -> dict[str, Any]:
    """Shapes, sizes and neurons, layer by layer."""
    return plain(
        {
            "content_hash": net.content_hash(),
            "time_steps": net.time_steps,
            "depth": net.depth,
            "input_shape": net.input_shape,
            "image_shape": None if net.readout is None else net.readout.image_shape,
            "layers": [_layer(name, *nodes) for name, nodes in zip(net.labels, net.synapses(), strict=True)],
        }
    )


def _layer(name: str, layer: Synapse, before: tuple[int, ...], after: tuple[int, ...]) -> dict[str, Any]:
    return {
        "layer": name,
        "input_shape": before,
        "output_shape": after,
        "kernel": layer.weight.shape[2:] if isinstance(layer, Conv | ConvTranspose) else None,
        "stride": layer.stride if isinstance(layer, Conv | ConvTranspose) else None,
        "weights": all_weights(layer).size,
        "neuron": layer.neuron,
    }


def layers(
    quantization: Sequence[LayerQuantization] | None,
    ranges: Sequence[LayerRange],
    fidelity: Sequence[LayerFidelity] = (),
) -> dict[str, Any]:
    """What rounding did to each layer and its rates, where it is known, and how much of its registers it can use."""
    rows = []
    for index, bounds in enumerate(ranges):
        row = {"layer": bounds.layer, "u_share": bounds.u_share, "v_share": bounds.v_share}
        if quantization is not None:
            row |= {key: value for key, value in plain(quantization[index]).items() if key != "layer"}
        rows.append(row)
    return {"rows": plain(rows), "quantization_known": quantization is not None, "fidelity": plain(list(fidelity))}


def operations(cost: Cost, entering: Entering) -> dict[str, Any]:
    """Exact counts by layer, and over the steps of the window; and what entered."""
    about = {"kind": entering.kind, "about": entering.about, "seed": entering.options.seed}
    return {**counts(cost), "input": about}


def counts(cost: Cost) -> dict[str, Any]:
    """Exact counts by layer, and over the steps of the window."""
    found = cost.counts
    rows = plain(list(found.layers))
    names = ("neurons", "synapses", "spikes_in", "synops", "spikes", "updates")
    return {
        "images": found.images,
        "steps": found.steps,
        "layers": rows,
        "all_layers": {name: sum(row[name] for row in rows) for name in names},
        "totals": found.totals,
        "products": sum(layer.macs.effective for layer in found.layers),
    }


def energy(cost: Cost) -> dict[str, Any]:
    """The estimates of every profile."""
    return {"estimates": plain(cost.estimates), "parts": part_names(cost.estimates)}


def fit(answer: Fit) -> dict[str, Any]:
    """The mapping to cores, and what else was tried."""
    remedies, sentences = (answer.advice.remedies, answer.advice.sentences) if answer.advice else ((), ())
    others = {"other_ways": [*answer.lowerings, *remedies], "advice": sentences, "step_bound": answer.step}
    return {**cores(answer.mapping), **plain(others)}


def cores(mapping: ChipMapping) -> dict[str, Any]:
    """The cores of each layer, and how full they are."""
    chip = mapping.chip
    limits = {"neurons": chip.neurons, "words": chip.memory_words, "axons": chip.input_axons}
    rows = []
    for layer in mapping.layers:
        use = {name: [getattr(core, name) / most for core in layer.cores] for name, most in limits.items()}
        rows.append(
            {
                "layer": layer.layer,
                "kind": layer.kind,
                "neurons": layer.neurons,
                "weight_bits": layer.weight_bits,
                "words": layer.words,
                "groups": layer.groups,
                "cores": len(layer.cores),
                "binding": layer.binding,
                "problem": layer.problem,
                "use": layer.use(chip),
                "core_use": list(map(max, zip(*use.values(), strict=True))),
                "limit_use": use,
            }
        )
    return plain(
        {
            "chip": {
                "name": chip.name,
                "title": chip.title,
                "cores": chip.cores,
                "usable_cores": chip.usable_cores,
                "mesh": chip.mesh_width,
                "groups": chip.groups,
                "limits": limits,
                "source": chip.source,
            },
            "fits": mapping.fits,
            "cores": mapping.cores,
            "chips": mapping.chips,
            "binding": mapping.binding if not mapping.problems else None,
            "problems": mapping.problems,
            "layers": rows,
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
