"""What the engine promises beside equality: exact types, bounded chunks, any thread count, traces piece by piece."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import export.ir.network
from esvae.errors import ConfigError
from esvae.machine.threads import threads
from export.ir import Conv, ConvTranspose, Dense, Flatten, Lif, Network
from sim import reference
from sim.trace import first_difference, named_traces, trace_writer
from sim.twin.engine import Engine
from sim.twin.lif_kernel import NARROW_REACH, run_lif
from sim.twin.synapses import exact_type

NEURON = Lif(0, 300, 5000)


def small_network(seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)
    layers = (
        Conv(rng.integers(-90, 90, (4, 2, 3, 2)), rng.integers(-50, 50, 4), Lif(4096, 3072, 60), (1, 2), (1, 1)),
        ConvTranspose(rng.integers(-90, 90, (4, 3, 2, 2)), None, Lif(1000, 100, 90), (2, 1)),
        Flatten(),
        Dense(rng.integers(-90, 90, (5, 72)), rng.integers(-50, 50, 5), Lif(4096, 819, 131_071)),
    )
    return Network((2, 4, 3), layers, time_steps=6)


def raster(network: Network, images: int, seed: int = 1) -> np.ndarray:
    shape = (images, network.time_steps or 1, *network.input_shape)
    return (np.random.default_rng(seed).random(shape) < 0.4).astype(np.uint8)


@pytest.mark.parametrize(
    ("inputs", "dtype"), [(65_535, torch.float32), (65_793, torch.float32), (65_794, torch.float64)]
)
def test_float32_only_where_the_weights_prove_it_exact(inputs: int, dtype: torch.dtype) -> None:
    """65,793 weights of 255 sum to 2^24 - 1, the last whole number before float32 leaves gaps."""
    assert exact_type(Dense(np.full((1, inputs), 255), None, NEURON)) is dtype


def test_a_wider_type_is_taken_and_needed_beyond_2_to_the_24(monkeypatch: pytest.MonkeyPatch) -> None:
    """70,001 spikes over weights of 255 sum to an odd number above 2^24, which float32 does not hold."""
    monkeypatch.setattr(export.ir.network, "STATE_LIMIT", 1 << 40)
    weight = np.full((2, 70_001), 255)
    weight[1] = -255
    network = Network((70_001,), (Dense(weight, np.array([1, -1]), Lif(0, 100, 131_071)),))
    spikes = np.ones((1, 3, 70_001), np.uint8)
    assert float(np.float32(70_001 * 255)) != 70_001 * 255
    expected = next(reference.simulate(network, spikes))
    named = (named_traces(each, network) for each in ([expected], Engine(network).traces(spikes)))
    assert first_difference(*named) is None


def test_a_convolution_beyond_24_bit_wraps_as_lavas_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export.ir.network, "STATE_LIMIT", 1 << 40)
    network = Network((33_000, 1, 1), (Conv(np.full((1, 33_000, 1, 1), 255), None, Lif(4096, 0, 131_071)),))
    spikes = np.ones((1, 2, 33_000, 1, 1), np.uint8)
    expected = next(reference.simulate(network, spikes))
    assert reference.synapse_sum(network.layers[0], spikes[:, 0]).max() < 0  # type: ignore[arg-type]
    named = (named_traces(each, network) for each in ([expected], Engine(network).traces(spikes)))
    assert first_difference(*named) is None


@pytest.mark.parametrize("decay", [0, 1, 819, 3072, 4095, 4096])
def test_32_bit_neurons_equal_64_bit_ones_up_to_the_bound(decay: int) -> None:
    top = NARROW_REACH - 1
    rng = np.random.default_rng(decay)
    a = rng.integers(-top, top + 1, (40, 3, 257)).astype(np.float32)
    a[:, 0], a[:, 1] = top, -top
    bias = rng.choice([-4096, 0, 4095], (1, 257)).astype(np.int32)
    for neuron in (Lif(decay, 4096 - decay, 131_071), Lif(4096, decay, 0), Lif(0, 0, 131_071)):
        kept = [run_lif(a.copy(), bias, neuron, reach=bound, trace=True) for bound in (top, 1 << 30)]
        plain = run_lif(a.copy(), bias, neuron, reach=top)[0]
        assert np.array_equal(plain, kept[1][0])
        assert all(np.array_equal(x, y) for x, y in zip(kept[0], kept[1], strict=True))


def test_neither_chunks_nor_memory_nor_path_change_a_result() -> None:
    network = small_network()
    spikes = raster(network, 23)
    expected = Engine(network).final_potentials(spikes)
    for memory in (1, 20_000, 100_000, 1 << 30):
        for path in ("auto", "dense", "float", "events", "gather"):
            engine = Engine(network, memory=memory, path=path)  # type: ignore[arg-type]
            assert np.array_equal(engine.final_potentials(spikes), expected)
    done: list[int] = []
    pieces = Engine(network).potentials(spikes, chunk=10, progress=done.append)
    assert np.array_equal(np.concatenate(list(pieces)), expected)
    assert done == [10, 20, 23]


def test_a_chunk_keeps_to_the_memory_it_is_given() -> None:
    network = small_network()
    for memory in (30_000, 100_000, 1_000_000):
        engine = Engine(network, memory=memory)
        layers = next(engine.run(raster(network, 200)))
        held = sum(layer.spikes.nbytes for layer in layers) + layers[0].entering.nbytes
        assert held <= memory
        assert len(layers[0].v_end) > 1


def test_thread_counts_do_not_change_a_result() -> None:
    network = small_network()
    spikes = raster(network, 40)
    found = []
    for count in (1, 2, 3):
        with threads(count):
            found.append(Engine(network).final_potentials(spikes))
    assert all(np.array_equal(each, found[0]) for each in found)


def test_activities_name_what_enters_and_leaves_each_layer() -> None:
    network = small_network()
    spikes = raster(network, 5)
    expected = list(reference.simulate(network, spikes))
    (layers,) = Engine(network).run(spikes)
    assert [layer.layer for layer in layers] == [layer for layer in network.layers if not isinstance(layer, Flatten)]
    entering = [spikes, expected[0].s, expected[1].s.reshape(5, 6, -1)]
    for layer, enters, trace in zip(layers, entering, expected, strict=True):
        assert np.array_equal(layer.entering.transpose(0, 1).numpy(), enters)
        assert np.array_equal(layer.spikes.transpose(0, 1).numpy(), trace.s)
        assert np.array_equal(layer.v_end, trace.v[:, -1])


def test_hdf5_traces_grow_chunk_by_chunk(tmp_path: Path) -> None:
    network = small_network()
    spikes = raster(network, 7)
    with trace_writer(tmp_path / "t.h5", 7) as append:
        for layers in Engine(network).run(spikes, trace=True, chunk=3):
            append(named_traces([layer.trace for layer in layers if layer.trace is not None], network))
    expected = named_traces(list(reference.simulate(network, spikes)), network)
    with h5py.File(tmp_path / "t.h5") as file:
        assert set(file) == set(expected)
        assert first_difference(expected, {name: file[name][()] for name in file}) is None
        assert file["layer1.s"].dtype == np.uint8
        assert file["layer1.v"].dtype == np.int32
        assert file["layer1.v"].chunks[0] == 1


def test_trace_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ends in \.npz or \.h5"), trace_writer(tmp_path / "t.txt", 1):
        pass


def test_devices_that_are_not_there_are_refused() -> None:
    with pytest.raises(ConfigError, match="device 'tpu': expected"):
        Engine(small_network(), "tpu")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="finds no GPU"):
            Engine(small_network(), "cuda")
