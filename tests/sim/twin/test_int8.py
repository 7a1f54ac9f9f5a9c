"""Sums by 8-bit products against floats and the reference, to the widths' edges, and what happens where there are none.

Layers of a test are too small to gain time, so the products are made here whatever they gain.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from depth import examples
from export.ir import Conv, ConvTranspose, Dense, Lif, Network
from sim import reference
from sim.trace import first_difference, named_traces
from sim.twin import int8
from sim.twin.engine import Engine
from sim.twin.int8 import ByteSums, byte_sums, int8_parts
from sim.twin.lif_kernel import Places, run_lif
from sim.twin.stages import Stage
from sim.twin.synapses import is_direct, logical
from strategies import conv_layers, networks, spikes_for

CPU = torch.device("cpu")
NEURON = Lif(4096, 3072, 300)


def _quantized_operators() -> bool:
    layer = Dense(np.ones((16, 16), int), None, NEURON)
    try:
        return bool((ByteSums(layer, [(np.ones((16, 16), np.int8), 1)], (16,), (16,))(_spikes((16,), 1)) == 16).all())
    except int8._REFUSED:
        return False


def _spikes(shape: tuple[int, ...], share: float, images: int = 3, seed: int = 0) -> torch.Tensor:
    """Two steps, in the order of memory."""
    drawn = np.random.default_rng(seed).random((2, images, math.prod(shape))) < share
    return torch.from_numpy(drawn.astype(np.uint8))


needs_operators = pytest.mark.skipif(not _quantized_operators(), reason="this torch has no oneDNN for quantized sums")


@given(st.lists(st.integers(-256, 255), min_size=1, max_size=40))
def test_parts_of_eight_bits_add_up_to_nine(values: list[int]) -> None:
    weight = np.array(values)
    parts = int8_parts(weight)
    assert parts is not None
    assert all(part.dtype == np.int8 for part, _ in parts)
    assert np.array_equal(sum(part.astype(int) * scale for part, scale in parts), weight)
    one = (weight.min() >= -128 and weight.max() <= 127) or not (weight % 2).any()
    assert len(parts) == (1 if one else 2)


@pytest.mark.parametrize("beyond", [-257, 256])
def test_weights_beyond_nine_bits_have_no_parts(beyond: int) -> None:
    assert int8_parts(np.array([beyond, 0])) is None


@needs_operators
@settings(max_examples=examples(150))
@given(data=st.data(), share=st.sampled_from([0.0, 0.3, 1.0]), wide=st.sampled_from([1, 16]))
def test_maps_give_the_sums_of_floats_and_of_the_reference(data: st.DataObject, share: float, wide: int) -> None:
    shape = (wide * data.draw(st.integers(1, 4)), data.draw(st.integers(1, 8)), data.draw(st.integers(1, 8)))
    layer = data.draw(conv_layers(shape, transposed=data.draw(st.booleans())))
    assert isinstance(layer, Conv | ConvTranspose)
    after = layer.output_shape(shape)
    assume(is_direct(layer, shape, after) and int8._has_form(layer, after))
    parts = int8_parts(layer.weight)
    assert parts is not None
    found = ByteSums(layer, parts, shape, after)
    raster = _spikes(shape, share, images=data.draw(st.integers(1, 9)))
    sums = found(raster) if found.places is None else found.places.in_order_of_neurons(found(raster))
    floats = Stage(layer, shape, shape, after, CPU, False, "float").sums(raster)
    maps = np.ascontiguousarray(logical(raster.flatten(0, 1), shape).numpy())
    assert torch.equal(sums, floats)
    assert np.array_equal(logical(sums.flatten(0, 1), after).numpy(), reference.synapse_sum(layer, maps))


@needs_operators
@settings(max_examples=examples(60))
@given(
    outputs=st.integers(1, 40),
    inputs=st.integers(1, 300),
    low=st.sampled_from([-256, -128, 0]),
    high=st.sampled_from([127, 254, 255]),
    step=st.sampled_from([1, 2]),
    share=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_features_give_the_references_sums(
    outputs: int, inputs: int, low: int, high: int, step: int, share: float
) -> None:
    edges = np.random.default_rng(outputs * inputs).choice([low, high, 0, 2], (outputs, inputs)) // step * step
    layer = Dense(edges, None, NEURON)
    parts = int8_parts(edges)
    assert parts is not None
    raster = _spikes((inputs,), share)
    sums = ByteSums(layer, parts, (inputs,), (outputs,))(raster)
    assert np.array_equal(sums.flatten(0, 1).numpy(), reference.synapse_sum(layer, raster.flatten(0, 1).numpy()))


@needs_operators
def test_the_largest_sums_of_odd_weights_are_exact() -> None:
    """65,793 weights of -255 sum to 1 - 2^24, their halves, twice, to beyond -2^24."""
    weight = np.full((2, 65_793), -255)
    weight[1] += np.arange(65_793) % 2
    parts = int8_parts(weight)
    assert parts is not None
    assert parts[0][0][0].sum(dtype=int) * 2 < -(1 << 24)
    sums = ByteSums(Dense(weight, None, NEURON), parts, (65_793,), (2,))(_spikes((65_793,), 1.0))
    assert sums[0, 0].tolist() == weight.sum(axis=1).tolist() == [1 - (1 << 24), 32_896 - 16_777_215]


@needs_operators
@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_network_that_takes_them_everywhere_equals_the_reference(
    data: st.DataObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "_gains", {})
    monkeypatch.setattr(int8, "_gain", lambda *_: 1000.0)
    network = data.draw(networks(transposed=True))
    spikes = data.draw(spikes_for(network))
    engine = Engine(network, path="dense")
    expected = list(reference.simulate(network, spikes))
    named = (named_traces(each, network) for each in (expected, engine.traces(spikes)))
    assert first_difference(*named) is None
    assert np.array_equal(engine.final_potentials(spikes), expected[-1].v[:, -1])


@settings(max_examples=examples(40))
@given(
    run=st.integers(1, 70),
    pieces=st.integers(1, 130),
    neuron=st.sampled_from([NEURON, Lif(1000, 3072, 300)]),
    reach=st.sampled_from([1000, 1 << 20]),
    trace=st.booleans(),
    seed=st.integers(0, 99),
)
def test_neurons_find_their_sums_at_their_places(
    run: int, pieces: int, neuron: Lif, reach: int, trace: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    places = Places(rng.permutation(pieces) * run, run)
    a = rng.integers(-900, 1000, (5, 2, run * pieces)).astype(np.float32)
    bias = rng.integers(-50, 50, (1, run * pieces)).astype(np.int32)
    resets = np.arange(5) == 3
    in_order = places.in_order_of_neurons(torch.from_numpy(a)).numpy()
    found = run_lif(a, bias, neuron, reach=reach, resets=resets, trace=trace, places=places)
    expected = run_lif(in_order, bias, neuron, reach=reach, resets=resets, trace=trace)
    for left, right in zip(found, expected, strict=True):
        assert np.array_equal(left, right) if left is not None else right is None


def _conv() -> Conv[Lif]:
    weight = np.random.default_rng(1).integers(-128, 128, (16, 16, 3, 3)) * 2
    return Conv(weight, None, NEURON, padding=(1, 1))


def _floats(layer: Conv[Lif], shape: tuple[int, int, int]) -> Stage:
    return Stage(layer, shape, shape, layer.output_shape(shape), CPU, False, "float")


def _missing(*_: object) -> SimpleNamespace:
    raise AttributeError("no such operator")


def _refusing(*_: object) -> SimpleNamespace:
    raise RuntimeError("could not create a primitive")


def _one_off(x: torch.Tensor) -> torch.Tensor:
    sums = torch.nn.functional.conv2d(x.float(), torch.from_numpy(_conv().weight).float(), padding=1)
    sums[-1, -1, -1, -1] += 1
    return sums


@pytest.mark.parametrize("product", [_missing, _refusing, lambda *_: _one_off], ids=["missing", "refusing", "one off"])
def test_floats_are_taken_where_the_operators_fail_their_trial(
    product: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, shape = _conv(), (16, 6, 5)
    monkeypatch.setattr(int8, "_gains", {})
    monkeypatch.setattr(int8, "_product", product)
    assert byte_sums(layer, shape, shape, _floats(layer, shape).sums) is None
    assert list(int8._gains.values()) == [0.0]
    network = Network(shape, (layer,), time_steps=4)
    spikes = (np.random.default_rng(2).random((3, 4, *shape)) < 0.4).astype(np.uint8)
    expected = list(reference.simulate(network, spikes))
    named = (named_traces(each, network) for each in (expected, Engine(network).traces(spikes)))
    assert first_difference(*named) is None


@needs_operators
@pytest.mark.parametrize(("gain", "taken"), [(0.9, False), (1.5, True)])
def test_what_is_slower_is_not_taken_and_what_is_known_not_tried_again(
    gain: float, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []
    monkeypatch.setattr(int8, "_gains", {})
    monkeypatch.setattr(int8, "_gain", lambda *_: tried.append(1) or gain)
    layer, shape = _conv(), (16, 6, 5)
    for _ in range(2):
        assert (byte_sums(layer, shape, shape, _floats(layer, shape).sums) is not None) is taken
    assert len(tried) == 1


def test_what_has_no_form_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8, "_gain", _refusing)
    wide = Conv(np.full((1, 1, 1, 1), 300), None, NEURON)
    grouped = ConvTranspose(np.ones((2, 1, 2, 2), int), None, NEURON, (2, 2), groups=2)
    cut = ConvTranspose(np.ones((1, 1, 3, 3), int), None, NEURON, (2, 2))
    for layer, shape in ((wide, (1, 3, 3)), (grouped, (2, 3, 3)), (cut, (1, 3, 3))):
        assert byte_sums(layer, shape, layer.output_shape(shape), lambda x: x) is None  # type: ignore[attr-defined]
    delayed = Dense(np.ones((2, 2), int), None, NEURON, delay=np.array([[0, 1], [1, 0]]))
    assert byte_sums(delayed, (2,), (2,), lambda x: x) is None
