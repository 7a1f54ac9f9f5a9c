"""Sums of weights by each of the engine's kernels against the reference, over shapes that a convolution rarely has."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from depth import examples
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
        return is_direct(layer, layer.output_shape((1, *size)))

    assert conv((3, 3), (2, 2), (1, 1), (32, 32))
    assert conv((5, 5), (2, 2), (0, 0), (16, 16))
    assert conv((3, 3), (2, 1), (3, 3), (4, 4))
    assert not conv((1, 2), (1, 2), (0, 1), (4, 1))
    assert not conv((3, 1), (2, 2), (2, 1), (4, 1))
