"""Makes ``tests/export/nir/reads``: small NIR files as each framework writes them, with its own spikes.

Each network is drawn from a seed, exported by the framework's own export, and run by the framework on a seeded raster;
``NAME.npz`` holds the raster ``(images, steps, *shape)`` and what each layer of neurons gave, in order, ``layer_0`` and
so on. Needs Python 3.11 with ``pip install snntorch sinabs norse rockpool spikingjelly``, and then the newest ``nir``
and ``nirtorch`` over those that Rockpool asks for. The files here were made with nir 1.0.8, nirtorch 2.6, snnTorch
1.0.0, Sinabs 3.1.3, Norse 1.1.0, Rockpool 3.1.0 and SpikingJelly 2.0.0::

    python tests/make_nir_files.py [NAME ...]
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import nn

warnings.simplefilter("ignore")

FOLDER = Path(__file__).parent / "export" / "frontends" / "nir" / "files"
IMAGES, STEPS = 3, 40


def drawn(shape: tuple[int, ...], rate: float = 0.3) -> torch.Tensor:
    """Spikes ``(images, steps, *shape)``."""
    return (torch.rand(IMAGES, STEPS, *shape) < rate).float()


def scaled(network: nn.Module, gain: float = 1.0, shift: float = 0.0) -> nn.Module:
    """The network with larger weights, whose neurons then fire, and biases around ``shift``."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv1d):
                module.weight.mul_(gain).add_(0.3 * gain / module.weight[0].numel() ** 0.5 * 0.5)
                if module.bias is not None:
                    module.bias.mul_(0.3).add_(shift)
    return network.eval()


def recorded(network: nn.Module, kinds: tuple[type, ...], run: Callable[[], Any]) -> list[torch.Tensor]:
    """What the modules of some kinds gave in a run, step by step or all at once, in the order of the first call."""
    seen: dict[int, list[torch.Tensor]] = {}

    def hook(module: nn.Module, _: Any, out: Any) -> None:
        seen.setdefault(id(module), []).append((out[0] if isinstance(out, tuple) else out).detach().clone())

    modules = nn.Module.modules(network)  # Rockpool's own gives names
    hooks = [module.register_forward_hook(hook) for module in modules if isinstance(module, kinds)]
    with torch.no_grad():
        run()
    for each in hooks:
        each.remove()
    return [torch.stack(steps, 1) if len(steps) > 1 else steps[0] for steps in seen.values()]


def snntorch(network: nn.Module, shape: tuple[int, ...]) -> tuple[Any, torch.Tensor, list[torch.Tensor]]:
    import snntorch as snn
    from snntorch.export_nir import export_to_nir

    kinds = (snn.Leaky, snn.Synaptic, snn.RLeaky, snn.RSynaptic)
    raster = drawn(shape)
    layers = recorded(network, kinds, lambda: [network(raster[:, step]) for step in range(STEPS)])
    for module in network.modules():
        if isinstance(module, kinds):
            module.reset_mem()
    return export_to_nir(network, raster[:1, 0], ignore_dims=[0]), raster, layers


def each(shape: int | tuple[int, ...], value: float) -> torch.Tensor:
    """One number for each neuron, as snnTorch's export wants it."""
    return torch.full((shape,) if isinstance(shape, int) else shape, value)


def leaky(reset: str) -> Any:
    import snntorch as snn

    kept = {"reset_mechanism": reset, "init_hidden": True}
    network = nn.Sequential(
        nn.Linear(12, 16),
        snn.Leaky(each(16, 0.9), threshold=each(16, 1.0), **kept),
        nn.Linear(16, 5),
        snn.Leaky(each(5, 0.75), threshold=each(5, 0.8), **kept),
    )
    return snntorch(scaled(network, 1.5, 0.02), (12,))


def thresholds() -> Any:
    import snntorch as snn

    network = nn.Sequential(
        nn.Linear(12, 16, bias=False),
        snn.Leaky(each(16, 0.9), threshold=torch.linspace(0.5, 2, 16), reset_mechanism="zero", init_hidden=True),
        nn.Linear(16, 5),
        snn.Leaky(each(5, 0.75), threshold=each(5, 0.8), reset_mechanism="zero", init_hidden=True),
    )
    return snntorch(scaled(network, 1.5, 0.02), (12,))


def synaptic() -> Any:
    import snntorch as snn

    kept = {"reset_mechanism": "zero", "reset_delay": False, "init_hidden": True}
    network = nn.Sequential(
        nn.Linear(12, 16),
        snn.Synaptic(each(16, 0.5), each(16, 0.9), threshold=each(16, 1.0), **kept),
        nn.Linear(16, 5),
        snn.Synaptic(each(5, 0.3), each(5, 0.8), threshold=each(5, 2.0), **kept),
    )
    return snntorch(scaled(network, 1.0, 0.01), (12,))


def convolutional() -> Any:
    import snntorch as snn

    kept = {"reset_mechanism": "zero", "init_hidden": True}
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        snn.Leaky(each((4, 8, 8), 0.9), threshold=each((4, 8, 8), 1.0), **kept),
        nn.AvgPool2d(2),
        nn.Conv2d(4, 3, 3, padding=1),
        snn.Leaky(each((3, 4, 4), 0.8), threshold=each((3, 4, 4), 0.5), **kept),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(12, 5),
        snn.Leaky(each(5, 0.7), threshold=each(5, 0.3), **kept),
    )
    return snntorch(scaled(network, 1.5, 0.02), (1, 8, 8))


def recurrent() -> Any:
    import snntorch as snn

    network = nn.Sequential(
        nn.Linear(6, 8),
        snn.RLeaky(0.8, linear_features=8, init_hidden=True),
        nn.Linear(8, 4),
        snn.Leaky(each(4, 0.7), threshold=each(4, 1.0), init_hidden=True),
    )
    return snntorch(scaled(network, 1.2, 0.02), (6,))


def sinabs(network: nn.Module, shape: tuple[int, ...], kinds: tuple[type, ...]) -> Any:
    from sinabs.nir import to_nir

    raster = drawn(shape)
    layers = recorded(network, kinds, lambda: network(raster.flatten(0, 1)))
    layers = [layer.unflatten(0, (IMAGES, STEPS)) if layer.shape[0] == IMAGES * STEPS else layer for layer in layers]
    sample = raster[:, :1].flatten(0, 1)
    graph = to_nir(network, sample)
    graph.infer_types()  # writing needs the shapes that Sinabs leaves open
    return graph, raster, layers


def iaf_conv() -> Any:
    import sinabs.layers as sl
    from sinabs.activation import MembraneReset, SingleSpike

    kept = {"batch_size": IMAGES, "spike_fn": SingleSpike, "reset_fn": MembraneReset()}
    network = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=False),
        sl.IAFSqueeze(**kept),
        sl.SumPool2d(2, 2),
        nn.Conv2d(4, 3, 3, padding=1, bias=False),
        sl.IAFSqueeze(**kept),
        sl.SumPool2d(2, 2),
        nn.Flatten(),
        nn.Linear(12, 5, bias=False),
        sl.IAFSqueeze(**kept),
    )
    return sinabs(scaled(network), (2, 8, 8), (sl.IAFSqueeze,))


def iaf() -> Any:
    """Sinabs' defaults, that is, spikes of any size, which drives below the threshold keep at 1."""
    import sinabs.layers as sl

    network = nn.Sequential(
        nn.Linear(12, 16, bias=False),
        sl.IAFSqueeze(batch_size=IMAGES),
        nn.Linear(16, 5),
        sl.IAFSqueeze(batch_size=IMAGES),
    )
    return sinabs(scaled(network, 0.6), (12,), (sl.IAFSqueeze,))


def sinabs_lif() -> Any:
    import sinabs.layers as sl
    from sinabs.activation import SingleSpike

    kept = {"batch_size": IMAGES, "spike_fn": SingleSpike}
    network = nn.Sequential(
        nn.Linear(12, 16),
        sl.LIFSqueeze(tau_mem=each(16, 5.0), spike_threshold=each(16, 0.2), **kept),
        nn.Linear(16, 5),
        sl.LIFSqueeze(tau_mem=each(5, 3.0), spike_threshold=each(5, 0.1), **kept),
    )
    return sinabs(scaled(network), (12,), (sl.LIFSqueeze,))


def norse(network: Any, shape: tuple[int, ...], kinds: tuple[type, ...]) -> Any:
    import norse.torch

    raster = drawn(shape)

    def run() -> None:
        state = None
        for step in range(STEPS):
            _, state = network(raster[:, step], state)

    layers = recorded(network, kinds, run)
    return norse.torch.to_nir(network, raster[:1, 0]), raster, layers


def lif_box() -> Any:
    import norse.torch as norse_torch

    cell, parameters = norse_torch.LIFBoxCell, norse_torch.LIFBoxParameters
    network = norse_torch.SequentialState(
        nn.Linear(12, 16),
        cell(parameters(tau_mem_inv=each(16, 400.0), v_th=each(16, 0.3), v_leak=each(16, 0.0))),
        nn.Linear(16, 5),
        cell(parameters(tau_mem_inv=each(5, 200.0), v_th=each(5, 0.1), v_leak=each(5, 0.0))),
    )
    return norse(scaled(network), (12,), (cell,))


def lif_cell() -> Any:
    import norse.torch as norse_torch

    cell, parameters = norse_torch.LIFCell, norse_torch.LIFParameters
    network = norse_torch.SequentialState(
        nn.Linear(12, 16),
        cell(
            parameters(
                tau_mem_inv=each(16, 100.0), tau_syn_inv=each(16, 300.0), v_th=each(16, 0.2), v_leak=each(16, 0.0)
            )
        ),
        nn.Linear(16, 5, bias=False),
        cell(
            parameters(tau_mem_inv=each(5, 200.0), tau_syn_inv=each(5, 500.0), v_th=each(5, 0.1), v_leak=each(5, 0.0))
        ),
    )
    return norse(scaled(network), (12,), (cell,))


def spikingjelly(network: nn.Module, shape: tuple[int, ...]) -> Any:
    from spikingjelly.activation_based import functional, neuron
    from spikingjelly.activation_based.nir_exchange import export_to_nir

    raster = drawn(shape)
    layers = recorded(network, (neuron.BaseNode,), lambda: [network(raster[:, step]) for step in range(STEPS)])
    functional.reset_net(network)
    return export_to_nir(network, raster[:1, 0]), raster, layers


def nodes() -> Any:
    from spikingjelly.activation_based import neuron

    network = nn.Sequential(
        nn.Linear(12, 16),
        neuron.IFNode(v_threshold=1.5),
        nn.Linear(16, 12),
        neuron.LIFNode(tau=2.0, decay_input=True, v_threshold=0.2, v_reset=-0.1),
        nn.Linear(12, 8),
        neuron.LIFNode(tau=3.0, decay_input=False, v_threshold=0.5),
    )
    return spikingjelly(scaled(network, 1.5), (12,))


def cuba_nodes() -> Any:
    from spikingjelly.activation_based import neuron

    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        neuron.CUBALIFNode(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 6),
        neuron.CUBALIFNode(0.25, 0.5),
    )
    return spikingjelly(scaled(network, 1.5), (1, 8, 8))


def rockpool(network: Any, size: int, kinds: tuple[type, ...]) -> Any:
    from rockpool.nn.modules.torch.nir import to_nir

    raster = drawn((size,))
    layers = recorded(network, kinds, lambda: network(raster))
    for module in nn.Module.modules(network):
        for parameter in nn.Module.parameters(module, recurse=False):
            parameter.requires_grad_(False)
    return to_nir(network, raster[:1]), raster, layers


def lif_neurons() -> Any:
    os.environ["PIP_NO_INDEX"] = "1"  # or importing Rockpool asks registries for a driver
    from rockpool.nn.combinators import Sequential
    from rockpool.nn.modules import ExpSynTorch, LIFNeuronTorch, LinearTorch

    kept: dict[str, Any] = {"dt": 1e-3, "max_spikes_per_dt": torch.tensor(1.0)}
    network = Sequential(
        LinearTorch((12, 16), has_bias=True),
        LIFNeuronTorch(16, tau_mem=torch.tensor(10e-3), threshold=torch.tensor(1.0), **kept),
        LinearTorch((16, 5), has_bias=False),
        LIFNeuronTorch(5, tau_mem=torch.tensor(5e-3), threshold=torch.tensor(0.7), **kept),
        LinearTorch((5, 3), has_bias=False),
        ExpSynTorch(3, tau=torch.tensor(8e-3), dt=1e-3),
    )
    with torch.no_grad():
        for module in nn.Module.modules(network):
            if isinstance(module, LinearTorch):
                module.weight.add_(0.15 if module.shape[0] == 12 else 0.02)
    return rockpool(network, 12, (LIFNeuronTorch, ExpSynTorch))


MAKERS: dict[str, Callable[[], tuple[Any, torch.Tensor, list[torch.Tensor]]]] = {
    "snntorch_leaky_zero": lambda: leaky("zero"),
    "snntorch_leaky_subtract": lambda: leaky("subtract"),
    "snntorch_thresholds": thresholds,
    "snntorch_synaptic": synaptic,
    "snntorch_conv": convolutional,
    "snntorch_recurrent": recurrent,
    "sinabs_iaf_conv": iaf_conv,
    "sinabs_iaf": iaf,
    "sinabs_lif": sinabs_lif,
    "norse_lif_box": lif_box,
    "norse_lif_cell": lif_cell,
    "spikingjelly_nodes": nodes,
    "spikingjelly_cuba": cuba_nodes,
    "rockpool_lif": lif_neurons,
}


def repacked(source: Path, target: Path) -> None:
    """The same groups and arrays in HDF5's newer layout, without chunks: a few kB."""
    with h5py.File(source) as read, h5py.File(target, "w", libver="latest") as write:

        def copy(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                write.create_dataset(name, data=item[()], dtype=item.dtype)
            else:
                write.require_group(name)

        read.visititems(copy)


def main(names: list[str]) -> None:
    import nir

    FOLDER.mkdir(exist_ok=True)
    for name in names or MAKERS:
        torch.manual_seed(sum(map(ord, name)))
        graph, raster, layers = MAKERS[name]()
        with tempfile.TemporaryDirectory() as folder:
            nir.write(Path(folder) / "a.nir", graph)
            repacked(Path(folder) / "a.nir", FOLDER / f"{name}.nir")
        held = {f"layer_{number}": layer.numpy() for number, layer in enumerate(layers)}
        small = {
            key: array.astype(np.uint8) if (array == np.rint(array)).all() else array for key, array in held.items()
        }
        np.savez_compressed(FOLDER / f"{name}.npz", raster=raster.numpy().astype(np.uint8), **small)
        print(name, [f"{layer.shape} {layer.mean():.3f}" for layer in layers], (FOLDER / f"{name}.nir").stat().st_size)


if __name__ == "__main__":
    main(sys.argv[1:])
