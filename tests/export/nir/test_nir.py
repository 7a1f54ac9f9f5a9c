"""A NIR graph of the float decoder: nir reads it, Norse's import fires its spikes and ends at its picture."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deploy.cli import main
from esvae.errors import ConfigError, HardwareRangeError, UnsupportedLayerError
from esvae.run import load_run
from export.float_simulate import FloatTrace, simulate_float
from export.frontends import from_run
from export.ir import Conv, ConvTranspose, Dense, Flatten, FloatLif, ImageReadout
from export.ir.floats import FloatLayer, FloatNetwork
from export.ir.geometry import cells
from export.nir.write import write_nir

nir = pytest.importorskip("nir")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    norse = pytest.importorskip("norse.torch")

PRETRAINED = "pretrained:fashion_mnist_fast"
LIF = FloatLif(0.25, 0.2)
READOUT = FloatLif(0.8, math.inf)
#: Relative rounding of a float32 sum of so many terms stays far below this, and potentials are of the order of 1.
NEAR = 1e-5


def run_norse(path: Path, spikes: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """Spikes of each neuron node ``(images, steps, *shape)``, and the readout's last potentials."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = norse.from_nir(nir.read(path))
    state, seen = None, {}
    with torch.no_grad():
        for step in torch.from_numpy(spikes).float().transpose(0, 1):
            _, state = module(step, state)
            for name in state.state:
                seen.setdefault(name, []).append(state.cache[name].numpy())
    potentials = state.state["readout"][0].v.numpy() if state is not None and "readout" in state.state else None
    return {name: np.stack(steps, 1) for name, steps in seen.items()}, potentials


def agree(exact: FloatTrace, found: np.ndarray, threshold: float, alike: np.ndarray) -> np.ndarray:
    """Holds spikes equal, but for potentials at the threshold, where float32 may fall on its other side.

    What follows upon such a spike is different too, so only the first of a neuron is looked at, and the image is left
    out in the layers behind.

    Args:
        exact: of float64.
        found: spikes of float32, of the same shape.
        threshold: of the layer.
        alike: which images are the same so far.

    Returns:
        Which images still are; at least all but one.
    """
    wrong = (found != exact.s).reshape(len(found), found.shape[1], -1)
    v = exact.v.reshape(wrong.shape)
    first = wrong.argmax(1)
    for image, neuron in zip(*np.nonzero(wrong.any(1) & alike[:, None]), strict=True):
        assert abs(v[image, first[image, neuron], neuron] - threshold) < NEAR
    alike = alike & ~wrong.any((1, 2))
    assert alike.sum() >= len(alike) - 1
    return alike


def raster(seed: int, *shape: int) -> np.ndarray:
    return (np.random.default_rng(seed).random(shape) < 0.4).astype(np.uint8)


def transposed(*, linear: bool, bias: bool = True) -> FloatNetwork:
    rng = np.random.default_rng(0)

    def layer(inputs: int, outputs: int, neuron: FloatLif) -> FloatLayer:
        weight = rng.normal(size=(inputs, outputs, 3, 3)) * 0.3
        shift = rng.normal(size=outputs) * 0.1 if bias else None
        return FloatLayer(ConvTranspose(weight, shift, neuron, (2, 2), (1, 1), output_padding=(1, 1)))

    first = FloatLayer(
        Dense(rng.normal(size=(8 * 2 * 2, 5)) * 0.5, rng.normal(size=32) * 0.1, LIF), map_shape=(8, 2, 2)
    )
    layers = ([first] if linear else []) + [layer(8, 6, LIF), layer(6, 4, LIF)]
    last = FloatLayer(Conv(rng.normal(size=(1, 4, 3, 3)), rng.normal(size=1), READOUT, padding=(1, 1)))
    return FloatNetwork(
        (5,) if linear else (8, 2, 2), (*layers, last), 8, None, ImageReadout(1.0, (1, 8, 8))
    )  # fmt: skip


@pytest.mark.parametrize("lowering", ["subpixel", "dense"])
@pytest.mark.parametrize("linear", [False, True])
def test_norse_fires_and_draws_what_the_float_network_does(tmp_path: Path, linear: bool, lowering: Any) -> None:
    network = transposed(linear=linear)
    done = write_nir(network, tmp_path / "a.nir", lowering=lowering)
    assert (done.lowering, done.relay) == (lowering, linear and lowering == "subpixel")
    spikes = raster(1, 6, 8, *network.input_shape)
    exact = simulate_float(network, spikes)
    graph = nir.read(tmp_path / "a.nir")
    shape = tuple(graph.nodes["input"].input_type["input"])
    found, potentials = run_norse(tmp_path / "a.nir", spikes.reshape(6, 8, *shape))
    factor, alike = 1, np.ones(6, bool)
    for number, trace in enumerate(exact[:-1]):
        factor = factor * 2 if number >= linear else 1
        s = found[f"neuron_{number}"]
        ours = (
            FloatTrace(*(cells(x, (factor, factor)) for x in (trace.v, trace.s))) if lowering == "subpixel" else trace
        )
        assert 0.05 < trace.s.mean() < 0.95
        alike = agree(ours, s.reshape(ours.s.shape), 0.2, alike)
    assert potentials is not None
    upscale = int(graph.metadata["upscale"])
    maps = torch.from_numpy(potentials).reshape(6, upscale**2, 8 // upscale, 8 // upscale)
    picture = torch.tanh(torch.nn.functional.pixel_shuffle(maps, upscale))
    np.testing.assert_allclose(picture.numpy()[alike], np.tanh(exact[-1].v[:, -1])[alike], atol=NEAR)
    assert graph.metadata["image_shape"].tolist() == [1, 8, 8]
    assert graph.metadata["time_steps"] == 8


def test_the_run_that_comes_with_the_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["export", PRETRAINED, "-o", str(tmp_path / "a.net"), "--nir", str(tmp_path / "a.nir"), "--json"])
    told = json.loads(capsys.readouterr().out)["nir"]
    assert told["path"] == str(tmp_path / "a.nir")
    run = load_run(PRETRAINED)
    network = from_run(run)
    steps = network.time_steps
    assert steps is not None
    spikes = raster(2, 4, steps, *network.input_shape)
    exact = simulate_float(network, spikes)
    graph = nir.read(tmp_path / "a.nir")
    shape = tuple(graph.nodes["input"].input_type["input"])
    found, potentials = run_norse(tmp_path / "a.nir", spikes.reshape(4, steps, *shape))
    alike = np.ones(4, bool)
    for number, trace in enumerate(exact[:-1]):
        alike = agree(trace, found[f"neuron_{number}"].reshape(trace.s.shape), 0.2, alike)
    assert potentials is not None
    with torch.inference_mode():
        z = torch.from_numpy(spikes).float().transpose(0, 1).reshape(steps, 4, -1)
        images = run.model.decoder(z)
    upscale = int(graph.metadata["upscale"])
    drawn = torch.nn.functional.pixel_shuffle(torch.tanh(torch.from_numpy(potentials)), upscale)
    np.testing.assert_allclose(drawn.numpy()[alike], images.numpy()[alike], atol=NEAR)


def test_currents_that_last_and_dense_layers_behind_maps(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    cuba = FloatLif(0.5, 0.3, 0.75)
    network = FloatNetwork(
        (2, 4, 4),
        (
            FloatLayer(Conv(rng.normal(size=(3, 2, 3, 3)) * 0.3, None, cuba, (1, 1), (1, 1))),
            Flatten(),
            FloatLayer(Dense(rng.normal(size=(6, 48)) * 0.2, rng.normal(size=6) * 0.1, LIF)),
            FloatLayer(Dense(rng.normal(size=(5, 6)), None, cuba)),
        ),
        None,
    )
    assert write_nir(network, tmp_path / "a.nir").lowering == "none"
    spikes = raster(4, 5, 12, 2, 4, 4)
    found, potentials = run_norse(tmp_path / "a.nir", spikes)
    assert potentials is None
    alike = np.ones(5, bool)
    for number, trace in enumerate(simulate_float(network, spikes)):
        assert 0.02 < trace.s.mean() < 0.98
        threshold = 0.2 if number == 1 else 0.3
        alike = agree(trace, found[f"neuron_{number}"].reshape(trace.s.shape), threshold, alike)


def test_the_readout_as_nirs_leaky_integrator(tmp_path: Path) -> None:
    write_nir(transposed(linear=False), tmp_path / "a.nir", readout="li")
    graph = nir.read(tmp_path / "a.nir")
    assert isinstance(graph.nodes["readout"], nir.LI)
    assert graph.nodes["readout"].tau.ravel()[0] == pytest.approx(0.005)
    spikes = raster(0, 3, 8, 8, 2, 2)
    found, potentials = run_norse(tmp_path / "a.nir", spikes)
    assert potentials is None  # Norse 1.1 leaves the node out, and ends with the sums that would enter it
    trace = simulate_float(transposed(linear=False), spikes)[1]
    assert np.array_equal(found["neuron_1"].reshape((*trace.s.shape[:2], 64, 2, 2)), cells(trace.s, (4, 4)))


def test_what_nir_does_not_hold_is_refused(tmp_path: Path) -> None:
    def one(layer: Any, shape: tuple[int, ...] = (2,)) -> FloatNetwork:
        return FloatNetwork(shape, (FloatLayer(layer),), None)

    weight = np.ones((3, 2))
    for layer, told in (
        (Dense(weight, None, LIF, np.full((3, 2), 1)), "its synapses have delays"),
        (Dense(weight, None, FloatLif(1.0, 0.2)), "its potential has no leak"),
        (Dense(weight, None, FloatLif(0.5, 0.2, 1.0)), "its current has no leak"),
        (Dense(weight, np.ones(3), FloatLif(0.5, 0.2, 0.5)), "a bias beside a current that lasts"),
    ):
        with pytest.raises(UnsupportedLayerError, match=told):
            write_nir(one(layer), tmp_path / "a.nir")
    large = ConvTranspose(np.ones((64, 512, 3, 3)), None, LIF, (8, 8))
    with pytest.raises(HardwareRangeError, match=r"NIR: .*unrolled it has .* on the coarse grid: .*do not fill cells"):
        write_nir(one(large, (64, 16, 16)), tmp_path / "a.nir")
    assert not list(tmp_path.iterdir())


def test_kernels_that_are_not_square_are_unrolled(tmp_path: Path) -> None:
    layer = Conv(np.random.default_rng(0).normal(size=(2, 1, 3, 2)), None, LIF)
    network = FloatNetwork((1, 4, 4), (FloatLayer(layer),), None)
    assert write_nir(network, tmp_path / "a.nir").lowering == "dense"
    with pytest.raises(UnsupportedLayerError, match="nir takes kernels for square"):
        write_nir(network, tmp_path / "a.nir", lowering="subpixel")
    spikes = raster(5, 3, 6, 1, 4, 4)
    found, _ = run_norse(tmp_path / "a.nir", spikes.reshape(3, 6, -1))
    (trace,) = simulate_float(network, spikes)
    agree(trace, found["neuron_0"].reshape(trace.s.shape), 0.2, np.ones(3, bool))


@pytest.mark.parametrize("target", [None, 5])
def test_a_target_that_is_no_name_is_one_line(target: Any) -> None:
    network = FloatNetwork((2,), (FloatLayer(Dense(np.ones((1, 2)), None, LIF)),), None)
    with pytest.raises(ConfigError, match=rf"^target {target}: expected a name that ends in \.nir, got "):
        write_nir(network, target)
