"""Sums of weights by each of the engine's kernels against the reference, over shapes that a convolution rarely has."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from depth import examples
from export.float_layer import sums_of
from export.ir import Conv, ConvTranspose, Lif
from sim.reference import synapse_sum
from sim.twin.stages import Stage
from sim.twin.synapses import is_direct, logical
from strategies import conv_layers

CPU = torch.device("cpu")


@pytest.mark.parametrize(("path", "portable"), [("dense", False), ("events", False), ("dense", True)])
@settings(max_examples=examples(150))
@given(data=st.data())
def test_every_kernel_gives_the_references_sums(path: str, portable: bool, data: st.DataObject) -> None:
    shape = (data.draw(st.integers(1, 6)), data.draw(st.integers(1, 8)), data.draw(st.integers(1, 8)))
    layer = data.draw(conv_layers(shape, transposed=data.draw(st.booleans())))
    assert isinstance(layer, (Conv, ConvTranspose))
    after = layer.output_shape(shape)
    images = data.draw(st.integers(1, 17))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    spikes = (rng.random((2 * images, *shape)) < 0.5).astype(np.uint8)
    stage = Stage(layer, shape, shape, after, CPU, portable, path)  # type: ignore[arg-type]
    rows = np.ascontiguousarray(spikes.transpose(0, 2, 3, 1)).reshape(2, images, -1)
    sums = logical(stage.sums(torch.from_numpy(rows)).reshape(2 * images, math.prod(after)), after)
    assert np.array_equal(sums.numpy(), synapse_sum(layer, spikes.astype(np.uint8)))


def test_only_sound_shapes_go_to_the_direct_convolution() -> None:
    neuron = Lif(4096, 0, 0)

    def conv(kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int], size: tuple[int, int]) -> bool:
        layer = Conv(np.ones((1, 1, *kernel), int), None, neuron, stride, padding)
        return is_direct(layer, (1, *size), layer.output_shape((1, *size)))

    assert conv((3, 3), (2, 2), (1, 1), (32, 32))
    assert conv((5, 5), (2, 2), (0, 0), (16, 16))
    assert conv((3, 3), (2, 1), (3, 3), (4, 4))
    assert not conv((1, 2), (1, 2), (0, 1), (4, 1))
    assert not conv((3, 1), (2, 2), (2, 1), (4, 1))


#: Kernel, stride, padding, dilation and height and width of convolutions whose outputs all read the padding alone.
UNREAD = [
    ((4, 4), (2, 1), (5, 5), (2, 2), (1, 3)),
    ((2, 3), (1, 1), (3, 3), (4, 2), (1, 3)),
    ((1, 1), (3, 2), (0, 1), (1, 1), (5, 1)),
]


@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation", "size"), UNREAD)
@pytest.mark.parametrize("path", ["auto", "dense", "float", "gather", "events"])
def test_a_layer_that_reads_the_padding_alone_gets_nothing(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    size: tuple[int, int],
    path: str,
) -> None:
    shape = (16, *size)
    layer = Conv(np.full((16, 16, *kernel), 2), None, Lif(4096, 0, 0), stride, padding, dilation)
    after = layer.output_shape(shape)
    stage = Stage(layer, shape, shape, after, CPU, False, path)  # type: ignore[arg-type]
    sums = stage.sums(torch.ones(4, 2, math.prod(shape), dtype=torch.uint8))
    assert sums.shape == (4, 2, math.prod(after))
    assert not sums.any()
    weight = layer.weight.astype(np.float32)
    floats = sums_of(replace(layer, weight=weight), torch.ones(4, 2, *shape))
    assert floats.shape == (4, 2, *after)
    assert not floats.any()
