"""slayer's ``pool`` and ``unpool`` layers in a file, which netx refuses, as the convolutions that they are."""

from __future__ import annotations

import h5py

from esvae.chip.formats import WEIGHT
from esvae.errors import NetFileError, UnsupportedLayerError
from export.ir import Conv, ConvTranspose, Neuron, Shape
from export.ir.depthwise import slayer_pool, slayer_unpool
from export.netx.items import axis_pair, register, shape_of, whole_numbers
from export.netx.layout import weight_from_file

__all__ = ["POOLS", "pool_from_file"]

POOLS = ("pool", "unpool")


def pool_from_file(
    group: h5py.Group, kind: str, before: Shape | None, neuron: Neuron, where: str
) -> Conv[Neuron] | ConvTranspose[Neuron]:
    """Reads a layer of :data:`POOLS`.

    Args:
        group: of the file.
        kind: its type.
        before: shape of what enters it, or None where the file does not say.
        neuron: behind it.
        where: what errors call it.

    Raises:
        NetFileError: what is written does not fit together.
        UnsupportedLayerError: delays; windows that see two channels, as slayer's can.
    """
    if before is None or len(before) != 3:
        came = "nothing says what" if before is None else f"{before}"
        raise NetFileError(f"{where}: takes a (C, H, W) map, {came} enters; put an 'input' layer with a 'shape' first")
    if "delay" in group and whole_numbers(group, "delay", where).any():
        raise UnsupportedLayerError(f"{where}: '{kind}' with 'delay', which no convolution of netx's holds")
    weight = weight_from_file(register(group, "weight", where, WEIGHT, "use a smaller weight scale"), 4, where)
    if weight.shape[:2] != (1, 1):
        raise NetFileError(f"{where}: weight has shape {weight.shape}, expected (1, 1, kh, kw): one kernel for all")
    pairs = {key: axis_pair(group, key, where) for key in ("stride", "padding", "dilation")}
    make = slayer_pool if kind == "pool" else slayer_unpool
    layer = make(weight[0, 0], before, neuron, where, **pairs)
    if "shape" in group and (wanted := shape_of(group, "shape", where)) != (made := layer.output_shape(before)):
        raise NetFileError(f"{where}: shape {wanted}, but its kernel makes {made} of {before}")
    return layer
