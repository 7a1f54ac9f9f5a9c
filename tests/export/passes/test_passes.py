"""The passes: folding changes no float, lowering no integer, quantizing keeps what its report says."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from depth import examples
from esvae.chip.formats import BIAS, STATE_LIMIT
from esvae.errors import ConfigError, HardwareRangeError
from export.ir import Conv, ConvTranspose, Dense, FloatLif, ImageReadout, Lif, Network
from export.ir.floats import FloatLayer, FloatNetwork, Norm
from export.passes import check_ranges, fold_norm, lower_dense, quantize
from sim import reference
from sim.trace import first_difference
from sim.twin.engine import Engine
from strategies import networks, spikes_for

LIF = FloatLif(0.25, 0.2)


def float_network(*layers: FloatLayer, shape: tuple[int, ...], steps: int = 4) -> FloatNetwork:
    return FloatNetwork(shape, layers, steps)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("kind", [Conv, ConvTranspose])
def test_folding_a_norm_is_the_norm_after_the_sum(kind: type[Conv] | type[ConvTranspose], groups: int) -> None:
    rng = np.random.default_rng(1)
    shape = (4, 6 // groups, 3, 2) if kind is ConvTranspose else (6, 4 // groups, 3, 2)
    norm = Norm(rng.normal(size=6), rng.normal(size=6))
    layer = kind(rng.normal(size=shape), rng.normal(size=6), LIF, groups=groups)  # type: ignore[call-arg]
    folded = fold_norm(float_network(FloatLayer(layer, norm), shape=(4, 5, 5))).synapses[0].synapse
    x = torch.from_numpy(rng.normal(size=(2, 4, 5, 5)))
    call = torch.nn.functional.conv_transpose2d if kind is ConvTranspose else torch.nn.functional.conv2d

    def output(node: object) -> np.ndarray:
        return call(x, torch.from_numpy(node.weight), torch.from_numpy(node.bias), groups=groups).numpy()  # type: ignore[attr-defined]

    expected = output(layer) * norm.scale[:, None, None] + norm.shift[:, None, None]
    np.testing.assert_allclose(output(folded), expected, rtol=1e-12, atol=1e-12)


def test_a_dense_layer_that_yields_a_map_becomes_a_convolution() -> None:
    rng = np.random.default_rng(2)
    dense = Dense(rng.normal(size=(2 * 3 * 4, 5)), rng.normal(size=24), LIF)
    norm = Norm(rng.normal(size=24), rng.normal(size=24))
    folded = fold_norm(float_network(FloatLayer(dense, norm, (2, 3, 4)), shape=(5,)))
    conv = folded.synapses[0].synapse
    assert isinstance(conv, Conv)
    assert folded.input_shape == (5, 1, 1)
    x = rng.normal(size=5)
    maps = torch.nn.functional.conv2d(
        torch.from_numpy(x).reshape(1, 5, 1, 1), torch.from_numpy(conv.weight), padding=conv.padding
    )
    expected = norm.scale * (dense.weight @ x + dense.bias) + norm.shift
    np.testing.assert_allclose((maps[0].numpy() + conv.bias).reshape(-1), expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=examples(60))
@given(st.data())
def test_unrolling_keeps_every_integer(data: st.DataObject) -> None:
    network = data.draw(networks(transposed=True))
    spikes = data.draw(spikes_for(network))
    lowered = lower_dense(network)
    assert all(isinstance(layer, Dense) for layer in lowered.layers)
    for k, (before, after) in enumerate(
        zip(
            Engine(network).traces(spikes),
            reference.simulate(lowered, spikes.reshape(*spikes.shape[:2], -1)),
            strict=True,
        )
    ):
        flat = {f"layer{k}.{n}": getattr(before, n).reshape(after.s.shape) for n in "uvs"}
        assert first_difference(flat, {f"layer{k}.{n}": getattr(after, n) for n in "uvs"}) is None


def test_unrolling_says_when_a_layer_is_too_large() -> None:
    layer = Conv(np.full((64, 32, 1, 1), 2), None, Lif(4096, 3072, 51))
    with pytest.raises(HardwareRangeError, match=r"layer 1 \(conv\): unrolled it has 65536 x 32768 elements"):
        lower_dense(Network((32, 32, 32), (layer,)))


def test_unrolling_is_refused_where_memory_would_not_hold_it() -> None:
    layer = Conv(np.full((1, 1, 1, 1), 2), None, Lif(4096, 3072, 51))
    assert lower_dense(Network((1, 2, 2), (layer,))).layers[0].weight.tolist() == (2 * np.eye(4)).tolist()  # type: ignore[union-attr]


@pytest.mark.parametrize("bits", range(2, 9))
def test_weights_lie_on_their_levels(bits: int) -> None:
    rng = np.random.default_rng(bits)
    network = float_network(
        FloatLayer(Dense(rng.normal(size=(8, 9)), rng.normal(size=8), LIF)),
        FloatLayer(Dense(rng.normal(size=(1, 8)), None, FloatLif(0.8, math.inf))),
        shape=(9,),
    )
    integer, report = quantize(network, bits)
    step = 1 << (9 - bits)
    for layer, entry, source in zip(integer.layers, report, network.synapses, strict=True):
        weight = layer.weight  # type: ignore[union-attr]
        assert (weight % step == 0).all()
        assert np.abs(weight).max() <= ((1 << (bits - 1)) - 1) * step <= 254
        # Half a step is the largest error that rounding makes.
        assert np.abs(weight / entry.scale - source.synapse.weight).max() <= 0.5 * step / entry.scale * (1 + 1e-12)
        assert entry.clipped == 0
    assert integer.layers[0].neuron == Lif(4096, 3072, round(0.2 * report[0].scale))  # type: ignore[union-attr]
    assert integer.layers[1].neuron == Lif(4096, 819, 131071)  # type: ignore[union-attr]


def test_a_large_bias_bounds_the_scale() -> None:
    network = float_network(FloatLayer(Dense(np.array([[0.5]]), np.array([40.0]), LIF)), shape=(1,))
    integer, (entry,) = quantize(network)
    assert entry.bound_by == "bias"
    assert integer.layers[0].bias.tolist() == [BIAS.max]  # type: ignore[union-attr]


def test_the_readout_can_neither_fire_nor_saturate() -> None:
    weight = np.random.default_rng(0).uniform(0.2, 1, (1, 2000))
    readout = Dense(weight, np.array([3.0]), FloatLif(0.8, math.inf))
    network = float_network(FloatLayer(readout), shape=(2000,), steps=16)
    integer, (entry,) = quantize(network)
    assert entry.bound_by == "readout"
    trace = Engine(integer).traces(np.ones((1, 16, 2000), np.uint8))[0]
    assert not trace.s.any()
    assert 0.97 * STATE_LIMIT < trace.v.max() < STATE_LIMIT - 64


def test_a_readout_with_groups_is_scaled_as_one_of_its_groups_alone() -> None:
    kernel = np.random.default_rng(0).uniform(0.2, 1, (8, 1, 9, 9))
    scales = []
    for groups in (1, 50):
        readout = ConvTranspose(np.tile(kernel, (groups, 1, 1, 1)), None, FloatLif(0.8, math.inf), groups=groups)
        network = FloatNetwork((8 * groups, 2, 3), (FloatLayer(readout),), 16, None, None)
        _, (entry,) = quantize(network)
        assert entry.bound_by == "readout"
        scales.append(entry.scale)
    assert scales[0] == scales[1]


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_a_current_that_could_wrap_lowers_the_scale_of_its_layer_alone(bits: int) -> None:
    weight = np.random.default_rng(0).uniform(0.2, 1, (3, 2000))
    layers = (FloatLayer(Dense(weight, None, LIF)), FloatLayer(Dense(np.ones((2, 3)), None, LIF)))
    integer, (first, second) = quantize(float_network(*layers, shape=(2000,)), bits)
    assert (first.bound_by, second.bound_by) == ("current", "weight")
    ranges = check_ranges(integer)
    assert ranges[0].u_share < 1
    if bits == 8:  # the largest scale that the bound allows; of few levels many weights fall to zero at once
        assert ranges[0].u_share > 0.98
    assert integer.layers[0].neuron.threshold == round(0.2 * first.scale)  # type: ignore[union-attr]


def test_layers_without_weights_or_with_nonsense_are_refused() -> None:
    zero = float_network(FloatLayer(Dense(np.zeros((1, 1)), None, LIF)), shape=(1,))
    with pytest.raises(HardwareRangeError, match=r"layer 1 \(dense\): all weights are zero"):
        quantize(zero)
    with pytest.raises(ConfigError, match="weight bits 9: expected 2 to 8"):
        quantize(zero, 9)


def test_a_readout_that_could_saturate_is_refused() -> None:
    layer = Dense(np.full((1, 2000), 254), None, Lif(4096, 819, 131071))
    network = Network((2000,), (layer,), time_steps=16, readout=ImageReadout(64.0, (1, 1, 1)))
    with pytest.raises(HardwareRangeError, match="the current could reach"):
        check_ranges(network)
    layer = Dense(np.full((1, 400), 254), None, Lif(4096, 819, 131071))
    with pytest.raises(HardwareRangeError, match="readout's potential could reach 3"):
        check_ranges(Network((400,), (layer,), time_steps=16, readout=ImageReadout(64.0, (1, 1, 1))))
