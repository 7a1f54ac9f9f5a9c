"""Energy estimates beside SANA-FE, which simulates Loihi core by core from the same constants.

    python -m benchmarks.sanafe_check [--steps 16]

SANA-FE is under the GPL, version 3, so the project neither depends on it nor ships it; this script says so and ends
with 0 where it is missing. Both see the same network, the same spikes and the same mapping. Ends with 1 where the
operations differ, or the energy of synapses or of the network on chip by more than rounding.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np

from benchmarks.networks import signed_weights
from export.ir import Conv, Dense, Flatten, Lif, Network
from export.ir.geometry import sources
from export.ir.labels import array_name
from sim.counts.ops import count
from sim.energy.estimate import estimate_all
from sim.energy.profile import load_profile
from sim.fit.chips import LOIHI1
from sim.fit.mapping import Mapping, map_network
from sim.twin.engine import Engine

_SYNAPSES = {"conv": "loihi_conv_synapse", "dense": "loihi_dense_synapse"}
#: Relative; SANA-FE adds picojoules in double precision, in another order.
_ROUNDING = 1e-9


def network(seed: int) -> Network:
    """A convolution and a dense layer whose neurons keep nothing from step to step."""
    rng = np.random.default_rng(seed)
    conv = Conv(signed_weights(rng, 8, 4, 3, 3), None, Lif(4096, 4096, 100), padding=(1, 1))
    dense = Dense(signed_weights(rng, 40, 8 * 8 * 8), None, Lif(4096, 4096, 400))
    return Network((4, 8, 8), (conv, Flatten(), dense), time_steps=16)


def simulate(network: Network, spikes: np.ndarray, mapping: Mapping) -> dict[str, Any]:
    """Runs one image on SANA-FE's Loihi: input neurons that replay ``spikes``, ours as leaky integrate-and-fire."""
    import sanafe

    arch = sanafe.load_loihi()
    snn = sanafe.Network()
    steps = len(spikes)
    cores = [core for tile in arch.tiles for core in tile.cores]
    inputs = snn.create_neuron_group("input", spikes[0].size)
    flat = spikes.reshape(steps, -1)
    for k, neuron in enumerate(inputs.neurons):
        neuron.set_attributes(soma_hw_name=f"loihi_inputs[{k}]", model_attributes={"spikes": flat[:, k].tolist()})
        neuron.map_to_core(cores[0])
    before, first = inputs, 0
    for (layer, shape, after), mapped in zip(network.synapses(), mapping.layers, strict=True):
        kind = "dense" if isinstance(layer, Dense) else "conv"
        group = snn.create_neuron_group(
            array_name(mapped.layer),
            int(np.prod(after)),
            model_attributes={"threshold": float(layer.neuron.threshold), "leak_decay": 0.0, "force_update": True},
            default_synapse_hw_name=_SYNAPSES[kind],
            default_dendrite_hw_name="loihi_dendrites",
            soma_hw_name="loihi_lif",
        )
        owner = np.zeros(after, int)
        for index, core in enumerate(mapped.cores):
            spans = core.block if len(core.block) == len(after) else None
            assert spans is not None
            owner[tuple(slice(*span) for span in spans)] = first + index
        for neuron, core_index in zip(group.neurons, owner.reshape(-1).tolist(), strict=True):
            neuron.map_to_core(cores[core_index])
        pairs, weights = synapses(layer, shape)
        before.connect_neurons_sparse(group, {"weight": weights}, pairs)
        before, first = group, first + len(mapped.cores)
    chip = sanafe.SpikingChip(arch)
    chip.load(snn)
    found: dict[str, Any] = chip.sim(steps + network.depth, timing_model="simple")
    return found


def synapses(layer: Any, shape: tuple[int, ...]) -> tuple[list[tuple[int, int]], list[float]]:
    """Pairs of input and output, and the weight between them."""
    lengths, inputs, weights = (np.concatenate(parts) for parts in zip(*sources(layer, shape), strict=True))
    outputs = np.repeat(np.arange(len(lengths)), lengths)
    return list(zip(inputs.tolist(), outputs.tolist(), strict=True)), weights.astype(float).tolist()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--rate", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    try:
        import sanafe  # noqa: F401
    except ImportError as error:
        print(f"skipped: {error}; pip install sanafe (GPL-3)")
        return 0
    net = network(options.seed)
    shape = (1, options.steps, *net.input_shape)
    spikes = (np.random.default_rng(options.seed).random(shape) < options.rate).astype(np.uint8)
    counts = count(net, Engine(net).run(spikes))
    mapping = map_network(net, LOIHI1)
    theirs = simulate(net, spikes[0], mapping)
    (ours,) = estimate_all(net, counts, [load_profile("loihi1_sanafe2025")])
    parts = {part.name: part.energy for part in ours.parts}
    rows = {
        "synapses": (parts["synaptic operations"], theirs["energy"]["synapse"]),
        "neurons": (parts["neuron updates"] + parts["spikes"], theirs["energy"]["soma"]),
        "network on chip": (parts["packets"] + parts["hops"], theirs["energy"]["network"]),
        "all": (ours.energy, theirs["energy"]["total"]),
    }
    operations = counts.totals["synops"]
    # What SANA-FE returns as spikes are spikes that arrived over a synapse.
    print(f"synaptic operations: here {operations:,}, SANA-FE {theirs['spikes']:,}; {mapping.cores} cores")
    print(f"SANA-FE ran {net.depth} steps more, until the last spikes had passed; its idle neurons cost in those too")
    for name, (here, there) in rows.items():
        print(f"{name:16s} here {here.value:.4e} J   SANA-FE {there:.4e} J   ratio {here.value / there:.4f}")
    if ours.latency is not None:
        print(f"{'time':16s} here {ours.latency.value:.4e} s   SANA-FE {theirs['sim_time']:.4e} s")
    same = [abs(rows[name][0].value / rows[name][1] - 1) < _ROUNDING for name in ("synapses", "network on chip")]
    return 0 if all(same) and operations == theirs["spikes"] else 1


if __name__ == "__main__":
    sys.exit(main())
