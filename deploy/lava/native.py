"""Builds a Lava graph from the project's own nodes, with no netx and no dense array; runs inside Lava's interpreter.

``worker.py`` loads this file by path. ``graph.py``, on the other side, says what the nodes hold: numbers in a JSON
list, arrays in ``.npy`` files, all in Lava's axis order already.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LOAD_SECONDS_PER_WEIGHT = 1e-6  # patience while building and compiling, per synapse
# Spikes are 0 or 1; told of message bits, Lava multiplies by the matrix instead of picking columns out of it, which
# gives the same integers sooner. With one weight bit more than the chip has for both signs, odd weights stay odd.
SYNAPSE = {"num_message_bits": 1, "num_weight_bits": 9}


def look_at(job: dict[str, Any]) -> dict[str, Any]:
    """How patient the parent must be while the graph is built."""
    return {"allow": job["synapses"] * LOAD_SECONDS_PER_WEIGHT}


@contextlib.contextmanager
def imports(known: dict[str, Any], versions: dict[str, str]) -> Iterator[None]:
    """Nothing to stand in for: lava-nc alone is imported."""
    yield


def build(job: dict[str, Any], known: dict[str, Any], source: Any, chip: Any = None) -> dict[str, Any]:
    """The chain of processes that ``job["nodes"]`` lists, each fed by the one before it; as ``stock.build`` returns.

    Args:
        job: ``nodes``, ``scratch``, ``steps``; nodes of kind ``source``, ``currents``, ``layer`` and ``counter``.
        known: of :func:`look_at`.
        source: as for ``stock.build``; called with the node too.
        chip: the module ``loihi2.py`` where the layers are to be on a board, else None.
    """
    chain: list[Any] = []
    layers: list[Any] = []
    labels: dict[int, str] = {}
    out: Any = None
    for node in job["nodes"]:
        kind = node["kind"]
        if kind == "source":
            process, told = source(tuple(node["shape"]), node)
            labels |= told
            if out is not None:
                out.connect(process.rate_in)
            if node.get("name"):
                layers.append((node["name"], process, node["first"]))
            out = process.s_out if chip is None else chip.onto_chip(process.s_out)
        elif kind == "currents":
            process = _process("currents", "CurrentSource")(
                currents=_array(job, node["currents"]), steps=job["steps"], first=node["first"]
            )
            labels[id(process)] = "current source"
            out = process.a_out
        elif kind == "counter":
            process = _process("counter", "SpikeCounter")(
                shape=tuple(node["shape"]), steps=job["steps"], rate_bits=node["rate_bits"], first=node["first"]
            )
            labels[id(process)] = "spike counter"
            _laid_out(out, "CHW").connect(process.s_in)
            out = process.rate_out
        else:
            process, told = _layer(job, node, out, SYNAPSE if chip is None else chip.SYNAPSE)
            labels |= told
            layers.append((node["name"], process, node["first"]))
            out = process.s_out
        chain.append(process)
    return {"main": chain[-1], "layers": layers, "labels": labels, "chain": chain}


def _layer(job: dict[str, Any], node: dict[str, Any], out: Any, bits: dict[str, int]) -> tuple[Any, dict[int, str]]:
    """Synapses, and the LIF neurons behind them; the neurons are what counts."""
    from lava.proc.lif.process import LIFReset

    shape = tuple(node["shape"])
    neuron = LIFReset(
        shape=shape,
        du=node["current_decay"] - 1,  # Lava's model takes one part in 4096 more than it is told
        dv=node["voltage_decay"],
        vth=node["threshold"],
        bias_mant=_array(job, node["bias"]),
        bias_exp=node["bias_exp"],
        reset_interval=job["steps"],
        reset_offset=node["first"] % job["steps"],
    )
    labels = {id(neuron): f"{node['title']} neuron"}
    if node["synapse"] == "none":
        out.connect(neuron.a_in)
        return neuron, labels
    if node["synapse"] == "conv":
        from lava.proc.conv.process import Conv

        synapse = Conv(
            weight=_array(job, node["weight"]),
            input_shape=tuple(node["input_shape"]),
            padding=tuple(node["padding"]),
            stride=tuple(node["stride"]),
            dilation=tuple(node["dilation"]),
            groups=node["groups"],
        )
        _laid_out(out, "WHC", tuple(node["input_shape"])).connect(synapse.s_in)
    else:
        from lava.proc.sparse.process import Sparse
        from lava.utils.weightutils import SignMode
        from scipy.sparse import csr_matrix

        parts = tuple(_array(job, node["weight"][name]) for name in ("data", "indices", "indptr"))
        matrix = csr_matrix(parts, shape=tuple(node["weight_shape"]))
        synapse = Sparse(weights=matrix, sign_mode=SignMode.MIXED, **bits)
        _laid_out(out, "CHW").connect(synapse.s_in)
    labels[id(synapse)] = f"{node['title']} synapse"
    synapse.a_out.connect(neuron.a_in)
    return neuron, labels


def _laid_out(out: Any, order: str, shape: tuple[int, ...] = ()) -> Any:
    """An output port with its values in flat ``CHW`` order, or as a map ``(W, H, C)`` of ``shape``."""
    if order == "CHW":
        return out.transpose((2, 1, 0)).flatten() if len(out.shape) == 3 else out
    if len(out.shape) == 3:
        return out
    return out.reshape(tuple(reversed(shape))).transpose((2, 1, 0))


def _array(job: dict[str, Any], name: str) -> Any:
    import numpy as np

    return np.load(Path(job["scratch"], name))


def _process(file: str, name: str) -> Any:
    """A process class of the folder beside this file, loaded by path, once."""
    import importlib.util
    import sys

    module_name = f"_esvae_lava_processes_{file}"
    if module_name not in sys.modules:
        path = Path(__file__).with_name("processes") / f"{file}.py"
        spec = importlib.util.spec_from_file_location(module_name, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"cannot load {path}")
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module  # Lava's compiler looks a process's module up by name
        spec.loader.exec_module(module)
    return getattr(sys.modules[module_name], name)
