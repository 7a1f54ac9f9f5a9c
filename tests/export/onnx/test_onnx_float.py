"""The ONNX graph of a float network: each layer against its equations in float64, the whole against torch's decoder."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from esvae.errors import ConfigError
from esvae.run import Run, load_run
from export.frontends import from_run
from export.ir import Conv, ConvTranspose, Dense, Flatten, FloatLif, ImageReadout, Synapse
from export.ir.floats import FloatLayer, FloatNetwork, Norm
from export.onnx.float import float_model, write_float_onnx
from export.onnx.write import write_onnx_pair
from export.passes import fold_norm
from export.pipeline import compiled

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")


def run(network: FloatNetwork, spikes: np.ndarray) -> dict[str, np.ndarray]:
    model = float_model(network, hidden=True)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"spikes": spikes}), strict=True))


def exact_sums(layer: Synapse, spikes: np.ndarray) -> np.ndarray:
    """In float64, ``(images, steps, *after)``."""
    x, weight = torch.from_numpy(spikes.astype(np.float64)).flatten(0, 1), torch.from_numpy(layer.weight)
    if isinstance(layer, Dense):
        sums = x @ weight.T
    elif isinstance(layer, Conv):
        sums = functional.conv2d(x, weight, None, layer.stride, layer.padding, layer.dilation, layer.groups)
    else:
        sums = functional.conv_transpose2d(
            x, weight, None, layer.stride, layer.padding, layer.output_padding, layer.groups, layer.dilation
        )
    return sums.unflatten(0, spikes.shape[:2]).numpy()


def rounding(layer: Synapse, steps: int) -> float:
    """How far a float32 potential can be from the float64 one that has had the same spikes.

    A sum of n products errs by at most n rounding errors of 2^-24 of the sum of their magnitudes, whatever the order;
    its weights and bias are rounded once, and what becomes of them in the neuron six times more. Each step adds as
    much, over shares of current and potential that are kept.
    """
    neuron = layer.neuron
    assert isinstance(neuron, FloatLif)
    axes = (0, 2, 3) if isinstance(layer, ConvTranspose) else tuple(range(1, layer.weight.ndim))
    size = np.abs(layer.weight).sum(axis=axes).max() + (0 if layer.bias is None else np.abs(layer.bias).max())
    terms = math.prod(layer.weight.shape[axis] for axis in axes)
    kept = sum(neuron.keep**t for t in range(steps)) * sum(neuron.current_keep**t for t in range(steps))
    return float((terms + 8) * 2.0**-24 * size * kept * kept)


def check_layers(network: FloatNetwork, spikes: np.ndarray) -> dict[str, np.ndarray]:
    """Holds every layer, given the spikes that entered it, against float64; gives the graph's outputs."""
    got = run(network, spikes)
    before = spikes
    for number, layer in enumerate(network.layers, start=1):
        if isinstance(layer, Flatten):
            before = before.reshape(*before.shape[:2], -1)
            continue
        synapse = layer.synapse
        neuron = synapse.neuron
        assert isinstance(neuron, FloatLif)
        sums, fired = exact_sums(synapse, before), got[f"layer{number}.s"]
        bias = 0.0 if synapse.bias is None else synapse.bias
        if np.ndim(bias) == 1:
            bias = np.reshape(bias, (-1, *[1] * (sums.ndim - 3)))
        current = v = np.zeros_like(sums[:, 0])
        near = rounding(synapse, spikes.shape[1])
        for t in range(sums.shape[1]):
            current = neuron.current_keep * current + sums[:, t]
            v = neuron.keep * v + current + bias
            wrong = (v > neuron.threshold) != fired[:, t]
            assert np.abs(v - neuron.threshold)[wrong].max(initial=0) <= near, f"layer {number}, step {t}"
            v = np.where(fired[:, t], 0, v)
        before = fired
    assert np.abs(got["potentials"] - v).max() <= near
    return got


@pytest.fixture(scope="module", params=["pretrained:fashion_mnist_fast", "transposed"])
def trained(request: pytest.FixtureRequest) -> Run:
    """A run with a sub-pixel decoder, and one with transposed convolutions whose norms have seen data."""
    if request.param != "transposed":
        return load_run(request.param)
    from esvae.config import load_config
    from esvae.model import ESVAE

    torch.manual_seed(0)
    model = ESVAE(load_config("digits_transposed"))
    with torch.no_grad():
        for module in model.modules():
            if hasattr(module, "running_var"):
                module.running_mean.uniform_(-0.2, 0.2)  # type: ignore[operator,union-attr]
                module.running_var.uniform_(0.05, 0.5)  # type: ignore[operator,union-attr]
    return Run(model.eval(), {}, "0" * 64)


def test_the_decoder_of_a_run_draws_what_torch_draws(trained: Run) -> None:
    network = fold_norm(from_run(trained))
    steps, latent = network.time_steps or 1, network.input_shape[0]
    spikes = (np.random.default_rng(0).random((6, steps, latent)) < 0.4).astype(np.uint8)
    got = check_layers(network, spikes.reshape(6, steps, *network.input_shape))
    turned = torch.from_numpy(spikes).float().transpose(0, 1).contiguous()
    with torch.inference_mode():
        images = trained.model.decoder(turned).numpy()
        hidden = [
            layer.unflatten(0, (steps, 6)).transpose(0, 1).numpy() for layer in trained.model.decoder.hidden(turned)
        ]
    same = np.ones(6, bool)
    for k, layer in enumerate(hidden, start=1):
        differs = (got[f"layer{k}.s"].reshape(layer.shape) != layer).reshape(6, -1)
        assert differs.mean() < 1e-3  # a spike that rounding decides carries on through what follows
        same &= ~differs.any(axis=1)
    assert same.any()
    assert any(0 < layer.mean() < 1 for layer in hidden)
    # Both err from the exact potential by the rounding of the last layer, and tanh does not stretch.
    near = 2 * rounding(network.synapses[-1].synapse, steps) + 2.0**-22
    assert np.abs(got["image"][same] - images[same]).max() <= near
    assert got["image"].shape == images.shape


def small(rng: np.random.Generator) -> FloatNetwork:
    layers = (
        FloatLayer(
            Conv(rng.normal(size=(4, 1, 3, 2)), rng.normal(size=4), FloatLif(0.5, 0.7, 0.3), (2, 1), (1, 0), (1, 2), 2)
        ),
        FloatLayer(
            ConvTranspose(
                rng.normal(size=(4, 3, 2, 3)),
                rng.normal(size=(6, 7, 5)) / 3,
                FloatLif(0.9, 1.0),
                (2, 1),
                (0, 1),
                (1, 2),
                (1, 0),
                2,
            )
        ),
        Flatten(),
        FloatLayer(Dense(rng.normal(size=(5, 210)), None, FloatLif(0.8, math.inf, 0.5))),
    )
    return FloatNetwork((2, 5, 5), layers, 6)


@pytest.mark.parametrize("seed", range(3))
def test_every_layer_keeps_to_its_equations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = small(rng)
    spikes = (rng.random((3, 6, *network.input_shape)) < 0.5).astype(np.uint8)
    got = check_layers(network, spikes)
    assert got["layer1.s"].any()
    assert got["layer2.s"].any()
    assert not got["layer4.s"].any()
    assert "image" not in got


def test_delays_hold_spikes_back() -> None:
    layer = Dense(np.array([[1.0, 10.0], [100.0, 1000.0]]), None, FloatLif(1.0, math.inf), np.array([[0, 1], [3, 9]]))
    network = FloatNetwork((2,), (FloatLayer(layer),), 4)
    spikes = np.zeros((1, 4, 2), np.uint8)
    spikes[0, 0] = 1
    spikes[0, 3] = 1
    assert run(network, spikes)["potentials"].tolist() == [[1 + 10 + 1, 100]]


def test_the_checker_passes_and_bytes_do_not_vary(tmp_path: Path) -> None:
    network = small(np.random.default_rng(0))
    paths = [write_float_onnx(network, tmp_path / f"{name}.onnx") for name in "ab"]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    onnx.checker.check_model(str(paths[0]), full_check=True)
    kinds = {node.op_type for node in onnx.load(paths[0]).graph.node}
    assert {"Conv", "ConvTranspose", "MatMul", "Scan"} <= kinds


def test_networks_that_are_not_ready_are_refused() -> None:
    from esvae.errors import NetFileError

    layer = Dense(np.ones((1, 2)), None, FloatLif(0.5, 1.0))
    with pytest.raises(NetFileError, match="norm is not folded"):
        float_model(FloatNetwork((2,), (FloatLayer(layer, Norm(np.ones(1), np.ones(1))),), 4))
    with pytest.raises(NetFileError, match="no window"):
        float_model(FloatNetwork((2,), (FloatLayer(layer),), None))


def test_a_picture_is_tanh_of_potentials_interleaved() -> None:
    layer = Conv(np.arange(1.0, 5).reshape(4, 1, 1, 1) / 10, None, FloatLif(0.0, math.inf))
    network = FloatNetwork((1, 2, 1), (FloatLayer(layer),), 1, None, ImageReadout(1.0, (1, 4, 2), 2))
    image = run(network, np.array([[[[[1], [0]]]]], np.uint8))["image"]
    np.testing.assert_allclose(image[0, 0], np.tanh([[0.1, 0.2], [0.3, 0.4], [0, 0], [0, 0]]), atol=2.0**-24)


@pytest.mark.parametrize("target", [None, 5])
def test_a_target_that_is_no_name_is_one_line(target: Any) -> None:
    network = FloatNetwork((2,), (FloatLayer(Dense(np.ones((1, 2)), None, FloatLif(0.5, 1.0))),), 4)
    with pytest.raises(ConfigError, match=rf"^target {target}: expected a name that ends in \.onnx, got "):
        write_float_onnx(network, target)
    with pytest.raises(ConfigError, match=rf"^--onnx {target}: expected a name that ends in \.onnx, got "):
        write_onnx_pair(network, compiled(network).network, target)
