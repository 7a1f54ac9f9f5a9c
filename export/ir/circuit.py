"""A network whose prior is a circuit: in one piece, or as what lies before the decoder.

In a :class:`~export.ir.Network` a circuit takes the place of the prior: what enters the decoder comes from it. The
whole, from power-on to pixels, is a network of its own, :func:`whole_network`, into which nothing enters.
"""

from __future__ import annotations

from dataclasses import replace

from export.ir.generator import CircuitPrior
from export.ir.labels import FIRST_GROUP
from export.ir.network import Network
from export.ir.nodes import Unflatten

__all__ = ["as_written", "circuit_of", "is_chained", "source_network", "whole_network"]

#: Layers of a circuit: its source, and the latents.
_DRAWING = 2


def circuit_of(network: Network) -> CircuitPrior | None:
    """The circuit that draws for a network, or None where the host does."""
    return network.prior if isinstance(network.prior, CircuitPrior) else None


def is_chained(network: Network) -> bool:
    """Whether a circuit and its decoder are one chain of layers in the file."""
    return circuit_of(network) is not None and network.follows_dense


def as_written(network: Network, *, drawn: bool = False) -> Network:
    """The network with its layers numbered as the file will number them that it is written to.

    Args:
        network: whose.
        drawn: whether a circuit will draw for it, where none does so far.
    """
    chained = (drawn or circuit_of(network) is not None) and network.follows_dense
    return replace(network, first_group=FIRST_GROUP + (_DRAWING if chained else 0))


def source_network(prior: CircuitPrior, *, beside: bool = False) -> Network:
    """Source and latents alone, as a network of which nothing enters.

    Args:
        prior: whose.
        beside: whether they lie beside the decoder's layers in its file, and are called so.
    """
    return Network((prior.source.inputs,), prior.synapses, beside=len(prior.synapses) if beside else 0)


def whole_network(network: Network) -> Network:
    """From power-on to pixels: source, latents and decoder as one network, of which nothing enters.

    A generator whose prior is not a circuit is given back as it is. The whole has no spike readout, as its window is
    not one image's. Every layer keeps its label: that of the file which :func:`is_chained` says holds it.
    """
    prior = circuit_of(network)
    if prior is None:
        return network
    between = () if len(network.input_shape) == 1 else (Unflatten(),)
    layers = (*prior.synapses, *between, *network.layers)
    chained = is_chained(network)
    return replace(
        network,
        input_shape=(prior.source.inputs,),
        layers=layers,
        prior=None,
        first_group=FIRST_GROUP if chained else network.first_group,
        spike_readout=None,
        beside=0 if chained else len(layers) - len(network.layers),
    )
