"""How large a network may be: every limit, in one place, and why.

A file of a few hundred bytes can declare a network of any size, by a padding or a compressed array. These limits bound
what reading and running it takes; the largest networks of the paper, unrolled, lie below all of them.
"""

from __future__ import annotations

import math
from dataclasses import replace

from export.ir.geometry import is_point
from export.ir.nodes import Conv, ConvTranspose, Dense, RecurrentDense, Shape, Synapse, all_weights

__all__ = [
    "COLUMNS",
    "ELEMENTS",
    "ELEMENTS_A_BYTE",
    "HOLLOW_ELEMENTS",
    "LAYERS",
    "NEURONS",
    "NEURON_STEPS",
    "POINT_ELEMENTS",
    "PRIOR_ELEMENTS",
    "PRODUCTS",
    "SPIKES",
    "STEPS",
    "WORK",
    "columns",
    "layer_problem",
    "products",
    "window_problem",
]

#: Numbers in all arrays of a file together, 2 bytes each once read: of the paper's MNIST decoder, unrolled, 1.4 * 2^28.
ELEMENTS = 1 << 29
#: Numbers that an array may have for each of its bytes in the file: an unrolled layer is mostly zeros and compresses
#: to 77 numbers a byte. Of arrays that claim more, so that a few bytes may stand for a gigabyte, all together may have
#: so many.
ELEMENTS_A_BYTE = 256
HOLLOW_ELEMENTS = 1 << 27
#: Groups below ``layer``.
LAYERS = 256
#: Neurons of a layer or of the input, and pixels of a padded map; a Loihi 2 chip has half a million in all.
NEURONS = 1 << 22
#: Steps of the window.
STEPS = 1 << 20
#: Neurons of a layer times steps of the window: 4 bytes each, a few times, in the twin.
NEURON_STEPS = 1 << 25
#: Numbers of a map unfolded for its kernel, as convolutions in float64 need them: 8 bytes each.
COLUMNS = 1 << 25
#: Numbers of the matrix that a (transposed) convolution on a map of one pixel is run as.
POINT_ELEMENTS = 1 << 26
#: Products of a layer at each step, and over the whole window: seconds of one processor.
PRODUCTS = 1 << 33
WORK = 1 << 36
#: Numbers in the prior's weights: components times latents times noise.
PRIOR_ELEMENTS = 1 << 22
#: Input spikes at one time, zeros included; more are drawn in chunks.
SPIKES = 1 << 28


def layer_problem(layer: Synapse, before: Shape, after: Shape) -> str | None:
    """What is too large about a layer between two shapes, or None."""
    neurons = math.prod(after)
    if neurons > NEURONS:
        return f"{neurons:,} neurons {after}, at most {NEURONS:,} a layer; use a smaller padding, stride or kernel"
    if isinstance(layer, Dense | RecurrentDense):
        return None
    padded = _padded(layer, before)
    if padded > NEURONS:
        return f"its padded map has {padded:,} pixels, at most {NEURONS:,}; use a smaller padding or stride"
    if is_point(before) and neurons * before[0] > POINT_ELEMENTS:
        return f"as a matrix it has {neurons:,} x {before[0]:,} elements, at most {POINT_ELEMENTS:,}"
    unfolded = columns(layer, before, after)
    if unfolded > COLUMNS:
        return f"its map unfolded has {unfolded:,} numbers, at most {COLUMNS:,}; use a smaller kernel or map"
    if products(layer, before, after) > PRODUCTS:
        return f"{products(layer, before, after):,} products a step, at most {PRODUCTS:,}; use fewer channels"
    return None


def window_problem(layer: Synapse | None, before: Shape, after: Shape, steps: int) -> str | None:
    """What is too large about running a layer (None: the input, of shape ``after``) for so many steps, or None."""
    neurons = math.prod(after)
    if neurons * steps > NEURON_STEPS:
        return f"{neurons:,} neurons x {steps:,} steps, at most {NEURON_STEPS:,}; run fewer steps"
    if layer is not None and products(layer, before, after) * steps > WORK:
        return f"{products(layer, before, after):,} products x {steps:,} steps, at most {WORK:,}; run fewer steps"
    return None


def products(layer: Synapse, before: Shape, after: Shape) -> int:
    """Products of an input with a weight at each step: of every tap, those with the padding's zeros too."""
    if isinstance(layer, ConvTranspose):
        return math.prod(before) * math.prod(layer.weight.shape[1:])
    return math.prod(after[1:]) * all_weights(layer).size


def columns(layer: Conv | ConvTranspose, before: Shape, after: Shape) -> int:
    """Numbers of the map unfolded for the kernel: a convolution's inputs, a transposed one's outputs."""
    places = math.prod(after[1:]) * before[0] if isinstance(layer, Conv) else math.prod(before[1:]) * after[0]
    return math.prod(layer.weight.shape[2:]) * places


def _padded(layer: Conv | ConvTranspose, before: Shape) -> int:
    """Pixels, over all channels, of the input with its padding, or of the output before its padding is cut away."""
    if isinstance(layer, Conv):
        return before[0] * math.prod(n + 2 * p for n, p in zip(before[1:], layer.padding, strict=True))
    return math.prod(replace(layer, padding=(0, 0)).output_shape(before))
