"""Calibration: each method does what it says, and the pipeline names the pass that fails."""

from __future__ import annotations

import math
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from esvae.chip.rounding import WeightGrid
from esvae.errors import ConfigError, EsvaeError, HardwareRangeError
from export.float_layer import sums_of
from export.float_simulate import simulate_float
from export.ir import Conv, ConvTranspose, Dense, FloatLif, ImageReadout, Prior, Synapse
from export.ir.floats import FloatLayer, FloatNetwork, Norm
from export.passes import CALIBRATIONS, calibrate, calibration_spikes, quantize
from export.passes.feedback import fed_back
from export.passes.fold_norm import fold_norm
from export.pipeline import PASSES, Options, compiled
from sim.twin.engine import Engine

LIF = FloatLif(0.25, 0.2)


def generator(seed: int = 0, *, transposed: bool = False) -> FloatNetwork:
    """Latents 8 -> 6x4x4 -> 5x4x4 (or 5x8x8) -> readout, with weights of long tails, as trained ones have."""
    rng = np.random.default_rng(seed)

    def tailed(*shape: int) -> np.ndarray:
        return rng.standard_t(4, size=shape) * 0.12

    second: Synapse = Conv(tailed(5, 6, 3, 3), tailed(5), LIF, padding=(1, 1))
    size = 4
    if transposed:
        second, size = ConvTranspose(tailed(6, 5, 3, 3), tailed(5), LIF, (2, 2), (1, 1), (1, 1), (1, 1)), 8
    return FloatNetwork(
        (8, 1, 1),
        (
            FloatLayer(Conv(tailed(6, 8, 4, 4), tailed(6), LIF, padding=(3, 3)), Norm(np.full(6, 1.2), np.zeros(6))),
            FloatLayer(second),
            FloatLayer(Conv(tailed(1, 5, 3, 3), tailed(1), FloatLif(0.8, math.inf), padding=(1, 1))),
        ),
        6,
        Prior(rng.normal(size=(1, 8, 8)).astype("f4"), np.zeros((1, 8), "f4"), np.ones(1, "f4")),
        ImageReadout(1.0, (1, size, size)),
    )


def mismatch(network: FloatNetwork, method: str, bits: int, images: int = 200) -> float:
    """Share of the hidden spikes of fresh latents that differ from the float network's."""
    spikes = calibration_spikes(network, images, seed=9)
    plain = compiled(network, Options(bits, "native", method)).plain  # type: ignore[arg-type]
    floats = simulate_float(network, spikes)
    layers = Engine(plain).traces(spikes)
    return float(np.mean([np.mean(f.s != i.s) for f, i in zip(floats[:-1], layers[:-1], strict=True)]))


@pytest.mark.parametrize("method", CALIBRATIONS)
@pytest.mark.parametrize("bits", [3, 8])
def test_every_method_gives_every_layer_a_scale_and_twice_the_same(method: str, bits: int) -> None:
    network = generator()
    first, second = (compiled(network, Options(bits, calibration=method)) for _ in range(2))  # type: ignore[arg-type]
    assert all(layer.scale is not None for layer in calibrate(fold_norm(network), bits, method).synapses)  # type: ignore[arg-type]
    assert first.network.content_hash() == second.network.content_hash()
    assert all(layer.scale is None for layer in network.synapses)
    step = WeightGrid(bits).step
    assert all((layer.weight % step == 0).all() for layer, _, _ in first.network.synapses())


@pytest.mark.parametrize("transposed", [False, True])
def test_with_few_bits_each_refinement_helps(transposed: bool) -> None:
    networks = [generator(seed, transposed=transposed) for seed in range(3)]
    share = {m: np.mean([mismatch(n, m, 3) for n in networks]) for m in ("max", "mse", "spikes", "feedback")}
    assert share["mse"] < 0.9 * share["max"]
    assert share["spikes"] < 0.9 * share["max"]
    assert share["feedback"] < share["mse"]


def test_with_eight_bits_hardly_a_spike_differs() -> None:
    for method in CALIBRATIONS:
        assert mismatch(generator(), method, 8) < 0.02


@pytest.mark.parametrize("kind", ["dense", "conv", "grouped", "wide", "transposed"])
def test_feedback_lowers_the_error_of_the_sums(kind: str) -> None:
    rng = np.random.default_rng(3)
    shape: tuple[int, ...] = (8, 6, 5)
    synapse: Synapse
    if kind == "dense":
        synapse, shape = Dense(rng.normal(size=(7, 30)), None, LIF), (30,)
    elif kind == "transposed":
        synapse = ConvTranspose(rng.normal(size=(8, 3, 3, 2)), None, LIF, (2, 1), groups=2)
    elif kind == "wide":
        synapse = Conv(rng.normal(size=(4, 8, 6, 5)), None, LIF, padding=(5, 4))
    else:
        groups = 2 if kind == "grouped" else 1
        synapse = Conv(rng.normal(size=(6, 8 // groups, 3, 2)), None, LIF, (2, 1), (1, 0), groups=groups)
    # Inputs that fire together, as a network's do.
    common = rng.random((4, 20, *[1] * len(shape)))
    raster = torch.from_numpy((rng.random((4, 20, *shape)) < common).astype(float))
    grid, scale = WeightGrid(4), 60.0
    plain = replace(synapse, weight=grid.weights(synapse.weight, scale) / scale)
    better = fed_back(synapse, grid, scale, raster)
    np.testing.assert_allclose(grid.weights(better.weight, scale) / scale, better.weight, rtol=1e-12)
    wanted = sums_of(synapse, raster)
    errors = [float((sums_of(each, raster) - wanted).square().mean()) for each in (plain, better)]
    assert errors[1] < 0.8 * errors[0]


def test_going_over_the_weights_again_only_lowers_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    synapse = Dense(rng.normal(size=(20, 40)), None, LIF)
    raster = torch.from_numpy((rng.random((4, 20, 40)) < rng.random((4, 20, 1))).astype(float))
    wanted, errors = sums_of(synapse, raster), []
    for sweeps in (0, 1, 3):
        monkeypatch.setattr(sys.modules["export.passes.feedback"], "_SWEEPS", sweeps)
        rounded = fed_back(synapse, WeightGrid(3), 60.0, raster)
        errors.append(float((sums_of(rounded, raster) - wanted).square().mean()))
    assert errors[0] > errors[1] >= errors[2]


def test_a_scale_that_a_layer_brings_is_kept() -> None:
    network = generator()
    layers = tuple(replace(layer, norm=None, scale=333.0) for layer in network.synapses)
    given = replace(network, layers=layers, weight_bits=6)
    state = compiled(given, Options(calibration="feedback"))
    assert state.bits == 6
    assert [entry.scale for entry in state.quantization] == [333.0] * 3
    again = compiled(given, Options(4))
    assert again.bits == 4
    assert all(entry.scale != 333.0 for entry in again.quantization)


def test_errors_are_told_from_the_trained_weights_not_from_the_calibrated() -> None:
    done = compiled(generator(), Options(4, calibration="feedback"))
    assert all(entry.weight_error > 0.01 for entry in done.quantization)
    calibrated = calibrate(fold_norm(generator()), 4, "feedback")
    assert quantize(calibrated, 4)[1][0].weight_error < 1e-9


def test_what_cannot_be_calibrated_is_said() -> None:
    network = replace(generator(), prior=None)
    with pytest.raises(ConfigError, match="no prior to draw calibration spikes from; give them, or calibrate by 'mse'"):
        compiled(network, Options(4, calibration="spikes"))
    spikes = calibration_spikes(generator())
    assert compiled(network, Options(4, calibration="spikes", spikes=spikes)).network.depth
    with pytest.raises(ConfigError, match="calibration 'best': expected max, percentile, mse, spikes, feedback"):
        calibrate(network, 4, "best")  # type: ignore[arg-type]


def test_the_pipeline_names_the_pass_that_fails() -> None:
    names = [each.name for each in PASSES]
    assert names == ["fold_norm", "calibrate", "quantize", "lower", "check_ranges", "check_rates", "read_out", "draw"]
    layers = (FloatLayer(Dense(np.zeros((2, 8)), None, LIF)),)
    silent = replace(generator(), input_shape=(8,), layers=layers, readout=None)
    with pytest.raises(HardwareRangeError, match=r"^quantize: layer 1 \(dense\): all weights are zero"):
        compiled(silent)
    seen: list[str] = []
    compiled(generator(), progress=lambda share, name: seen.append(name))
    assert seen == names


def test_nothing_is_written_where_the_last_word_is_no(tmp_path: object) -> None:
    from pathlib import Path

    from export.pipeline import export_network

    def refuse(network: object, plain: object) -> None:
        raise HardwareRangeError("too large for the chip")

    target = Path(str(tmp_path)) / "f.net"
    with pytest.raises(EsvaeError, match="too large for the chip"):
        export_network(generator(), target, before_writing=refuse)
    assert not target.exists()
