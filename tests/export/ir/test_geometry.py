"""Which tap of which input reaches which neuron, against plain loops over the definition of a convolution."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from depth import examples
from esvae.model.expand import Expand
from export.ir import Conv, ConvTranspose, Dense, Lif, Network, Shape
from export.ir.geometry import (
    cell_span,
    cell_taps,
    cells,
    factor_after,
    grouped,
    matrix,
    picked,
    pixels,
    point_kernel,
    reaches,
    reads,
    sources,
    ungrouped,
)
from sim.counts.fan_out import fan_out
from sim.twin.events import EventSums
from strategies import map_layers, networks

NEURON = Lif(4096, 3072, 40)
Position: TypeAlias = tuple[int, ...]


def connections(layer: Conv | ConvTranspose, before: Shape) -> dict[tuple[Position, Position], int]:
    """Every pair of an output and an input neuron that a tap connects, and the weight; one after the other."""
    after = layer.output_shape(before)
    inputs, outputs = before[0] // layer.groups, after[0] // layer.groups
    found: dict[tuple[Position, Position], int] = {}
    kernel = (range(n) for n in layer.weight.shape[2:])
    transposed = isinstance(layer, ConvTranspose)
    coarse, fine = (before, after) if transposed else (after, before)
    for y, x, ky, kx in itertools.product(range(coarse[1]), range(coarse[2]), *kernel):
        at_y = y * layer.stride[0] - layer.padding[0] + ky * layer.dilation[0]
        at_x = x * layer.stride[1] - layer.padding[1] + kx * layer.dilation[1]
        if not (0 <= at_y < fine[1] and 0 <= at_x < fine[2]):
            continue
        to, of = ((at_y, at_x), (y, x)) if transposed else ((y, x), (at_y, at_x))
        for group, o, i in itertools.product(range(layer.groups), range(outputs), range(inputs)):
            out, into = group * outputs + o, group * inputs + i
            weight = layer.weight[into, o, ky, kx] if transposed else layer.weight[out, i, ky, kx]
            assert ((out, *to), (into, *of)) not in found  # by one tap at most
            found[(out, *to), (into, *of)] = int(weight)
    return found


def dense_of(layer: Conv | ConvTranspose, before: Shape) -> np.ndarray:
    full = np.zeros((*layer.output_shape(before), *before), np.int64)
    for (output, entering), weight in connections(layer, before).items():
        full[output + entering] = weight
    return full.reshape(math.prod(layer.output_shape(before)), math.prod(before))


@settings(max_examples=examples(150))
@given(map_layers())
def test_a_layer_is_the_matrix_of_its_connections(drawn: tuple[Conv | ConvTranspose, Shape]) -> None:
    layer, before = drawn
    wanted = dense_of(layer, before)
    found = matrix(layer, before)
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found, wanted)
    floats = replace(layer, weight=layer.weight.astype(np.float64))
    assert matrix(floats, before).dtype == np.float64


@settings(max_examples=examples(150))
@given(map_layers())
def test_tables_along_an_axis_are_the_connections(drawn: tuple[Conv | ConvTranspose, Shape]) -> None:
    layer, before = drawn
    after = layer.output_shape(before)
    pairs = connections(layer, before)
    for axis in (0, 1):
        table, back = reads(layer, before, after, axis), reaches(layer, before, after, axis)
        wanted = {(output[axis + 1], entering[axis + 1]) for output, entering in pairs}
        if pairs:  # a tap that meets an input along one axis alone connects nothing
            assert {(y, at) for y, row in enumerate(table) for at in row if at >= 0} == wanted
        assert {(y, k, i) for (y, k), i in np.ndenumerate(table) if i >= 0} == {
            (y, k, i) for (i, k), y in np.ndenumerate(back) if y >= 0
        }


@settings(max_examples=examples(100))
@given(networks(transposed=True))
def test_sources_are_the_synapses_that_exist_each_once(network: Network) -> None:
    for layer, before, _ in network.synapses():
        dense = layer.weight if isinstance(layer, Dense) else dense_of(layer, before)
        counts, inputs, weights = (np.concatenate(parts) for parts in zip(*sources(layer, before), strict=True))
        found = np.zeros(dense.shape, np.int64)
        found[np.repeat(np.arange(len(counts)), counts), inputs] = weights
        np.testing.assert_array_equal(found, dense)
        assert counts.sum() == np.count_nonzero(dense)


@settings(max_examples=examples(100))
@given(map_layers(), st.integers(0, 2**32 - 1))
def test_fan_out_counts_the_connections_with_a_weight(drawn: tuple[Conv | ConvTranspose, Shape], seed: int) -> None:
    layer, before = drawn
    after = layer.output_shape(before)
    targets = np.random.default_rng(seed).random(after) < 0.5
    exists = dense_of(layer, before) != 0
    np.testing.assert_array_equal(fan_out(layer, before), exists.sum(axis=0).reshape(before))
    reached = exists[targets.reshape(-1)].sum(axis=0)
    np.testing.assert_array_equal(fan_out(layer, before, targets), reached.reshape(before))


@settings(max_examples=examples(60))
@given(map_layers(), st.integers(0, 2**32 - 1))
def test_events_send_what_the_connections_send(drawn: tuple[Conv | ConvTranspose, Shape], seed: int) -> None:
    layer, before = drawn
    assume(layer.groups == 1)
    after = layer.output_shape(before)
    spikes = (np.random.default_rng(seed).random((2, 1, *before)) < 0.5).astype(np.float32)
    wanted = spikes.reshape(2, -1) @ dense_of(layer, before).T
    rows = torch.from_numpy(np.moveaxis(spikes, 2, -1).reshape(2, 1, -1).copy())
    sums = EventSums(layer, before, after)(rows).numpy().reshape(2, *after[1:], after[0])
    np.testing.assert_array_equal(np.moveaxis(sums, -1, 1).reshape(2, -1), wanted)


@settings(max_examples=examples(60))
@given(map_layers())
def test_groups_are_blocks_along_the_diagonal(drawn: tuple[Conv | ConvTranspose, Shape]) -> None:
    layer, before = drawn
    weight = grouped(layer)
    assert np.shares_memory(weight, layer.weight)
    full = ungrouped(weight)
    groups, outputs, inputs = weight.shape[:3]
    for out, into in np.ndindex(*full.shape[:2]):
        (group, o), (other, i) = divmod(out, outputs), divmod(into, inputs)
        inside = layer.weight[into, o] if isinstance(layer, ConvTranspose) else layer.weight[out, i]
        assert np.array_equal(full[out, into], inside if group == other else np.zeros_like(inside))
    assert full.shape[:2] == (layer.output_shape(before)[0], before[0])
    assert groups == layer.groups


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_a_1x1_map_is_a_matrix_and_a_matrix_a_kernel(o: int, height: int, width: int, inputs: int, seed: int) -> None:
    weight = np.random.default_rng(seed).integers(-9, 9, (o * height * width, inputs))
    layer = Conv(point_kernel(weight, (o, height, width)), None, NEURON, padding=(height - 1, width - 1))
    assert layer.output_shape((inputs, 1, 1)) == (o, height, width)
    np.testing.assert_array_equal(matrix(layer, (inputs, 1, 1)), weight)


def test_the_torch_side_expands_a_1x1_map_by_the_same_law() -> None:
    expand = Expand(5, 3, 4).double()
    conv = Conv(expand.weight.detach().numpy(), None, NEURON, padding=(3, 3))
    x = torch.randn(7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert expand.bias is not None
    wanted = (x.numpy() @ matrix(conv, (5, 1, 1)).T).reshape(7, 3, 4, 4)
    found = (expand(x) - expand.bias[:, None, None]).detach().numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-12)


@given(st.integers(1, 3), st.integers(1, 7), st.integers(1, 7), st.integers(1, 3), st.integers(1, 3), st.booleans())
def test_cells_hold_the_pixels_and_give_them_back(c: int, h: int, w: int, fy: int, fx: int, lead: bool) -> None:
    maps = np.arange(1, 2 * c * h * w + 1).reshape(*([2] if lead else []), -1, h, w)
    held = cells(maps, (fy, fx))
    assert held.shape[-3:] == (maps.shape[-3] * fy * fx, -(-h // fy), -(-w // fx))
    for index in np.ndindex(*maps.shape):
        *before, channel, y, x = index
        at = (*before, (channel * fy + y % fy) * fx + x % fx, y // fy, x // fx)
        assert held[at] == maps[index]
    assert np.count_nonzero(held) == maps.size
    np.testing.assert_array_equal(pixels(held, (fy, fx))[..., :h, :w], maps)


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
def test_pixels_are_torchs_pixel_shuffle(c: int, h: int, w: int, r: int) -> None:
    held = np.random.default_rng(0).normal(size=(2, c * r * r, h, w))
    wanted = torch.nn.functional.pixel_shuffle(torch.from_numpy(held), r).numpy()
    np.testing.assert_array_equal(pixels(held, (r, r)), wanted)


@settings(max_examples=examples(100))
@given(map_layers(), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2))
def test_cell_taps_are_the_taps_between_the_pixels_of_cells(
    drawn: tuple[Conv | ConvTranspose, Shape], fy: int, fx: int, spare: int
) -> None:
    """Pixel q of output cell O reads pixel p of input cell O + n by tap k: found by trying every tap."""
    layer = drawn[0]
    if isinstance(layer, Conv):
        layer = replace(layer, stride=(1, 1))
    for axis in (0, 1):
        factor, after = (fy, fx)[axis], factor_after(layer, (fy, fx))[axis]
        first, last = cell_span(layer, axis, (fy, fx))
        onward = np.arange(first - spare, last + spare + 1)
        table = cell_taps(layer, axis, onward, (fy, fx))
        size, padding, dilation = layer.weight.shape[axis + 2], layer.padding[axis], layer.dilation[axis]
        for q, p, n in itertools.product(range(after), range(factor), onward.tolist()):
            output, entering = q, n * factor + p
            if isinstance(layer, ConvTranspose):
                meets = [k for k in range(size) if entering * layer.stride[axis] - padding + k * dilation == output]
            else:
                meets = [k for k in range(size) if output - padding + k * dilation == entering]
            assert table[q, p, n - onward[0]] == (meets[0] if meets else size)
        used = (table < size).any(axis=(0, 1))
        assert used[spare]
        assert used[-1 - spare]


def test_picked_taps_past_the_last_are_zero() -> None:
    kernels = np.arange(1, 7).reshape(1, 2, 3)
    found = picked(kernels, np.array([[1, 2]]), np.array([3, 0]))
    assert found.tolist() == [[[[0, 4], [0, 0]]]]
