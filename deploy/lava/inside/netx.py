"""Loads a ``.net`` file with stock netx."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .messages import NetError, SamplesWork, UnsupportedError, WindowsWork

__all__ = ["Known", "load_network", "look_at", "process_labels"]

LIF_NAMES = ("LOIHI", "CUBA")  # what netx calls the neuron types that it builds as LIF
SIGMA_DELTA_NAME = "SDNN"  # and the one that it builds as Delta, SigmaDelta or Sigma
BUILT = ("conv", "dense", "dense_rec", "dense_comp")  # types of layers that it makes processes of, whatever they hold
NETX_SECONDS_PER_WEIGHT = 5e-7  # generous: stock netx was measured at about 1.3e-7


@dataclass
class Known:
    """What must be known before netx reads a file.

    Attributes:
        weights: how many it holds.
        input_shape: whether it says the shape of its input.
        input_neuron: whether its input layer has neurons, which an image drives.
        labels, names: of the layers that netx makes processes of, in order; names are those of their arrays.
    """

    weights: int = 0
    input_shape: bool = False
    input_neuron: bool = False
    labels: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def patience(self) -> float:
        """Seconds that netx and Lava's compiler may need for these weights, on top of the usual."""
        return self.weights * NETX_SECONDS_PER_WEIGHT


def look_at(work: WindowsWork | SamplesWork, layers: int | None = None) -> Known:
    """Looks into a file.

    Args:
        work: whose.
        layers: how many of its layer groups count, None for all.

    Raises:
        NetError: it cannot be read.
        UnsupportedError: neurons other than LIF and sigma-delta.
    """
    import h5py

    known, named = Known(), (*LIF_NAMES, SIGMA_DELTA_NAME)
    built: dict[int, str] = {}
    try:
        with h5py.File(work.net, "r") as file:
            groups = file["layer"]
            for name in groups:
                if layers is not None and name.isdigit() and int(name) >= layers:
                    continue
                layer = groups[name]
                for key in ("weight", "weight_rec"):
                    if isinstance(layer.get(key), h5py.Dataset):
                        known.weights += layer[key].size
                kind = _text(layer["type"]) if "type" in layer else ""
                if name.isdecimal() and (kind in BUILT or (kind == "input" and "neuron" in layer)):
                    built[int(name)] = kind
                if "neuron" in layer and (neuron := _text(layer["neuron/type"])) not in named:
                    called = work.label.format(number=name, kind=kind)
                    raise UnsupportedError(f"{called} has a {neuron} neuron, expected {', '.join(named)}")
            if "0" in groups and _text(groups["0/type"]) == "input":
                known.input_shape = "shape" in groups["0"]
                known.input_neuron = "neuron" in groups["0"]
    except (OSError, KeyError, AttributeError, TypeError, UnicodeDecodeError) as error:
        raise NetError(str(error).strip("'\"")) from error
    known.labels = tuple(work.label.format(number=number, kind=built[number]) for number in sorted(built))
    known.names = tuple(work.array.format(number=number) for number in sorted(built))
    return known


def _text(dataset: Any) -> str:
    value = dataset[0] if dataset.shape else dataset[()]
    return value.decode("ascii") if isinstance(value, bytes) else str(value)


def load_network(work: WindowsWork | SamplesWork, known: Known, sample: tuple[int, ...], **more: Any) -> Any:
    """netx's network.

    Args:
        work: what is to be run.
        known: of :func:`look_at`.
        sample: shape of one step's input, ours.
        more: further arguments of netx's.

    Raises:
        UnsupportedError: neurons other than LIF and sigma-delta.
    """
    from lava.lib.dl.netx import hdf5
    from lava.proc.lif.process import LIF
    from lava.proc.sdn.process import Delta, Sigma, SigmaDelta

    shape = tuple(reversed(sample))
    given = None if known.input_shape else shape if len(shape) == 3 else (1, 1, *shape)
    network = hdf5.Network(work.net, input_shape=given, sparse_fc_layer=work.sparse, **more)
    for called, layer in zip(known.labels, network.layers, strict=True):
        if not isinstance(layer.neuron, LIF | Delta | Sigma | SigmaDelta):
            raise UnsupportedError(f"{called} has a {type(layer.neuron).__name__} neuron, which is not run")
    return network


def process_labels(label: str, layer: Any) -> dict[int, str]:
    """What to call the processes of one of netx's layers; an input layer's neurons have no synapses."""
    named = {"neuron": "neuron", "synapse": "synapse", "synapse_rec": "recurrent synapse"}
    found = {name: getattr(layer, name, None) for name in named}
    return {id(part): f"{label} {named[name]}" for name, part in found.items() if part is not None}
