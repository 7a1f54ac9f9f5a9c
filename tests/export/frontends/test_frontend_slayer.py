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
from slayer_stacks import NEURON, fires_the_same, fires_the_same_in_staggered_time, network, raster, slayer, trained
from torch import nn

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
    fires_the_same(stack, ours, 1, [0, 0, 0] if "delay_shift" in more else None)


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
    with pytest.warns(
        UserWarning, match=r"block 2 \(slayer.block.cuba.Dense\): in slayer its bias adds up for 1 steps"
    ):
        ours = network(stack, (2, 5, 5))
    assert "block 2" in ours.provenance["differs from slayer"]
    assert ours.layers[0].bias.any()  # type: ignore[union-attr]
    same(ours, written(stack, tmp_path / "a.net", (2, 5, 5)))
    fires_the_same_in_staggered_time(stack, ours, 3)
    for block in stack:
        block.delay_shift = False  # type: ignore[assignment]
    fires_the_same(stack, network(stack, (2, 5, 5)), 3, [0, 0])


def test_the_power_of_two_of_a_norm_is_in_the_threshold(tmp_path: Path) -> None:
    module = slayer()
    neuron = NEURON | {"norm": module.neuron.norm.WgtScaleBatchNorm}
    stack = trained(module.block.cuba.Dense(dict(neuron), 30, 8, weight_scale=8), shape=(30,), steps=20)
    norm = stack[0].neuron.norm  # type: ignore[union-attr]
    norm.running_var.fill_(3.0)
    with pytest.warns(UserWarning, match="slayer rounds the potential after dividing by 2, the chip before"):
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
