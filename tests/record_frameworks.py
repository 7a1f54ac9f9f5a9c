"""Records small networks as their own frameworks run them: ``tests/export/frontends/recorded/NAME.npz``.

Each network is drawn from a seed and run by the framework in float64 on a seeded raster. A file holds the layers that a
test needs to build the same network without the framework, as JSON under ``layers`` beside their arrays; ``spikes``
``(images, steps, *input shape)``; and under ``out_K`` what module K gave. Needs snnTorch and SpikingJelly; its Lava
blocks need lava-dl besides. The files here were made with snnTorch 1.0.0, SpikingJelly 0.0.0.0.14, torch 2.3.1::

    python tests/record_frameworks.py tests/export/frontends/recorded
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

#: What of each kind of module is recorded beside its parameters and buffers.
SETTINGS: dict[str, tuple[str, ...]] = {
    "Linear": ("in_features", "out_features"),
    "Conv2d": ("in_channels", "out_channels", "kernel_size", "stride", "padding", "groups"),
    "BatchNorm2d": ("num_features",),
    "AvgPool2d": ("kernel_size", "stride"),
    "MaxPool2d": ("kernel_size", "stride"),
    "SumPool2d": ("kernel_size", "stride", "padding", "dilation"),
    "Flatten": (),
    "Leaky": ("inhibition", "state_quant", "reset_mechanism", "reset_delay"),
    "Synaptic": ("inhibition", "state_quant", "reset_mechanism", "reset_delay"),
    "RLeaky": ("inhibition", "state_quant", "reset_mechanism", "reset_delay"),
    "IFNode": ("v_threshold", "v_reset"),
    "LIFNode": ("tau", "decay_input", "v_threshold", "v_reset"),
    "ParametricLIFNode": ("decay_input", "v_threshold", "v_reset"),
    "CubaLIFNode": ("v_threshold", "scale", "norm"),
}


def described(module: nn.Module) -> dict[str, Any]:
    """A module as JSON: its class, and what is set on it."""
    kind = type(module).__name__
    found: dict[str, Any] = {"kind": kind, "module": type(module).__module__}
    if kind == "BlockContainer":
        parts: Any = module
        return found | {
            name: None if part is None else described(part)
            for name, part in (("synapse", parts.synapse), ("neuron", parts.neuron))
        }
    return found | {name: getattr(module, name) for name in SETTINGS[kind]}


def arrays_of(module: nn.Module, prefix: str) -> dict[str, np.ndarray]:
    """Parameters and buffers by name, the neurons' states left out."""
    named = [*module.named_parameters(), *module.named_buffers()]
    keep = [(name, value) for name, value in named if name.rpartition(".")[2] not in ("mem", "syn", "spk")]
    return {f"{prefix}.{name}": value.detach().numpy() for name, value in keep}


def raster(seed: int, *shape: int) -> np.ndarray:
    """Spikes."""
    return (np.random.default_rng(seed).random(shape) < 0.4).astype(np.uint8)


def snntorch_networks() -> Iterator[tuple[str, list[nn.Module], np.ndarray]]:
    """Both neurons, each way to reset."""
    import snntorch as snn

    zero = {"reset_mechanism": "zero"}
    torch.manual_seed(0)
    yield (
        "snntorch_conv",
        [
            nn.Conv2d(2, 4, 3, padding=1), snn.Leaky(0.8, threshold=0.3, **zero), nn.MaxPool2d(2),
            nn.Conv2d(4, 4, 2), nn.BatchNorm2d(4),
            snn.Leaky(torch.tensor(0.5), threshold=0.4, reset_delay=False, **zero),
            nn.AvgPool2d((2, 1)), nn.Flatten(), nn.Linear(4 * 3, 5), snn.Leaky(0.9, threshold=0.2, **zero),
        ],
        raster(0, 3, 12, 2, 8, 8),
    )  # fmt: skip
    yield (
        "snntorch_synaptic",
        [
            nn.Linear(7, 9), snn.Synaptic(0.6, 0.8, threshold=0.9, reset_delay=False, **zero),
            nn.Linear(9, 6, bias=False), snn.Synaptic(0.4, 0.9, threshold=0.7, reset_delay=False, **zero),
            nn.Linear(6, 4), snn.Synaptic(0.5, 0.5, threshold=0.4, reset_delay=False, **zero),
        ],
        raster(1, 4, 20, 7),
    )  # fmt: skip
    yield (
        "snntorch_subtract",
        [
            nn.Linear(7, 9), snn.Leaky(0.8, threshold=0.4), nn.Linear(9, 6), snn.Leaky(1.0, threshold=0.5),
            nn.Linear(6, 5), snn.Leaky(0.7, threshold=0.3, reset_delay=False),
        ],
        raster(2, 4, 20, 7),
    )  # fmt: skip
    yield (
        "snntorch_lost_input",
        [nn.Linear(7, 9), snn.Synaptic(0.6, 0.8, threshold=0.9, **zero)],
        raster(3, 4, 20, 7),
    )
    now = {"reset_delay": False, **zero}
    yield (
        "snntorch_recurrent",
        [
            nn.Linear(7, 9), snn.RLeaky(0.8, linear_features=9, threshold=0.5, **now),
            nn.Linear(9, 6), snn.RLeaky(0.9, torch.linspace(-0.5, 0.5, 6), all_to_all=False, threshold=0.4, **now),
            nn.Linear(6, 5), snn.RLeaky(0.7, linear_features=5, threshold=0.5),
        ],
        raster(7, 4, 20, 7),
    )  # fmt: skip


def spikingjelly_networks() -> Iterator[tuple[str, list[nn.Module], np.ndarray]]:
    """The plain neurons, each way to reset, and Lava's blocks."""
    from spikingjelly.activation_based import lava_exchange, layer, neuron

    torch.manual_seed(1)
    yield (
        "spikingjelly_conv",
        [
            layer.Conv2d(2, 4, 3, padding=1, bias=False), layer.BatchNorm2d(4), neuron.IFNode(0.5),
            layer.MaxPool2d(2), layer.Conv2d(4, 4, 2), neuron.LIFNode(2.5, v_threshold=0.2, v_reset=-0.1),
            layer.AvgPool2d(3), layer.Flatten(), layer.Linear(4, 6), neuron.ParametricLIFNode(3.0, False, 0.3),
        ],
        raster(4, 3, 12, 2, 8, 8),
    )  # fmt: skip
    yield (
        "spikingjelly_subtract",
        [
            layer.Linear(7, 9), neuron.IFNode(0.5, None),
            layer.Linear(9, 8), neuron.LIFNode(2.0, v_threshold=0.2, v_reset=None),
        ],
        raster(5, 4, 20, 7),
    )  # fmt: skip
    cuba = lava_exchange.CubaLIFNode
    blocks: list[Any] = [
        lava_exchange.BlockContainer(
            nn.Conv2d(2, 4, 3, padding=1, bias=False), cuba(0.3, 0.1, 26 / 64, requires_grad=True)
        ),
        lava_exchange.BlockContainer(lava_exchange.SumPool2d(2, 2), cuba(1.0, 0.5, 1.25)),
        lava_exchange.BlockContainer(nn.Flatten(), None),
        lava_exchange.BlockContainer(nn.Linear(4 * 16, 6, bias=False), cuba(0.25, 0.2, 40 / 128, scale=1 << 7)),
    ]
    blocks[0].neuron.current_decay.data.fill_(999.4)  # as training would move it
    yield "spikingjelly_lava", blocks, raster(6, 3, 12, 2, 8, 8)


def run(modules: list[nn.Module], spikes: np.ndarray) -> list[np.ndarray]:
    """What each module gives at each step, from rest."""
    states: dict[int, tuple[Any, ...]] = {}
    seen: list[list[torch.Tensor]] = [[] for _ in modules]
    for step in torch.from_numpy(spikes).double().transpose(0, 1):
        x = step
        for index, module in enumerate(modules):
            found = module(x, *states.get(index, ()))
            x, *rest = found if isinstance(found, tuple) else (found,)
            x = x.double()  # spikes of snnTorch are float32, whatever enters
            states[index] = (x, *rest) if hasattr(module, "recurrent") else tuple(rest)
            seen[index].append(x)
    return [torch.stack(steps, 1).numpy() for steps in seen]


def main(folder: Path) -> None:
    """Writes one file a network."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, modules, spikes in (*snntorch_networks(), *spikingjelly_networks()):
        for module in modules:
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.1, 0.1)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
            module.double().eval()
        arrays: dict[str, np.ndarray] = {"spikes": spikes}
        arrays["layers"] = np.array(json.dumps([described(module) for module in modules]))
        for index, module in enumerate(modules):
            arrays |= arrays_of(module, str(index))
        with torch.no_grad():
            for index, out in enumerate(run(modules, spikes)):
                if ((out == 0) | (out == 1)).all():
                    arrays[f"out_{index}"] = out.astype(np.uint8)
        np.savez_compressed(folder / f"{name}.npz", **arrays)  # type: ignore[arg-type]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
