"""Builds the Lava graph of a ``.net`` file with stock netx; ``worker.py`` loads this file inside Lava's interpreter."""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LAVA_DL_VERSION = "0.6.0"  # the release whose imports `imports` knows
LIF_NAMES = ("LOIHI", "CUBA")  # what netx calls the neuron types that it builds as LIF
LOAD_SECONDS_PER_WEIGHT = 5e-7  # generous: stock netx was measured at about 1.3e-7


class NetError(ValueError):
    """The ``.net`` file cannot be read."""


class UnsupportedError(ValueError):
    """The network holds something that is not run."""


def look_at(job: dict[str, Any]) -> dict[str, Any]:
    """What must be known before netx reads the file: its input, its weights' number, whether all neurons are LIF."""
    import h5py

    def text(dataset: Any) -> str:
        value = dataset[0] if dataset.shape else dataset[()]
        return value.decode("ascii") if isinstance(value, bytes) else str(value)

    found: dict[str, Any] = {"weights": 0, "lif_only": True, "input_shape": False, "input_neuron": False}
    try:
        with h5py.File(job["net"], "r") as file:
            layers = file["layer"]
            for layer in layers.values():
                if isinstance(layer.get("weight"), h5py.Dataset):
                    found["weights"] += layer["weight"].size
                if "neuron" in layer:
                    found["lif_only"] &= text(layer["neuron/type"]) in LIF_NAMES
            if "0" in layers and text(layers["0/type"]) == "input":
                found["input_shape"] = "shape" in layers["0"]
                found["input_neuron"] = "neuron" in layers["0"]
    except (OSError, KeyError, AttributeError, TypeError, UnicodeDecodeError) as error:
        raise NetError(str(error).strip("'\"")) from error
    found["allow"] = found["weights"] * LOAD_SECONDS_PER_WEIGHT
    return found


@contextlib.contextmanager
def imports(known: dict[str, Any], versions: dict[str, str]) -> Iterator[None]:
    """Lets netx load and compile LIF networks without importing lava-dl's training half (slayer) and torch.

    netx needs slayer for the parameters of resonate-and-fire neurons alone, and torch for stream utilities that no
    network uses, yet imports both, and Lava's compiler then executes every file of the netx folder once more. For the
    time of this context empty modules stand in for them; what they hold is never called for LIF networks. No code that
    builds or runs the network is touched. Measured: 5 s become 1 s for a small network.
    """
    if not (known["lif_only"] and versions["lava-dl"] == LAVA_DL_VERSION):
        yield
        return
    import lava

    stand_ins: dict[str, Any] = {"torch": None}  # None makes an import raise; the compiler then passes the file over
    for name in ("dl.slayer", "dl.slayer.neuron", "dl.slayer.neuron.rf", "dl.netx.sequential_modules"):
        module = types.ModuleType(f"lava.lib.{name}")
        # the compiler asks every module beside netx for its file
        module.__file__ = str(Path(next(iter(lava.__path__)), "lib", *name.split(".")).with_suffix(".py"))
        stand_ins[module.__name__] = module
    stand_ins["lava.lib.dl.slayer.neuron.rf"].neuron_params = None
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, stand_in in stand_ins.items():
            if name in sys.modules and sys.modules[name] is stand_in:
                del sys.modules[name]


def build(job: dict[str, Any], known: dict[str, Any], source: Any, chip: Any = None) -> dict[str, Any]:
    """The network, its source connected.

    Args:
        job: ``net``, ``sample`` (shape of one step's input), ``steps``, ``sparse``.
        known: of :func:`look_at`.
        chip: not used; a board takes the native graph.
        source: makes the process whose ``s_out`` enters the network, given the shape in Lava's axis order.

    Returns:
        ``main``, the process to run; ``layers``, each with name, neuron process and first time step; ``labels``, a name
        for each process by its id.
    """
    from lava.lib.dl.netx import hdf5
    from lava.proc.lif.process import LIFReset

    if known["input_neuron"]:
        raise UnsupportedError("layer 0 (input) has a neuron, which netx drives by its bias: spikes cannot go in")
    shape = tuple(reversed(job["sample"]))
    given = None if known["input_shape"] else shape if len(shape) == 3 else (1, 1, *shape)
    network = hdf5.Network(
        job["net"], input_shape=given, reset_interval=job["steps"], reset_offset=1, sparse_fc_layer=job["sparse"]
    )
    for index, layer in enumerate(network.layers):
        if not isinstance(layer.neuron, LIFReset):
            raise UnsupportedError(f"layer {index} has a {type(layer.neuron).__name__} neuron, expected LIF")
    job["total"] = job["images"] * job["steps"] + len(network.layers)
    entering, labels = source(network.inp.shape)
    entering.s_out.connect(network.inp)
    for index, layer in enumerate(network.layers):
        labels |= {id(layer.neuron): f"layer {index} neuron", id(layer.synapse): f"layer {index} synapse"}
    layers = [("latent", entering, 1)] if job["sampler"] is not None else []
    layers += [(f"layer{index}", layer.neuron, index + 2) for index, layer in enumerate(network.layers)]
    return {"main": network, "layers": layers, "labels": labels}
