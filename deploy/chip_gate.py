"""Refuses a network that one chip cannot hold, before a file is written; says by how much, and what would fit.

What would fit is tried, not guessed: each remedy is mapped (see :mod:`sim.fit.mapping`) and named with the cores it
takes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from esvae.errors import EsvaeError, HardwareRangeError
from export.ir import Conv, ConvTranspose, Dense, Flatten, Layer, Network
from export.netx.check import Finding
from export.pipeline import lowered
from sim.fit import mapping as mapping_of
from sim.fit.chips import Chip
from sim.fit.mapping import map_network, weight_bits

__all__ = ["Misfit", "check_fits", "chip_findings", "lowerings_of", "misfit", "thinner"]

_FULL_OF = {"memory": "synapses", "neurons": "neurons", "axons": "inputs"}
_SHARES = {0.75: "three quarters", 0.5: "half", 0.25: "a quarter"}


@dataclass(frozen=True)
class Misfit:
    """Why one chip cannot hold a network.

    Attributes:
        layer: label of the one that takes most.
        what: by how much.
        remedies: each with the cores that it takes, least change first; empty where none of those tried fits.
    """

    layer: str
    what: str
    remedies: tuple[str, ...]

    @property
    def advice(self) -> str:
        """The remedies in a clause."""
        if self.remedies:
            return f"it would fit with {', or with '.join(self.remedies)}"
        return "no fewer bits or channels that were tried fit; use a smaller network"


def misfit(
    network: Network, chip: Chip, lowerings: Callable[[], Mapping[str, Network]] = dict
) -> tuple[mapping_of.Mapping, Misfit | None]:
    """Maps a network and, where one chip does not hold it, tries what would.

    Args:
        network: as it would be written.
        chip: to hold it.
        lowerings: gives the same network in other ways, by name; called only where this one does not fit.
    """
    found = map_network(network, chip)
    if found.fits:
        return found, None
    heavy = max(found.layers, key=lambda layer: (layer.problem is not None, len(layer.cores)))
    if heavy.problem is not None:
        what = heavy.problem
    else:
        what = (
            f"takes {len(heavy.cores):,} cores, full of {_FULL_OF[heavy.binding]}; with it the network takes "
            f"{found.cores:,}, {found.cores - chip.usable_cores:,} more than the {chip.usable_cores} of {chip.title}"
        )
    return found, Misfit(heavy.layer, what, tuple(_remedies(network, chip, lowerings)))


def _remedies(network: Network, chip: Chip, lowerings: Callable[[], Mapping[str, Network]]) -> Iterator[str]:
    stored = max(weight_bits(layer.weight) for layer, _, _ in network.synapses())
    for bits in range(stored - 1, 1, -1):
        fewer = map_network(network, chip, bits=bits)
        if fewer.fits:
            yield f"--weight-bits {bits} ({fewer.cores} cores)"
            break
    for name, other in lowerings().items():
        changed = map_network(other, chip)
        if changed.fits:
            yield f"--lowering {name} ({changed.cores} cores)"
    for share, text in _SHARES.items():
        narrow = thinner(network, share)
        thin = None if narrow is None else map_network(narrow, chip)
        if thin is not None and thin.fits:
            yield f"{text} of the channels of its hidden layers ({thin.cores} cores)"
            break


def check_fits(network: Network, chip: Chip, lowerings: Callable[[], Mapping[str, Network]] = dict) -> None:
    """Passes a network that one chip holds.

    Raises:
        HardwareRangeError: it does not; names the layer, by how much, and what would fit.
    """
    _, found = misfit(network, chip, lowerings)
    if found is not None:
        raise HardwareRangeError(f"--chip {chip.name}: {found.layer}: {found.what}; {found.advice}")


def chip_findings(network: Network, chip: Chip) -> Iterator[Finding]:
    """What ``esvae check`` says of a network on a chip: an error where it does not fit, else what it takes."""
    mapped, found = misfit(network, chip)
    if found is not None:
        yield Finding("error", found.layer, f"{found.what}; {found.advice}")
        return
    yield Finding("note", "file", f"takes {mapped.cores} of the {chip.usable_cores} cores of {chip.title}")


def lowerings_of(plain: Network, used: str) -> dict[str, Network]:
    """The network in the ways of lowering that differ from the one used and can be done."""
    found = {}
    for name in ("subpixel", "dense", "native"):
        if name == used:
            continue
        try:
            found[name] = lowered(plain, name)[0]  # type: ignore[arg-type]
        except EsvaeError:
            continue
    return found


def thinner(network: Network, share: float) -> Network | None:
    """The network with so much of the channels of its hidden layers; None where groups tie channels together.

    Only good to be mapped: which channels go is no matter of what they do.
    """
    layers: list[Layer] = []
    last = max(index for index, layer in enumerate(network.layers) if not isinstance(layer, Flatten))
    kept = np.arange(math.prod(network.input_shape)).reshape(network.input_shape)
    for index, (layer, shape) in enumerate(zip(network.layers, network.shapes, strict=True)):
        if isinstance(layer, Flatten):
            layers.append(layer)
            kept = kept.reshape(-1)
            continue
        if not isinstance(layer, Dense) and layer.groups > 1:
            return None
        channels = shape[0] if index == last else max(1, math.floor(shape[0] * share))
        layers.append(_thin(layer, kept, channels))
        kept = np.arange(math.prod(shape)).reshape(shape)[:channels]
    return Network(network.input_shape, tuple(layers), network.time_steps)


def _thin(layer: Conv | ConvTranspose | Dense, kept: np.ndarray, channels: int) -> Layer:
    """The layer with its first channels, fed by the neurons of the layer before that were kept."""
    bias = None if layer.bias is None else layer.bias[:channels]
    if isinstance(layer, Dense):
        delay = None if layer.delay is None else layer.delay[:channels][:, kept.reshape(-1)]
        return replace(layer, weight=layer.weight[:channels][:, kept.reshape(-1)], bias=bias, delay=delay)
    inputs = len(kept)
    weight = layer.weight[:inputs, :channels] if isinstance(layer, ConvTranspose) else layer.weight[:channels, :inputs]
    return replace(layer, weight=weight, bias=bias)
