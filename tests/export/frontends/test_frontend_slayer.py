"""Trained slayer blocks: the integers that slayer writes itself, and its own spikes in the twin."""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from esvae.errors import ConfigError, EsvaeError, HardwareRangeError, UnsupportedLayerError
from export.frontends import from_slayer
from export.ir import Dense, Flatten, Network
from export.netx import read_netx
from export.passes import quantize
from sim.twin.engine import Engine

pytestmark = [
    pytest.mark.lava,
    pytest.mark.filterwarnings("ignore:torch.nn.utils.weight_norm is deprecated:UserWarning"),
    pytest.mark.skipif(importlib.util.find_spec("lava") is None, reason="needs lava-dl in this interpreter"),
]

NEURON = {"threshold": 1.25, "current_decay": 0.25, "voltage_decay": 0.1, "requires_grad": True}


def slayer() -> Any:
    from lava.lib.dl import slayer as module

    return module


def trained(*blocks: nn.Module, shape: tuple[int, ...], seed: int = 0, steps: int = 3) -> nn.ModuleList:
    """A few steps of training towards random targets, so that nothing is where it was initialized."""
    torch.manual_seed(seed)
    stack = nn.ModuleList(blocks)
    x = torch.from_numpy(raster(seed, *shape)).float().movedim(1, -1)
    forward(stack, x)  # delays and norms take their shapes from data
    optimizer = torch.optim.Adam(stack.parameters(), lr=0.02)
    for _ in range(steps):
        out = forward(stack, x)[-1]
        loss = (out.mean(-1) - 0.3).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return stack.eval()


def forward(stack: nn.ModuleList, x: torch.Tensor) -> list[torch.Tensor]:
    seen = []
    for block in stack:
        x = block(x)
        seen.append(x)
    return seen


def raster(seed: int, *shape: int) -> np.ndarray:
    return (np.random.default_rng(seed).random((4, 20, *shape)) < 0.4).astype(np.uint8)


def written(stack: nn.ModuleList, path: Path, shape: tuple[int, ...]) -> Network:
    """What slayer's own writer makes of a copy, as our reader understands it."""
    with h5py.File(path, "w") as file:
        layers = file.create_group("layer")
        first = layers.create_group("0")
        first.create_dataset("type", (1,), "S10", [b"input"])
        first["shape"] = np.array(shape)
        for index, block in enumerate(copied(stack), start=1):
            block.export_hdf5(layers.create_group(str(index)))
    return read_netx(path)


def copied(stack: nn.ModuleList) -> list[nn.Module]:
    for block in stack:
        if getattr(getattr(block, "synapse", None), "weight_norm_enabled", False):
            synapse: Any = block.synapse
            synapse.weight = synapse.weight.detach()  # only leaves can be copied; taking the norm off computes it anew
    return list(copy.deepcopy(stack))


def same(ours: Network, theirs: Network) -> None:
    assert ours.input_shape == theirs.input_shape
    assert len(ours.layers) == len(theirs.layers)
    for mine, other in zip(ours.layers, theirs.layers, strict=True):
        assert type(mine) is type(other)
        if isinstance(mine, Flatten):
            continue
        assert not isinstance(other, Flatten)
        assert np.array_equal(mine.weight, other.weight)
        assert (mine.bias is None) == (other.bias is None)
        assert mine.bias is None or np.array_equal(mine.bias, other.bias)
        assert mine.neuron == other.neuron
        if isinstance(mine, Dense) and isinstance(other, Dense):
            none = np.zeros(mine.weight.shape)
            assert np.array_equal(*(none if layer.delay is None else layer.delay for layer in (mine, other)))
        else:
            for key in ("stride", "padding", "dilation", "groups"):
                assert getattr(mine, key) == getattr(other, key)
    assert ours.shapes == theirs.shapes


def network(stack: nn.ModuleList, shape: tuple[int, ...] | None) -> Network:
    integer, report = quantize(from_slayer(stack, shape, time_steps=None))
    assert all(entry.clipped == 0 and entry.weight_error == 0 and entry.scale == 1 for entry in report)
    return integer


def fires_the_same(stack: nn.ModuleList, ours: Network, seed: int, *, shifted: bool = True) -> None:
    spikes = raster(seed, *ours.input_shape)
    with torch.no_grad():
        seen = forward(stack, torch.from_numpy(spikes).float().movedim(1, -1))
    seen = [x for x, block in zip(seen, stack, strict=True) if hasattr(block, "synapse")]
    for k, (theirs, trace) in enumerate(zip(seen, Engine(ours).traces(spikes), strict=True)):
        late = k + 1 if shifted else 0
        found = theirs.movedim(-1, 1).numpy()
        assert found.mean() > 0.01
        assert not found[:, :late].any()
        assert np.array_equal(found[:, late:], trace.s[:, : 20 - late].reshape(found[:, late:].shape))


def convolutions(**more: Any) -> list[nn.Module]:
    cuba = slayer().block.cuba
    return [
        cuba.Conv(dict(NEURON), 2, 4, (3, 2), stride=(2, 1), padding=(1, 0), weight_scale=4, **more),
        cuba.ConvT(dict(NEURON), 4, 4, (2, 3), stride=2, dilation=(2, 1), groups=2, weight_scale=4, **more),
        cuba.Flatten(),
        cuba.Dense(dict(NEURON), 4 * 7 * 9, 5, weight_scale=4, **more),
    ]


@pytest.mark.parametrize("more", [{}, {"weight_norm": True}, {"delay_shift": False}])
def test_convolutions_are_what_slayer_writes_and_fires(more: dict[str, Any], tmp_path: Path) -> None:
    shape = (2, 5, 5)
    stack = trained(*convolutions(**more), shape=shape)
    before = {name: value.clone() for name, value in stack.state_dict().items()}
    ours = network(stack, shape)
    assert all(torch.equal(value, before[name]) for name, value in stack.state_dict().items())
    same(ours, written(stack, tmp_path / "a.net", shape))
    fires_the_same(stack, ours, 1, shifted=more.get("delay_shift", True))


def test_delays_of_dense_blocks(tmp_path: Path) -> None:
    cuba = slayer().block.cuba
    stack = trained(
        cuba.Dense(dict(NEURON), 6, 9, weight_scale=4, delay=True),
        cuba.Dense(dict(NEURON), 9, 9, weight_scale=4, delay=True),
        shape=(6,),
    )
    for block in stack:
        block.delay.delay.data = torch.rand(9) * 6  # type: ignore[union-attr]
    ours = network(stack, None)
    assert ours.layers[0].delay.max() > 2  # type: ignore[union-attr]
    same(ours, written(stack, tmp_path / "a.net", (6,)))
    fires_the_same(stack, ours, 2)


def test_a_mean_only_norm_is_a_bias(tmp_path: Path) -> None:
    module = slayer()
    neuron = NEURON | {"norm": module.neuron.norm.MeanOnlyBatchNorm}
    stack = trained(
        module.block.cuba.Conv(dict(neuron), 2, 4, 3, weight_scale=4), module.block.cuba.Flatten(),
        module.block.cuba.Dense(dict(neuron), 36, 5, weight_scale=4), shape=(2, 5, 5),
    )  # fmt: skip
    ours = network(stack, (2, 5, 5))
    assert ours.layers[0].bias.any()  # type: ignore[union-attr]
    same(ours, written(stack, tmp_path / "a.net", (2, 5, 5)))
    spikes = raster(3, 2, 5, 5)
    with torch.no_grad():
        theirs = stack[0](torch.from_numpy(spikes).float().movedim(1, -1)).movedim(-1, 1).numpy()
    assert np.array_equal(theirs[:, 1:], Engine(ours).traces(spikes)[0].s[:, :-1])


def test_the_power_of_two_of_a_norm_is_in_the_threshold(tmp_path: Path) -> None:
    module = slayer()
    neuron = NEURON | {"norm": module.neuron.norm.WgtScaleBatchNorm}
    stack = trained(module.block.cuba.Dense(dict(neuron), 30, 8, weight_scale=8), shape=(30,), steps=20)
    norm = stack[0].neuron.norm  # type: ignore[union-attr]
    norm.running_var.fill_(3.0)
    ours = network(stack, None)
    assert norm.std(norm.running_var).item() == 2
    assert ours.layers[0].neuron.threshold == 2 * 80  # type: ignore[union-attr]
    spikes = raster(4, 30)
    with torch.no_grad():
        theirs = stack[0](torch.from_numpy(spikes).float().movedim(1, -1)).movedim(-1, 1).numpy()[:, 1:]
    trace = Engine(ours).traces(spikes)[0]
    assert theirs.mean() > 0.01
    first = (theirs != trace.s[:, :-1]).argmax(1)  # after a difference states go apart
    for image, neuron_number in zip(*np.nonzero((theirs != trace.s[:, :-1]).any(1)), strict=True):
        at = trace.v[image, first[image, neuron_number], neuron_number]
        assert abs(int(at) - (160 << 6)) <= 2 * 20 or at == 0  # a unit of slayer's is two of ours, each step


def test_every_weight_of_the_register_stays(tmp_path: Path) -> None:
    module = slayer()
    stack = trained(module.block.cuba.Dense(dict(NEURON), 6, 4), shape=(6,))
    stack[0].synapse.weight.data.uniform_(-9, 9)  # type: ignore[union-attr]
    ours = network(stack, None)
    assert ours.layers[0].weight.min() == -256  # type: ignore[union-attr]
    same(ours, written(stack, tmp_path / "a.net", (6,)))


def test_an_input_block_tells_the_shape_and_floats_are_quantized_by_us(tmp_path: Path) -> None:
    cuba = slayer().block.cuba
    stack = trained(cuba.Input(delay_shift=False), cuba.Conv(dict(NEURON), 2, 3, 2, pre_hook_fx=None), shape=(2, 4, 3))
    described = from_slayer(stack)
    assert described.input_shape == (2, 4, 3)
    assert described.synapses[0].scale is None
    integer, (entry,) = quantize(described)
    assert entry.bound_by == "weight"
    assert np.abs(integer.layers[0].weight).max() == 254  # type: ignore[union-attr]


def dense(**neuron: Any) -> nn.Module:
    return slayer().block.cuba.Dense(dict(NEURON) | neuron, 4, 3)  # type: ignore[no-any-return]


REFUSED: dict[str, tuple[Any, type[EsvaeError], str]] = {
    "graded spikes": (
        lambda: dense(graded_spike=True),
        UnsupportedLayerError,
        "graded spikes are not supported; supported",
    ),
    "by neuron": (
        lambda: dense(shared_param=False),
        UnsupportedLayerError,
        "decays of its own for each neuron are not",
    ),
    "sigma-delta": (
        lambda: slayer().block.sigma_delta.Dense({"threshold": 1.0, "activation": torch.relu}, 4, 3),
        UnsupportedLayerError,
        r"block 0 \(slayer\.block\.sigma_delta\.Dense\): not supported; supported are slayer\.block\.cuba\.Dense",
    ),
    "resonator": (
        lambda: slayer().block.rf.Dense({"threshold": 1.0, "period": 4.0, "decay": 0.1}, 4, 3),
        UnsupportedLayerError,
        r"\(slayer\.block\.rf\.Dense\): not supported",
    ),
    "adaptive": (
        lambda: slayer().block.alif.Dense(
            {
                "threshold": 1.0,
                "threshold_step": 0.1,
                "current_decay": 0.1,
                "voltage_decay": 0.1,
                "threshold_decay": 0.1,
                "refractory_decay": 0.1,
            },
            4,
            3,
        ),
        UnsupportedLayerError,
        r"\(slayer\.block\.alif\.Dense\): not supported",
    ),
    "pooling": (
        lambda: slayer().block.cuba.Pool(dict(NEURON), 2, stride=2),
        UnsupportedLayerError,
        r"cuba\.Pool\): not supp",
    ),
    "recurrent": (
        lambda: slayer().block.cuba.Recurrent(dict(NEURON), 4, 3),
        UnsupportedLayerError,
        r"Recurrent\): not supp",
    ),
    "affine": (
        lambda: slayer().block.cuba.Affine(dict(NEURON), 4, 3),
        UnsupportedLayerError,
        r"cuba\.Affine\): not supported",
    ),
    "input neurons": (
        lambda: slayer().block.cuba.Input(dict(NEURON)),
        UnsupportedLayerError,
        "input neurons are not supported",
    ),
    "a torch module": (lambda: nn.Linear(4, 3), UnsupportedLayerError, r"block 0 \(torch\..*Linear\): not supported"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_counterpart_is_refused(name: str) -> None:
    make, error, told = REFUSED[name]
    with pytest.raises(error, match=told) as caught:
        from_slayer([make()], (4,))
    assert "\n" not in str(caught.value)


def test_delays_of_convolutions_and_missing_shapes_are_refused() -> None:
    stack = trained(slayer().block.cuba.Conv(dict(NEURON), 2, 3, 2, delay=True), shape=(2, 4, 3))
    stack[0].delay.delay.data = torch.full((3,), 2.5)  # type: ignore[union-attr]
    with pytest.raises(UnsupportedLayerError, match="delays of a convolution: netx passes over them"):
        from_slayer(stack, (2, 4, 3))
    with pytest.raises(ConfigError, match=r"give input_shape=\(C, H, W\)"):
        from_slayer(stack)
    with pytest.raises(ConfigError, match="no blocks"):
        from_slayer([])
    block = slayer().block.cuba.Dense(dict(NEURON), 4, 3, delay=True)
    block.delay.max_delay = 80
    block.delay.delay.data = torch.full((3,), 70.0)
    with pytest.raises(HardwareRangeError, match=r"block 0 .*delay 70 outside \[0, 62\]"):
        from_slayer([block])
