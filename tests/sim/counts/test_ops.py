"""Counts equal a walk over every spike's targets in plain Python, whatever the layers."""

from __future__ import annotations

import itertools
import math
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from depth import examples
from esvae.errors import DataError
from export.ir import Conv, ConvTranspose, Dense, Lif, Network, Shape, Synapse
from export.passes.lower_dense import lower_dense
from paper_networks import cifar10_decoder
from sim import reference
from sim.counts.fan_out import fan_out, macs
from sim.counts.kernel import Reach, SpikeCounter, _elsewhere
from sim.counts.ops import Counter, Counts, Rasters, count, count_traces
from sim.twin.engine import Engine
from strategies import networks, spikes_for

NEURON = Lif(4096, 3072, 60)
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def targets(layer: Synapse, before: Shape, source: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Every neuron that a spike of ``source`` reaches over a weight that is not zero."""
    after = layer.output_shape(before)
    if isinstance(layer, Dense):
        yield from ((o,) for o in range(after[0]) if layer.weight[o, source[0]] != 0)
        return
    channel, y, x = source
    inputs, outputs = before[0] // layer.groups, after[0] // layer.groups
    group = channel // inputs
    for o, ky, kx in itertools.product(range(outputs), *(range(k) for k in layer.weight.shape[2:])):
        if isinstance(layer, ConvTranspose):
            exists = layer.weight[channel, o, ky, kx] != 0
            at = [
                i * s - p + k * d
                for i, s, p, k, d in zip((y, x), layer.stride, layer.padding, (ky, kx), layer.dilation, strict=True)
            ]
        else:
            exists = layer.weight[group * outputs + o, channel % inputs, ky, kx] != 0
            steps = [
                divmod(i + p - k * d, s)
                for i, s, p, k, d in zip((y, x), layer.stride, layer.padding, (ky, kx), layer.dilation, strict=True)
            ]
            if any(rest for _, rest in steps):
                continue
            at = [whole for whole, _ in steps]
        if exists and all(0 <= i < n for i, n in zip(at, after[1:], strict=True)):
            yield group * outputs + o, at[0], at[1]


def walk(network: Network, spikes: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Counts by walking: ``(layers, images, steps, 3)``, and the spikes that entered each layer."""
    traces = list(reference.simulate(network, spikes))
    entering = [spikes, *(trace.s for trace in traces)]
    table = np.zeros((len(traces), *spikes.shape[:2], 3), np.int64)
    arrived = []
    for k, (layer, before, _) in enumerate(network.synapses()):
        known: dict[tuple[int, ...], int] = {}
        raster = entering[k].reshape(*spikes.shape[:2], *before)
        arrived.append(raster)
        for image, step, *source in np.argwhere(raster).tolist():
            neuron = tuple(source)
            if neuron not in known:
                known[neuron] = len(list(targets(layer, before, neuron)))
            table[k, image, step, 0] += 1
            table[k, image, step, 1] += known[neuron]
        table[k, :, :, 2] = (traces[k].s != 0).reshape(*spikes.shape[:2], -1).sum(axis=2)
    return table, arrived


@settings(max_examples=examples(200), suppress_health_check=SLOW)
@given(st.data())
def test_counts_equal_a_walk_over_every_spike(data: st.DataObject) -> None:
    network = data.draw(networks(transposed=True))
    spikes = data.draw(spikes_for(network))
    expected, arrived = walk(network, spikes)
    counts = count(network, Engine(network).run(spikes, chunk=2))
    np.testing.assert_array_equal(counts.per_image, expected.sum(axis=2))
    for k, layer in enumerate(counts.layers):
        by_step = arrived[k].astype(np.int64).sum(axis=0).reshape(spikes.shape[1], -1)
        np.testing.assert_array_equal(counts.entering[k], by_step)
        for i, spreads in enumerate((layer.over_steps.spikes_in, layer.over_steps.synops, layer.over_steps.spikes)):
            of_step = expected[k, :, :, i]
            assert [s.min for s in spreads] == of_step.min(axis=0).tolist()
            assert [s.max for s in spreads] == of_step.max(axis=0).tolist()
            np.testing.assert_allclose([s.mean for s in spreads], of_step.mean(axis=0), rtol=1e-12)
            np.testing.assert_allclose([s.std for s in spreads], of_step.std(axis=0), rtol=1e-9, atol=1e-9)


@settings(max_examples=examples(40), suppress_health_check=SLOW)
@given(st.data())
def test_lowering_keeps_every_count(data: st.DataObject) -> None:
    network = data.draw(networks(transposed=True))
    spikes = data.draw(spikes_for(network))
    lowered = lower_dense(network)
    flat = spikes.reshape(*spikes.shape[:2], -1)
    before, after = count(network, Engine(network).run(spikes)), count(lowered, Engine(lowered).run(flat))
    np.testing.assert_array_equal(before.per_image, after.per_image)
    for one, other in zip(before.layers, after.layers, strict=True):
        assert (one.synapses, one.macs.effective) == (other.synapses, other.macs.effective)
    for left, right in zip(before.entering, after.entering, strict=True):
        np.testing.assert_array_equal(left, right)


@settings(max_examples=examples(40), suppress_health_check=SLOW)
@given(st.data())
def test_traces_of_the_reference_give_the_same_counts(data: st.DataObject) -> None:
    network = data.draw(networks(transposed=True))
    spikes = data.draw(spikes_for(network))
    streamed = count(network, Engine(network).run(spikes, chunk=1))
    traced = count_traces(network, spikes, list(reference.simulate(network, spikes)))
    np.testing.assert_array_equal(streamed.per_image, traced.per_image)
    assert streamed.layers == traced.layers
    assert all((a == b).all() for a, b in zip(streamed.raster, traced.raster, strict=True))


def full_activity(network: Network) -> Counts:
    """One step in which every input of every layer spikes."""
    chunk = [Rasters(torch.ones(1, 1, *before), torch.ones(1, 1, *after)) for _, before, after in network.synapses()]
    return count(network, [chunk])


def test_papers_cifar10_decoder_at_full_activity() -> None:
    # Rows and columns of one channel pair: 2x2 -> (3 * 2 - 1)^2 = 25, 11^2, 23^2, 47^2; last (3 * 32 - 2)^2 = 94^2.
    expected = [131_072, 819_200, 991_232, 1_083_392, 2_262_016, 848_256]
    counts = full_activity(cifar10_decoder())
    assert [layer.synapses for layer in counts.layers] == expected
    assert counts.per_image[:, 0, 1].tolist() == expected
    assert counts.totals["synops"] == sum(expected) == 6_135_168
    assert sum(layer.neurons for layer in counts.layers) == 51_200
    assert [layer.macs.effective for layer in counts.layers] == expected
    assert all(layer.sparsity == 0 and layer.activity == 1 for layer in counts.layers)


def test_borders_of_a_strided_transposed_layer() -> None:
    # 4x4, kernel 3, stride 2, padding 1, output 8x8: one row misses the first input's first position, 3 * 4 - 1 = 11.
    layer = ConvTranspose(np.ones((1, 1, 3, 3), np.int32), None, NEURON, (2, 2), (1, 1), (1, 1), (1, 1))
    assert fan_out(layer, (1, 4, 4)).sum() == 121
    assert macs(layer, (1, 4, 4)).effective == 121
    assert macs(layer, (1, 4, 4)).full == 9 * 16


def test_zero_weights_are_no_synapses() -> None:
    layer = Conv(np.array([[[[1, 0, 2]]]], np.int32), None, NEURON, padding=(0, 1))
    assert fan_out(layer, (1, 1, 4)).tolist() == [[[1, 2, 2, 1]]]
    assert macs(layer, (1, 1, 4)).effective == 6
    assert macs(layer, (1, 1, 4)).full == 12


def test_fan_out_to_some_targets_adds_up_to_all() -> None:
    network = cifar10_decoder()
    for layer, before, after in network.synapses():
        some = np.random.default_rng(1).random(after) < 0.3
        np.testing.assert_array_equal(
            fan_out(layer, before, some) + fan_out(layer, before, ~some), fan_out(layer, before)
        )


@pytest.mark.parametrize("innermost", [True, False])
def test_device_path_equals_the_compiled_one(innermost: bool) -> None:
    rng = np.random.default_rng(0)
    spikes = torch.from_numpy((rng.random((5, 3, 4, 6, 7)) < 0.4).astype(np.float32))
    if innermost:
        spikes = spikes.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    reach = rng.integers(0, 1 << 40, (4, 6, 7))
    counter = SpikeCounter(Reach(reach), 5)
    compiled = *counter.add(spikes), counter.by_neuron
    elsewhere = _elsewhere(spikes.reshape(5, 3, -1), reach.reshape(-1))
    for left, right in zip(compiled, elsewhere, strict=True):
        np.testing.assert_array_equal(left, right)
    np.testing.assert_array_equal(compiled[1], (spikes.numpy() * reach).sum(axis=(2, 3, 4)).astype(np.int64))


@pytest.mark.parametrize("chunks", [[1] * 300, [254, 2, 255, 1, 256], [600]])
def test_neurons_that_always_fire_are_counted_beyond_a_byte(chunks: list[int]) -> None:
    counter = SpikeCounter(Reach(np.array([3, 1 << 31])), 2)
    for images in chunks:
        fired, operations = counter.add(torch.ones(2, images, 2, dtype=torch.uint8))
        assert (fired == 2).all()
        assert (operations == 3 + (1 << 31)).all()
    assert (counter.by_neuron == sum(chunks)).all()


def test_ten_thousand_images_in_bounded_memory() -> None:
    rng = np.random.default_rng(0)
    weight = [rng.integers(-100, 100, shape) * 2 for shape in ((64, 32), (16, 64))]
    network = Network((32,), tuple(Dense(w.astype(np.int32), None, NEURON) for w in weight), time_steps=8)
    engine, counter = Engine(network), Counter(network)

    def add(images: int) -> None:
        for start in range(0, images, 100):
            spikes = np.random.default_rng(start).random((100, 8, 32)) < 0.2
            for chunk in engine.run(spikes):
                counter.add(chunk)

    add(200)
    tracemalloc.start()
    add(9_800)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    counts = counter.result()
    assert counts.images == 10_000
    assert peak < 4e6  # 9,800 images of 2 layers keep 470 kB; their spikes alone would be 31 MB in float32
    assert counts.totals["synops"] == sum(
        int(layer.over_images["synops"].mean * 10_000 + 0.5) for layer in counts.layers
    )


def test_spread_over_images() -> None:
    network = Network((2,), (Dense(np.array([[2, 2]], np.int32), None, Lif(4096, 4096, 131_071)),), time_steps=2)
    spikes = np.zeros((4, 2, 2), np.uint8)
    spikes[1, 0, 0] = spikes[2, :, 0] = spikes[3] = 1
    (layer,) = count(network, Engine(network).run(spikes)).layers
    spread = layer.over_images["synops"]
    assert (spread.min, spread.median, spread.max, spread.mean) == (0, 1, 4, 7 / 4)
    assert spread.std == pytest.approx(np.std([0, 1, 2, 4]))
    assert layer.updates == 2
    assert layer.activity == 0
    assert layer.sparsity == 1 - 7 / 4 / (2 * 2)
    assert [s.mean for s in layer.over_steps.synops] == [1.0, 0.75]


def test_sums_of_squares_do_not_overflow() -> None:
    network = cifar10_decoder()
    counter = Counter(network)
    chunk = [Rasters(torch.ones(1, 2, *before), torch.ones(1, 2, *after)) for _, before, after in network.synapses()]
    counter._reach = [Reach(reach.synapses * (1 << 20)) for reach in counter._reach]
    counter.add(chunk)
    spread = counter.result().layers[4].over_steps.synops[0]
    assert spread.std == 0
    assert spread.mean == 2_262_016 * (1 << 20)


def test_what_does_not_fit_together_is_refused() -> None:
    network = Network((2,), (Dense(np.array([[2, 2]], np.int32), None, NEURON),), time_steps=2)
    with pytest.raises(DataError, match="no image was counted"):
        Counter(network).result()
    with pytest.raises(DataError, match="activity of 6 layers, the network has 1"):
        Counter(network).add([Rasters(torch.ones(2, 1, 2), torch.ones(2, 1, 1))] * 6)
    counter = Counter(network)
    for steps, error in ((2, None), (3, "3 steps after chunks of 2")):
        run = Engine(network).run(np.zeros((1, steps, 2), np.uint8))
        if error is None:
            counter.add(next(run))
        else:
            with pytest.raises(DataError, match=error):
                counter.add(next(run))
    with pytest.raises(DataError, match="traces of 0 layers"):
        count_traces(network, np.zeros((1, 2, 2)), [])
    with pytest.raises(DataError, match="input spikes have shape"):
        count_traces(network, np.zeros((1, 2, 3)), [])


def test_one_by_one_maps_take_latents_without_their_axes() -> None:
    network = cifar10_decoder()
    small = Network((128, 1, 1), network.layers[:1], time_steps=2)
    spikes = (np.random.default_rng(0).random((2, 2, 128)) < 0.5).astype(np.uint8)
    traces = Engine(small).traces(spikes)
    streamed = count(small, Engine(small).run(spikes))
    np.testing.assert_array_equal(count_traces(small, spikes, traces).per_image, streamed.per_image)
    assert streamed.per_image[0, :, 1].tolist() == (spikes.sum(axis=(1, 2)) * math.prod((256, 2, 2))).tolist()


def test_input_neurons_update_but_their_pixels_are_no_spikes() -> None:
    network = Network((2,), (Dense(np.array([[2, 2]], np.int32), None, NEURON),), time_steps=3)
    spikes = np.ones((1, 3, 2), np.uint8)
    (chunk,) = Engine(network).run(spikes)
    pixels = torch.full((3, 1, 2), 200.0)
    counter = Counter(network)
    counter.add([Rasters(pixels, chunk[0].entering), *chunk])
    counts, plain = counter.result(), count(network, [chunk])
    np.testing.assert_array_equal(counts.per_image, plain.per_image)
    assert (counts.input_updates, plain.input_updates) == (2 * 3, 0)
