"""A layer that dies in integers is refused or told of, with its label; sound networks pass, whatever their bits."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from esvae.errors import HardwareRangeError
from export.float_simulate import simulate_float
from export.frontends import from_run
from export.ir import Conv, Dense, FloatLif, ImageReadout, Prior
from export.ir.floats import FloatLayer, FloatNetwork
from export.passes import calibrate, calibration_spikes, fidelity_spikes, fold_norm, layer_fidelity, quantize
from export.passes.fidelity import LEFT, SHARE, SIGMAS
from export.pipeline import Options, compiled, export_network, warnings_of
from sim.twin.engine import Engine

LIF = FloatLif(0.25, 0.2)


def decoder(seed: int = 0) -> FloatNetwork:
    """Of the size of the digits' decoder: 32 latents, two maps of 48 channels on 8x8, pictures of 16x16."""
    rng = np.random.default_rng(seed)

    def weight(*shape: int) -> np.ndarray:
        return rng.normal(size=shape) * 0.6 / math.sqrt(math.prod(shape[1:]))

    return FloatNetwork(
        (32, 1, 1),
        (
            FloatLayer(Conv(weight(48, 32, 8, 8) * 8, rng.normal(size=48) * 0.05, LIF, padding=(7, 7))),
            FloatLayer(Conv(weight(48, 48, 3, 3), rng.normal(size=48) * 0.05, LIF, padding=(1, 1))),
            FloatLayer(Conv(weight(4, 48, 3, 3), None, FloatLif(0.8, math.inf), padding=(1, 1))),
        ),
        8,
        Prior(rng.normal(size=(1, 32, 4)).astype("f4"), np.zeros((1, 32), "f4"), np.ones(1, "f4")),
        ImageReadout(1.0, (1, 16, 16), upscale=2),
    )


def with_outlier(network: FloatNetwork, index: int, times: float) -> FloatNetwork:
    """One weight of a layer, so many times the largest."""
    layers = list(network.synapses)
    weight = layers[index].synapse.weight.copy()
    weight.flat[weight.size // 2] = times * np.abs(weight).max()
    layers[index] = replace(layers[index], synapse=replace(layers[index].synapse, weight=weight))
    return replace(network, layers=tuple(layers))


@pytest.mark.parametrize("times", [1e3, 1e4, 1e5])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_planted_outlier_is_refused_or_told_of_with_its_layer_and_a_remedy(
    index: int, times: float, tmp_path: Path
) -> None:
    network, target = with_outlier(decoder(), index, times), tmp_path / "a.net"
    try:
        done = export_network(network, target)
    except HardwareRangeError as error:
        told = str(error).removeprefix("check_rates: ")
        assert not target.exists()
    else:
        told = warnings_of(done, network)[0]
    assert told.startswith(f"layer {index + 1} (conv): ")
    assert "clip or retrain its outlier weight" in told
    assert "\n" not in told
    if index == 2 and times > 1e3:  # a readout's own bound leaves no scale that keeps its pictures
        assert "--calibration" not in told
        return
    assert "--calibration percentile keeps the rates; or clip" in told
    mended = export_network(network, target, Options(calibration="percentile"))
    assert all(layer.verdict == "kept" for layer in mended.fidelity)


def test_a_layer_that_dies_is_an_error_though_its_weights_fit_better_than_ever() -> None:
    network = with_outlier(decoder(), 1, 1e5)
    _, entries = quantize(calibrate(network, 8), 8)
    assert entries[1].weight_error < 0.005
    assert entries[1].threshold_error == 1
    with pytest.raises(
        HardwareRangeError, match=r"^check_rates: layer 2 \(conv\): is silent in integers, at .* floats at"
    ):
        compiled(network)


def test_a_layer_that_fires_all_the_time_is_an_error() -> None:
    rng = np.random.default_rng(1)
    dense = Dense(np.abs(rng.normal(size=(20, 8))) * 1e-3, np.full(20, 0.01), LIF)
    dense.weight[0, 0] = 1e3  # threshold and bias round to zero, and any spike over a weight that is left fires
    network = FloatNetwork((8,), (FloatLayer(dense),), 6)
    plain, _ = quantize(calibrate(network, 8), 8)
    layer = replace(plain.layers[0], bias=np.ones(20, np.int32))  # type: ignore[type-var]
    spikes = (rng.random((16, 6, 8)) < 0.3).astype(np.uint8)
    (judged,) = layer_fidelity(network, replace(plain, layers=(layer,)), spikes)
    assert (judged.verdict, judged.rate_integer) == ("saturated", 1.0)
    assert judged.lost


@pytest.mark.parametrize("bits", [8, 4, 3, 2])
def test_sound_networks_pass(bits: int) -> None:
    done = compiled(decoder(), Options(bits))
    assert not any(layer.lost for layer in done.fidelity)
    if bits >= 4:
        assert all(layer.verdict == "kept" for layer in done.fidelity)
        assert warnings_of(done, decoder()) == []


@pytest.mark.parametrize("bits", [8, 2])
def test_rates_are_those_of_both_simulators(bits: int) -> None:
    network = fold_norm(decoder(3))
    plain, _ = quantize(calibrate(network, bits), bits)
    spikes = fidelity_spikes(network, None)
    assert spikes is not None
    floats, integers = simulate_float(network, spikes), Engine(plain).traces(spikes)
    judged = layer_fidelity(network, plain, spikes)
    for layer, left, right in zip(judged[:-1], floats, integers, strict=False):
        gap = (right.s.mean((1, 2, 3, 4)) - left.s.mean((1, 2, 3, 4))).astype(float)
        assert layer.rate_float == pytest.approx(left.s.mean(), rel=1e-3)
        assert layer.rate_integer == pytest.approx(right.s.mean(), rel=1e-9)
        assert layer.standard_error == pytest.approx(gap.std(ddof=1) / math.sqrt(len(gap)), rel=0.05)
    pictures = [np.tanh(floats[-1].v[:, -1]), np.tanh(integers[-1].v[:, -1] / plain.readout.unit)]  # type: ignore[union-attr]
    error = np.sqrt(np.mean((pictures[1] - pictures[0]) ** 2)) / np.sqrt(pictures[0].var(axis=0).mean())
    assert judged[-1].picture_error == pytest.approx(error, rel=1e-2)


def test_few_spikes_that_chance_may_have_cost_are_no_fault() -> None:
    """Three spikes in 32 images that integers do not have: far above a quarter, but within the standard errors."""
    from export.passes.fidelity import _of_rates

    floats = np.zeros(32)
    floats[:3] = 1e-3
    assert _of_rates("layer 1 (conv)", floats, np.zeros(32)).verdict == "kept"
    floats[:] = np.linspace(0.1, 0.11, 32)
    for share, verdict in ((1 - SHARE * 0.9, "kept"), (1 - SHARE * 1.1, "changed"), (LEFT * 0.9, "silent")):
        found = _of_rates("layer 1 (conv)", floats, floats * share)
        assert found.verdict == verdict
        assert abs(found.departure - (1 - share)) < 1e-9
    assert SIGMAS >= 5
    assert _of_rates("layer 1 (conv)", floats, np.ones(32)).verdict == "saturated"
    assert _of_rates("layer 1 (conv)", np.zeros(1), np.zeros(1)).verdict == "kept"


def test_given_spikes_are_judged_with_and_a_network_without_any_is_not_judged() -> None:
    network = replace(with_outlier(decoder(), 1, 1e5), prior=None)
    assert compiled(network).fidelity == []
    spikes = calibration_spikes(decoder(), 40)
    with pytest.raises(HardwareRangeError, match=r"layer 2 \(conv\): is silent"):
        compiled(network, Options(spikes=spikes))
    assert [layer.images for layer in compiled(decoder(), Options(spikes=spikes[:1])).fidelity] == [1] * 3


def test_pretrained_network_is_sound() -> None:
    from esvae.run import load_run

    for bits in (8, 4, 3, 2):
        done = compiled(from_run(load_run("pretrained:fashion_mnist_fast")), Options(bits))
        assert all(layer.verdict == "kept" for layer in done.fidelity)
