"""A transposed convolution as a plain one whose channels are the phases of the fine grid: every sum is the same."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from depth import examples
from export.ir import Conv, ConvTranspose, Lif, Shape
from export.ir.geometry import matrix, pixels
from export.ir.phases import phases
from strategies import map_layers

NEURON = Lif(4096, 3072, 40)


@settings(max_examples=examples(150))
@given(map_layers(), st.integers(0, 2**32 - 1))
def test_interleaved_phases_are_the_sums_of_the_layer(drawn: tuple[Conv | ConvTranspose, Shape], seed: int) -> None:
    layer, before = drawn
    if not isinstance(layer, ConvTranspose):
        reject()
    after = layer.output_shape(before)
    entering = np.random.default_rng(seed).integers(0, 2, before)
    found = phases(layer, before, after)
    top, left, bottom, right = found.pads
    read = entering[:, slice(*found.crop[0]), slice(*found.crop[1])]
    read = np.pad(read, ((0, 0), (top, bottom), (left, right)))
    plain = Conv(found.weight, None, NEURON, groups=layer.groups)
    assert plain.output_shape(read.shape) == (after[0] * math.prod(layer.stride), *found.grid)
    held = (matrix(plain, read.shape).astype(np.int64) @ read.reshape(-1)).reshape(-1, *found.grid)
    sums = pixels(held, layer.stride)[:, : after[1], : after[2]]
    wanted = matrix(layer, before).astype(np.int64) @ entering.reshape(-1)
    np.testing.assert_array_equal(sums, wanted.reshape(after))


def test_no_product_is_spent_between_inputs() -> None:
    """A 4x4 kernel of stride 2: four phases of 2x2 taps each, where a map stuffed with zeros takes 16 a pixel."""
    layer = ConvTranspose(np.arange(1, 17).reshape(1, 1, 4, 4), None, NEURON, stride=(2, 2), padding=(1, 1))
    found = phases(layer, (1, 3, 5), (1, 6, 10))
    assert np.count_nonzero(found.weight) == 16
    assert sorted(found.weight[found.weight > 0].tolist()) == list(range(1, 17))
    assert found.grid == (3, 5)
