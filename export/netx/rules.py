"""What stock netx (lava-dl 0.6.0) does to a network on the way in, so that no file surprises its reader.

netx re-scales dense weights to fill eight bits (``netx/utils.py: optimize_weight_bits``) and Lava then clips and
truncates them again (``lava/utils/weightutils.py``). It re-scales both matrices of a recurrent layer together, and Lava
truncates each by itself. For most matrices that is exact; for some it is not, and nothing
is said. :func:`loaded_dense_weight` mirrors both steps, :func:`check_loadable` compares.

Convolutions are loaded as they are.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from esvae.arrays import Float64, Int64, Real
from esvae.chip.formats import WEIGHT
from esvae.errors import HardwareRangeError, UnsupportedLayerError
from export.ir import Conv, ConvTranspose, Dense, Network, RecurrentDense, all_weights

__all__ = [
    "check_loadable",
    "filling_shift",
    "loaded_dense_weight",
    "loaded_values",
    "loads_sparse",
    "present_in",
    "present_weights",
]

_WEIGHT_BITS = 8
_MIXED_LIMITS = (-256, 254)
_NONE = np.zeros(WEIGHT.max - WEIGHT.min + 1, np.int64)
_NO_WEIGHTS = np.zeros(0, np.int64)
#: Dense matrices above this many elements are loaded as sparse ones, which holds less and runs faster.
_SPARSE_ABOVE = 1 << 18
#: Rows of a matrix of weights that are looked at at a time.
_ROWS = 128


def loads_sparse(network: Network) -> bool:
    """Whether we have netx load dense layers as sparse ones (``sparse_fc_layer``), which keeps no zero weights."""
    sizes = (all_weights(layer).size for layer in network.layers if isinstance(layer, Dense | RecurrentDense))
    return max(sizes, default=0) > _SPARSE_ABOVE


def loaded_dense_weight(weight: Real[np.ndarray, "outputs inputs"]) -> Real[np.ndarray, "outputs inputs"]:
    """The dense weights that Lava's simulator computes with after stock netx has loaded ``weight``.

    Args:
        weight: ``(outputs, inputs)`` whole numbers in [-256, 255], not all zero.

    Returns:
        Array of the same shape; float where the loaded weight is no longer a whole number of the file's units.
    """
    present = np.unique(weight)
    return loaded_values(present)[np.searchsorted(present, weight)]


def loaded_values(
    present: Real[np.ndarray, " n"], beside: Real[np.ndarray, " m"] = _NO_WEIGHTS
) -> Float64[np.ndarray, " n"]:
    """What becomes of each weight of a dense layer in which these, and no others, occur.

    Args:
        present: the different weights, ``(n,)``, whole numbers in [-256, 255], in ascending order.
        beside: likewise those of a recurrent layer's other matrix; not all of both are zero.

    Returns:
        float ``(n,)``.
    """
    weight = present.astype(np.int64)
    both = np.concatenate((weight, beside.astype(np.int64)))
    low, high = int(both.min()), int(both.max())
    if high > _MIXED_LIMITS[1] and low < 0:
        weight, both = (np.clip(x, *_MIXED_LIMITS) for x in (weight, both))
        high = int(both.max())
    mixed_for_netx = low < 0 <= high
    shift = _filling(low, high)
    trailing = next((n for n in range(_WEIGHT_BITS, 0, -1) if not (both % (1 << n)).any()), 0)
    bits = _WEIGHT_BITS - shift - (trailing - mixed_for_netx)
    scaled = _shift_left(weight, shift)

    # Lava's dense model decides the sign mode anew: a matrix of zeros and negatives is inhibitory there, mixed above.
    inhibitory = scaled.max() <= 0 and scaled.min() < 0
    mixed = scaled.min() < 0 < scaled.max()
    magnitude = np.clip(-scaled if inhibitory else scaled, -256 if mixed else 0, 255)
    truncate = _WEIGHT_BITS - bits + mixed
    magnitude = _shift_left(magnitude >> truncate, truncate) if truncate >= 0 else np.zeros_like(magnitude)
    return (-magnitude if inhibitory else magnitude) / 2.0**shift


def filling_shift(weight: Real[np.ndarray, " ..."]) -> int:
    """By how many bits netx shifts the weights of a dense layer to the left; sums are shifted back.

    Args:
        weight: whole numbers in [-256, 255].
    """
    low, high = int(weight.min()), int(weight.max())
    if low < 0:
        high = min(high, _MIXED_LIMITS[1])
    return _filling(low, high) if low or high else 0


def _filling(low: int, high: int) -> int:
    if low < 0 <= high:
        return int(np.floor(np.log2(min(127 / high if high else np.inf, 128 / -low)))) + 1
    return int(np.floor(np.log2(256 / -low if high < 0 else 255 / high)))


def present_weights(
    parts: Iterable[Real[np.ndarray, " ..."]],
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """The different weights in parts of an array, whole numbers in [-256, 255], in ascending order; and how often."""
    from_zero = (part.reshape(-1).astype(np.int64) - WEIGHT.min for part in parts)
    counts = sum((np.bincount(part, minlength=len(_NONE)) for part in from_zero), _NONE)
    found = np.flatnonzero(counts)
    return found + WEIGHT.min, counts[found]


def present_in(weight: Real[np.ndarray, "*weight"]) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """As :func:`present_weights`, of an array in memory, some rows at a time."""
    return present_weights(weight[start : start + _ROWS] for start in range(0, len(weight), _ROWS))


def _shift_left(values: np.ndarray, shift: int) -> np.ndarray:
    """numpy's ``left_shift``, which turns everything to zero where the shift is negative."""
    return values << shift if shift >= 0 else np.zeros_like(values)


def check_loadable(network: Network) -> None:
    """Raises unless stock netx loads every layer of ``network`` exactly as it is written.

    Raises:
        UnsupportedLayerError: a layer type that netx refuses, or an order that it cannot connect.
        HardwareRangeError: dense weights that netx would change or crash on.
    """
    dense_seen = False
    for where, (layer, _, _) in zip(network.labels, network.synapses(), strict=True):
        if isinstance(layer, ConvTranspose):
            raise UnsupportedLayerError(
                f"{where}: netx cannot load a transposed convolution; lower it first (export --lowering dense), "
                "or let our own loader do it (--loader native)"
            )
        if isinstance(layer, Conv):
            if dense_seen:
                raise UnsupportedLayerError(
                    f"{where}: netx cannot connect a convolution behind a dense layer; "
                    "write the dense layer as a full-padding convolution on a 1x1 map, or lower all to dense"
                )
            continue
        dense_seen = True
        _check_matrices(layer, where)


def _check_matrices(layer: Dense | RecurrentDense, where: str) -> None:
    matrices = {"weight": layer.weight}
    if isinstance(layer, RecurrentDense):
        matrices["recurrent weight"] = layer.recurrent
    present = {name: present_in(weight)[0] for name, weight in matrices.items()}
    if not any(found.any() for found in present.values()):
        raise HardwareRangeError(f"{where}: all weights are zero, which stock netx crashes on; remove the layer")
    for name, weight in matrices.items():
        others = [found for other, found in present.items() if other != name]
        loaded = loaded_values(present[name], *others)
        changed = present[name][loaded != present[name]]
        if len(changed):
            row = next(index for index, row in enumerate(weight) if np.isin(row, changed).any())
            at = row, int(np.isin(weight[row], changed).argmax())
            becomes = loaded[np.searchsorted(present[name], weight[at])]
            raise HardwareRangeError(
                f"{where}: stock netx would load {name} {weight[at]} at {at} as {becomes:g}; "
                "keep weights even, within [-254, 254], and at least one of them positive"
            )
