"""Counts beside NeuroBench's ``SynapticOperations``: equal on Linear and Conv2d, and what it leaves out.

    python benchmarks/neurobench_check.py [-n 20]

Needs neurobench (2.x) and snntorch in the environment; says so and ends with 0 where they are missing. Ends with 1
where a count differs.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import torch
from torch import nn

from export.ir import Conv, Dense, Flatten, Layer, Lif, Network
from sim.counts.fan_out import fan_out
from sim.counts.ops import count
from sim.twin.engine import Engine

#: Without memory, so that a step of the network is a function and torch can compute the same spikes.
_CURRENT_DECAY = _VOLTAGE_DECAY = 4096


class Fire(nn.Module):
    """The memoryless neuron: 1 where the sum of weights is above the threshold, else 0."""

    def __init__(self, threshold: int) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x > self.threshold).float()


def random_network(rng: np.random.Generator) -> Network:
    """Two convolutions of any stride, padding, dilation and groups, then two dense layers; a third of weights zero."""

    def weight(*shape: int) -> np.ndarray:
        values = rng.integers(-100, 101, shape) * 2
        return np.where(rng.random(shape) < 0.33, 0, values).astype(np.int32)

    shape = (4, int(rng.integers(7, 12)), int(rng.integers(7, 12)))
    layers: list[Layer] = []
    before: tuple[int, ...] = shape
    for _ in range(2):
        groups, kernel = int(rng.choice([1, 2])), rng.integers(1, 4, 2)
        pairs = [tuple(int(x) for x in rng.integers(low, high, 2)) for low, high in ((1, 3), (1, 3), (1, 3))]
        layer = Conv(weight(4, 4 // groups, *kernel), None, neuron(rng), *pairs, groups)  # type: ignore[arg-type]
        before = layer.output_shape(before)
        layers.append(layer)
    layers += [Flatten(), Dense(weight(20, int(np.prod(before))), None, neuron(rng))]
    layers.append(Dense(weight(5, 20), None, neuron(rng)))
    return Network(shape, tuple(layers), time_steps=6)


def neuron(rng: np.random.Generator) -> Lif:
    return Lif(_CURRENT_DECAY, _VOLTAGE_DECAY, int(rng.integers(0, 200)))


def torch_model(network: Network) -> nn.Sequential:
    """The same synapses as torch modules, each followed by the memoryless neuron."""
    modules: list[nn.Module] = []
    for layer in network.layers:
        if isinstance(layer, Flatten):
            modules.append(nn.Flatten())
            continue
        if isinstance(layer, Dense):
            module: nn.Module = nn.Linear(layer.weight.shape[1], layer.weight.shape[0], bias=False)
        else:
            assert isinstance(layer, Conv)
            out, inputs, *kernel = layer.weight.shape
            geometry = (tuple(kernel), layer.stride, layer.padding, layer.dilation, layer.groups)
            module = nn.Conv2d(inputs * layer.groups, out, *geometry, bias=False)  # type: ignore[arg-type]
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(layer.weight))
        modules += [module, Fire(layer.neuron.threshold)]  # type: ignore[arg-type]
    return nn.Sequential(*modules)


@torch.no_grad()
def neurobench_count(model: nn.Module, spikes: torch.Tensor) -> float:
    """Its effective accumulates over a batch."""
    from neurobench.metrics.workload import SynapticOperations
    from neurobench.models import TorchModel

    wrapped = TorchModel(model)
    wrapped.register_hooks()
    predictions = wrapped(spikes)
    found = SynapticOperations()(wrapped, predictions, (spikes, torch.zeros(len(spikes))))
    wrapped.cleanup_hooks()
    return float(found["Effective_ACs"]) * len(spikes)


def compare(networks: int, seed: int) -> int:
    """Counts the same spikes by both; gives the number of networks on which they differ."""
    differ = 0
    for number in range(networks):
        rng = np.random.default_rng([seed, number])
        network = random_network(rng)
        spikes = (rng.random((3, 6, *network.input_shape)) < rng.uniform(0.1, 0.9)).astype(np.uint8)
        ours = count(network, Engine(network).run(spikes)).totals["synops"]
        folded = torch.from_numpy(spikes.reshape(-1, *network.input_shape)).float()
        theirs = neurobench_count(torch_model(network), folded)
        differ += round(theirs) != ours
        print(
            f"network {number:3d}: ours {ours:9,d}  NeuroBench {theirs:11,.1f}  {'=' if round(theirs) == ours else '!'}"
        )
    return differ


def show_omission() -> None:
    """A transposed convolution in the middle of a network, which NeuroBench passes over without a word."""
    from export.ir import ConvTranspose

    transposed = nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1, bias=False)
    spikes = torch.ones(1, 8, 4, 4)
    theirs = neurobench_count(nn.Sequential(transposed), spikes)
    layer = ConvTranspose(np.ones((8, 4, 3, 3), np.int32), None, Lif(4096, 4096, 1), (2, 2), (1, 1), (1, 1), (1, 1))
    ours = int(fan_out(layer, (8, 4, 4)).sum())
    print(f"ConvTranspose2d 8 -> 4, 4x4 to 8x8, every input spiking: ours {ours:,}, NeuroBench {theirs:,.0f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=20, help="random networks")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    try:
        import neurobench.metrics.workload  # noqa: F401
    except ImportError as error:
        print(f"skipped: {error}; pip install 'neurobench>=2.3' snntorch")
        return 0
    differ = compare(options.n, options.seed)
    print(f"{options.n - differ} of {options.n} networks equal")
    show_omission()
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
