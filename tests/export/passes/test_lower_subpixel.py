"""Transposed convolutions on the coarse grid give every integer that they gave before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from depth import examples
from esvae.errors import HardwareRangeError
from export.ir import Conv, ConvTranspose, Dense, ImageReadout, Lif, Network
from export.ir.geometry import cells
from export.passes import lower_subpixel
from export.passes.lower_subpixel import subpixel_conv, subpixel_weights
from sim.twin.engine import Engine

NEURON = Lif(4096, 3072, 40)


def pairs(low: int, high: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def transposed(draw: st.DrawFn) -> tuple[ConvTranspose, tuple[int, int]]:
    """Kernels 1 to 5, strides 1 to 4, paddings, output paddings, dilations, groups, nothing square; and a size."""
    kernel, stride, dilation, size = draw(pairs(1, 5)), draw(pairs(1, 4)), draw(pairs(1, 2)), draw(pairs(1, 4))
    padding = tuple(draw(st.integers(0, d * (k - 1))) for k, d in zip(kernel, dilation, strict=True))
    extra = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
    groups = draw(st.integers(1, 2))
    seed = draw(st.integers(0, 2**16))
    weight = np.random.default_rng(seed).integers(-3, 4, (2 * groups, draw(st.integers(1, 2)), *kernel)) * 2
    layer = ConvTranspose(weight.astype(np.int32), None, NEURON, stride, padding, dilation, extra, groups)  # type: ignore[arg-type]
    try:
        layer.output_shape((2 * groups, *size))
    except ValueError:
        assume(False)
    except Exception as error:  # an output without pixels
        assume("empty output" not in str(error))
    return layer, size


@settings(max_examples=examples(300))
@given(transposed(), pairs(1, 3), st.integers(0, 2**16))
def test_every_sum_is_that_of_the_transposed_convolution(
    drawn: tuple[ConvTranspose, tuple[int, int]], factor: tuple[int, int], seed: int
) -> None:
    layer, size = drawn
    channels = layer.weight.shape[0]
    maps = np.random.default_rng(seed).integers(0, 2, (2, channels, *size)).astype(np.float64)
    wanted = torch.nn.functional.conv_transpose2d(
        torch.from_numpy(maps),
        torch.from_numpy(layer.weight.astype(np.float64)),
        None,
        layer.stride,
        layer.padding,
        layer.output_padding,
        layer.groups,
        layer.dilation,
    ).numpy()
    conv = subpixel_conv(layer, size, factor)
    found = torch.nn.functional.conv2d(
        torch.from_numpy(cells(maps, factor)), torch.from_numpy(conv.weight.astype(np.float64)), None, 1, conv.padding
    ).numpy()
    after = (factor[0] * layer.stride[0], factor[1] * layer.stride[1])
    there = cells(np.ones_like(wanted, bool), after)
    assert found.shape == there.shape
    assert np.array_equal(found[there], cells(wanted, after)[there])
    assert conv.weight.size >= subpixel_weights(layer, factor) > 0


def chain(draws: np.random.Generator, kernel: int, padding: int, output_padding: int) -> Network:
    """Two transposed convolutions of stride 2 behind a map, and a convolution that reads out."""

    def weights(*shape: int) -> np.ndarray:
        return draws.integers(-20, 21, shape).astype(np.int32) * 2

    bias = draws.integers(-10, 30, 4).astype(np.int32)
    up = {"stride": (2, 2), "padding": (padding,) * 2, "output_padding": (output_padding,) * 2}
    layers = (
        Conv(weights(5, 3, 4, 4), None, NEURON, padding=(3, 3)),
        ConvTranspose(weights(5, 4, kernel, kernel), bias, NEURON, **up),  # type: ignore[arg-type]
        ConvTranspose(weights(4, 3, kernel, kernel), None, NEURON, **up),  # type: ignore[arg-type]
        Conv(weights(2, 3, 3, 3), bias[:2], Lif(4096, 819, 131_071), padding=(1, 1)),
    )
    return Network((3, 1, 1), layers, 6)


@pytest.mark.parametrize(
    ("kernel", "padding", "output_padding"), [(3, 1, 1), (4, 1, 0), (2, 0, 0), (3, 0, 0), (5, 1, 1)]
)
def test_every_integer_of_a_whole_network(kernel: int, padding: int, output_padding: int) -> None:
    draws = np.random.default_rng(kernel)
    network = chain(draws, kernel, padding, output_padding)
    size = network.shapes[-1][1:]
    if size[0] % 4 == 0:
        network = replace(network, readout=ImageReadout(100.0, (2, *size)))
    lowered = lower_subpixel(network)
    assert not any(isinstance(layer, ConvTranspose) for layer in lowered.layers)
    assert all(layer.output_shape(before)[1] >= 4 for layer, before, _ in lowered.synapses())
    spikes = draws.integers(0, 2, (3, 6, 3, 1, 1)).astype(np.uint8)
    traces = zip(Engine(network).traces(spikes), Engine(lowered).traces(spikes), strict=True)
    for (before, after), factor in zip(traces, (1, 2, 4, 4), strict=True):
        there = cells(np.ones_like(before.s, bool), (factor, factor))
        assert before.s.any() or factor == 4
        assert not after.s[~there].any(), "a neuron that was not there has fired"
        for name in "uvs":
            left, right = cells(getattr(before, name), (factor, factor)), getattr(after, name)
            assert np.array_equal(left[there], right[there]), (factor, name)
    if lowered.readout is not None:
        assert lowered.readout.upscale == 4
        from sim.readout import images_from_potentials

        ends = [Engine(each).final_potentials(spikes) for each in (network, lowered)]
        left, right = (images_from_potentials(n, v) for n, v in zip((network, lowered), ends, strict=True))
        assert np.array_equal(left, right)


def test_what_it_does_not_take() -> None:
    draws = np.random.default_rng(0)
    network = chain(draws, 3, 1, 1)
    *front, last = network.layers
    assert isinstance(last, Conv)
    with pytest.raises(HardwareRangeError, match=r"layer 4 \(conv\): behind a transposed .* convolutions of stride 1"):
        lower_subpixel(replace(network, layers=(*front, replace(last, stride=(2, 2)))))
    up = network.layers[2]
    assert isinstance(up, ConvTranspose)
    heavy = replace(up, weight=np.full((4, 3, 5, 5), 250, np.int32), padding=(0, 0), output_padding=(0, 0))
    with pytest.raises(HardwareRangeError, match="do not fill cells of 4x4, and those beyond could receive"):
        lower_subpixel(replace(network, layers=(*network.layers[:2], heavy)))
    wide = ConvTranspose(np.ones((800, 800, 3, 3), np.int32) * 2, None, NEURON, stride=(4, 4), padding=(1, 1))
    with pytest.raises(HardwareRangeError, match=r"on the coarse grid it has .* weights, above"):
        subpixel_conv(wide, (4, 4), (1, 1))
    plain = Network((4,), (Dense(np.ones((2, 4), np.int32) * 2, None, NEURON),), 3)
    assert lower_subpixel(plain).layers == plain.layers  # nothing transposed, nothing to do
