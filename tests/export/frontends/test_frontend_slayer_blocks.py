"""slayer's affine and recurrent blocks and delays in the twin: slayer's spikes in every layer, and what is refused."""

from __future__ import annotations

import importlib.util
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from slayer_stacks import NEURON, fires_the_same, forward, layer_spikes, network, raster, slayer, trained
from torch import nn

from esvae.errors import ConfigError, EsvaeError, HardwareRangeError, UnsupportedLayerError
from export.frontends import from_slayer
from export.ir import Dense, ImageReadout, RecurrentDense
from sim.twin.engine import Engine

pytestmark = [
    pytest.mark.lava,
    pytest.mark.filterwarnings("ignore:torch.nn.utils.weight_norm is deprecated:UserWarning"),
    pytest.mark.skipif(importlib.util.find_spec("lava") is None, reason="needs lava-dl in this interpreter"),
]


@pytest.mark.parametrize("norm", [False, True])
def test_an_affine_block_gives_its_potentials(norm: bool) -> None:
    module = slayer()
    neuron = NEURON | ({"norm": module.neuron.norm.MeanOnlyBatchNorm} if norm else {})
    stack = trained(
        module.block.cuba.Dense(dict(NEURON), 6, 9, weight_scale=4, delay_shift=False),
        module.block.cuba.Affine(dict(neuron), 9, 4, weight_scale=4), shape=(6,),
    )  # fmt: skip
    ours = network(stack, None)
    spikes = raster(2, 6)
    _, last = layer_spikes(stack, spikes)
    trace = Engine(ours).traces(spikes)[1]
    assert not trace.s.any()
    assert np.abs(trace.v).max() > 64
    assert np.array_equal(np.rint(last * 64 * 64).astype(int), trace.v)
    assert from_slayer(stack, readout=ImageReadout(1.0, (4, 1, 1))).readout is not None


def test_an_affine_block_without_dynamics_gives_the_sums_that_enter_it() -> None:
    cuba = slayer().block.cuba
    block = cuba.Affine(dict(NEURON), 6, 4, weight_scale=4, dynamics=False)
    spikes = raster(2, 6)
    (theirs,) = layer_spikes(nn.ModuleList([block]), spikes)
    (trace,) = Engine(network(nn.ModuleList([block]), None)).traces(spikes)
    assert np.array_equal(np.rint(theirs * 64 * 64).astype(int), trace.v)


def rested(stack: nn.ModuleList) -> nn.ModuleList:
    """Its recurrent blocks, which go on from the batch before, back at rest."""
    for block in stack:
        for name in ("current_state", "voltage_state"):
            setattr(block.neuron, name, torch.zeros(1))
    return stack


@pytest.mark.parametrize("norm", [False, True])
def test_recurrent_blocks(norm: bool) -> None:
    module = slayer()
    neuron = NEURON | ({"norm": module.neuron.norm.MeanOnlyBatchNorm, "current_decay": 1.0} if norm else {})
    stack = trained(
        module.block.cuba.Recurrent(dict(neuron), 6, 9, weight_scale=4, delay_shift=False),
        module.block.cuba.Recurrent(dict(neuron), 9, 7, weight_scale=4), shape=(6,),
    )  # fmt: skip
    ours = network(stack, None)
    assert isinstance(ours.layers[0], RecurrentDense)
    assert np.abs(ours.layers[0].recurrent).max() > 60
    fires_the_same(rested(stack), ours, 1, [0, 1])
    stack.append(delayed(module.block.cuba.Recurrent(dict(NEURON), 7, 2, weight_scale=8, delay=True), 2.0, 2.0))
    fires_the_same(rested(stack), network(stack, None), 2, [0, 1, 4])


def test_a_bias_that_lasts_in_a_recurrent_block_is_told() -> None:
    module = slayer()
    neuron = NEURON | {"norm": module.neuron.norm.MeanOnlyBatchNorm}
    stack = trained(module.block.cuba.Recurrent(neuron, 6, 9, weight_scale=4), shape=(6,))
    with pytest.warns(UserWarning, match="lets its norm's bias last with the current"):
        ours = network(stack, None)
    with pytest.raises(AssertionError):
        fires_the_same(rested(stack), ours, 1)


def delayed(block: Any, *steps: float) -> Any:
    block.delay.delay.data = torch.tensor(steps)
    block.delay.init = True
    return block


def test_equal_delays_of_convolutions_shift_time_alone() -> None:
    cuba = slayer().block.cuba
    stack = trained(
        cuba.Conv(dict(NEURON), 2, 3, 2, weight_scale=4, delay=True),
        cuba.ConvT(dict(NEURON), 3, 3, 2, weight_scale=4, delay=True),
        cuba.Pool(dict(NEURON), 2, weight_scale=2, delay=True), shape=(2, 4, 3),
    )  # fmt: skip
    for block, steps in zip(stack, (2.5, 0.0, 3.0), strict=True):
        delayed(block, *[steps] * 3)
    fires_the_same(stack, network(stack, (2, 4, 3)), 1, [3, 4, 8])


@pytest.mark.parametrize("norm", [False, True])
def test_delays_that_differ_go_to_the_dense_block_behind(norm: bool) -> None:
    module = slayer()
    cuba = module.block.cuba
    biased = NEURON | ({"norm": module.neuron.norm.MeanOnlyBatchNorm} if norm else {})
    stack = trained(
        cuba.Conv(dict(biased), 2, 3, 2, weight_scale=4, delay=True, delay_shift=False), cuba.Flatten(),
        cuba.Dense(dict(biased), 18, 6, weight_scale=4, delay=True, delay_shift=False),
        cuba.Dense(dict(NEURON), 6, 4, weight_scale=16, delay=True, delay_shift=False), shape=(2, 4, 3),
    )  # fmt: skip
    for block, steps in zip((stack[0], stack[2], stack[3]), ((0, 3, 1), (1, 0, 2, 0, 5, 1), (4, 0, 1, 2)), strict=True):
        delayed(block, *map(float, steps))
    stack[3].synapse.weight.data.uniform_(-1, 3)  # type: ignore[union-attr, operator]
    ours = network(stack, (2, 4, 3))
    first = ours.layers[2]
    assert isinstance(first, Dense)
    assert first.delay is not None
    assert set(first.delay[1].tolist()) == {0, 1, 3}
    spikes = raster(3, 2, 4, 3)
    told = layer_spikes(stack, spikes)
    for block in (stack[0], *([stack[2]] if norm else [])):
        block.delay = None  # type: ignore[assignment]
    undelayed = [layer_spikes(stack, spikes)[0], told[1], told[2]]
    if norm:  # the second block's delays lie in the third
        undelayed[1] = stack[2].neuron(stack[2].synapse(moved(ours, spikes))).movedim(-1, 1).detach().numpy()  # type: ignore[operator]
    for theirs, trace in zip(undelayed, Engine(ours).traces(spikes), strict=True):
        assert theirs.mean() > 0.01
        assert np.array_equal(theirs.reshape(trace.s.shape), trace.s)


def moved(ours: Any, spikes: np.ndarray) -> torch.Tensor:
    """The first layer's spikes as they arrive at the second, flattened, ``(images, features, steps)``."""
    arriving = np.zeros((*spikes.shape[:2], 18), np.float32)
    held = ours.layers[2].delay[0]
    flat = Engine(ours).traces(spikes)[0].s.reshape(*spikes.shape[:2], -1)
    for feature, steps in enumerate(held):
        arriving[:, steps:, feature] = flat[:, : flat.shape[1] - steps, feature]
    return torch.from_numpy(arriving).movedim(1, -1)


def test_delays_beside_a_bias_at_the_end_are_told() -> None:
    module = slayer()
    neuron = NEURON | {"norm": module.neuron.norm.MeanOnlyBatchNorm}
    stack = trained(module.block.cuba.Dense(dict(neuron), 6, 3, weight_scale=4, delay=True), shape=(6,))
    delayed(stack[0], 1.0, 0.0, 2.0)
    with pytest.warns(UserWarning, match="delays beside a bias: slayer holds back what the block sends"):
        described = from_slayer(stack)
    assert "delays beside a bias" in described.provenance["differs from slayer"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from_slayer([delayed(stack[0], 2.0, 2.0, 2.0)])


def dense(**neuron: Any) -> nn.Module:
    return slayer().block.cuba.Dense(dict(NEURON) | neuron, 4, 3)  # type: ignore[no-any-return]


def by_channel() -> nn.Module:
    block = dense(shared_param=False, voltage_decay=(0.1, 0.3))
    forward(nn.ModuleList([block]), torch.zeros(1, 4, 2))
    return block


def test_decays_by_channel_that_are_equal_are_one_decay() -> None:
    block: Any = by_channel()
    for decay, value in ((block.neuron.voltage_decay, 400.0), (block.neuron.current_decay, 1024.2)):
        decay.data = torch.full((3,), value)
    neuron = network(nn.ModuleList([block]), None).layers[0].neuron  # type: ignore[union-attr]
    assert (neuron.voltage_decay, neuron.current_decay) == (400, 1024)


def test_masks_and_dropout_and_logs_are_slayers() -> None:
    cuba = slayer().block.cuba
    mask = torch.from_numpy(np.random.default_rng(0).random((5, 6)) < 0.5).float()
    neuron = NEURON | {"dropout": slayer().neuron.Dropout(0.5)}
    stack = trained(cuba.Dense(neuron, 6, 5, weight_scale=4, mask=mask), shape=(6,))
    block: Any = stack[0]
    block.synapse.weight.data.uniform_(-2, 2)  # what the mask hides is not zero
    ours = network(stack, None)
    assert not ours.layers[0].weight[mask.numpy() == 0].any()  # type: ignore[union-attr]
    fires_the_same(stack, ours, 1)
    block.count_log = True
    assert np.array_equal(network(stack, None).layers[0].weight, ours.layers[0].weight)  # type: ignore[union-attr]


def test_a_hook_of_ones_own_is_applied() -> None:
    cuba = slayer().block.cuba
    coarse = cuba.Dense(dict(NEURON), 6, 5, weight_scale=4, pre_hook_fx=lambda w: torch.round(w * 4) / 4)
    ours = network(trained(coarse, shape=(6,)), None)
    assert not (ours.layers[0].weight % 16).any()  # type: ignore[union-attr]
    fires_the_same(nn.ModuleList([coarse]), ours, 1)
    third = cuba.Dense(dict(NEURON), 6, 5, pre_hook_fx=lambda w: torch.round(w * 3) / 3)
    assert from_slayer([third]).synapses[0].scale is None
    broken = cuba.Dense(dict(NEURON), 6, 5, pre_hook_fx=lambda w: w @ torch.ones(3))
    with pytest.raises(ConfigError, match="its pre_hook_fx fails on its weights"):
        from_slayer([broken])


REFUSED: dict[str, tuple[Any, type[EsvaeError], str]] = {
    "graded spikes": (
        lambda: dense(graded_spike=True),
        UnsupportedLayerError,
        "graded spikes: each carries the potential",
    ),
    "by neuron": (
        lambda: by_channel(),
        UnsupportedLayerError,
        r"voltage_decay runs from \d+ to \d+ of 4096 over its channels",
    ),
    "sigma-delta": (
        lambda: slayer().block.sigma_delta.Dense({"threshold": 1.0, "activation": torch.relu}, 4, 3),
        UnsupportedLayerError,
        r"block 0 \(slayer\.block\.sigma_delta\.Dense\): not supported; .* takes sigma-delta blocks; supp",
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
    "recurrent, normed": (
        lambda: slayer().block.cuba.Recurrent(dict(NEURON), 4, 3, weight_norm=True),
        UnsupportedLayerError,
        "slayer does not apply to the weights that recur",
    ),
    "recurrent, delayed": (
        lambda: delayed(slayer().block.cuba.Recurrent(dict(NEURON), 4, 3, delay=True), 1.0, 2.0, 0.0),
        UnsupportedLayerError,
        "delays that differ, 0 to 2 steps, and no dense block behind it",
    ),
    "behind affine": (
        lambda: nn.Sequential(slayer().block.cuba.Affine(dict(NEURON), 4, 3), dense()),
        UnsupportedLayerError,
        "follows Affine, whose potentials are no spikes",
    ),
    "average": (
        lambda: slayer().block.cuba.Average(2),
        UnsupportedLayerError,
        "averages spikes into rates, which no spike carries",
    ),
    "k winners": (
        lambda: slayer().block.cuba.KWTA(dict(NEURON), 4, 3, 1),
        UnsupportedLayerError,
        "inhibit each other in slayer's own loop",
    ),
    "state that lasts": (
        lambda: dense(persistent_state=True),
        UnsupportedLayerError,
        "persistent_state: its neurons go on from the batch before",
    ),
    "a dropout of one's own": (
        lambda: dense(dropout=lambda x: x),
        UnsupportedLayerError,
        "dropout function is no torch module of dropout",
    ),
    "a norm that saw nothing": (
        lambda: dense(norm=slayer().neuron.norm.MeanOnlyBatchNorm),
        ConfigError,
        "its norm has seen no data: 1 running mean for 3 outputs; train or run the norm once",
    ),
    "another norm": (
        lambda: dense(norm=lambda: nn.BatchNorm1d(3)),
        UnsupportedLayerError,
        "norm BatchNorm1d is not supported; supported are MeanOnly",
    ),
    "a mask that is lost": (
        lambda: slayer().block.cuba.Dense(dict(NEURON), 4, 3, weight_norm=True, mask=torch.ones(3, 4)),
        UnsupportedLayerError,
        "a mask beside weight norm",
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
    made = make()
    with pytest.raises(error, match=told) as caught:
        from_slayer(made if isinstance(made, nn.Sequential) else [made], (4,))
    assert "\n" not in str(caught.value)


def test_delays_that_nothing_can_hold_and_missing_shapes_are_refused() -> None:
    cuba = slayer().block.cuba
    stack = trained(cuba.Conv(dict(NEURON), 2, 3, 2, delay=True), shape=(2, 4, 3))
    delayed(stack[0], 2.0, 1.0, 0.0)
    with pytest.raises(UnsupportedLayerError, match="delays that differ, 0 to 2 steps, and no dense block behind it"):
        from_slayer(stack, (2, 4, 3))
    with pytest.raises(ConfigError, match=r"give input_shape=\(C, H, W\)"):
        from_slayer(stack)
    with pytest.raises(ConfigError, match="no blocks"):
        from_slayer([])
    with pytest.raises(ConfigError, match="the last block fires, so it holds no picture"):
        from_slayer([dense()], readout=ImageReadout(1.0, (3, 1, 1)))
    block: Any = cuba.Dense(dict(NEURON), 4, 3, delay=True)
    block.delay.max_delay = 80
    with pytest.raises(HardwareRangeError, match=r"block 0 .*delay 70 outside \[0, 62\]"):
        from_slayer([delayed(block, 70.0, 70.0, 70.0)])
    pair = [delayed(cuba.Dense(dict(NEURON), 4, 4, delay=True), *[40.0] * 4) for _ in range(2)]
    assert from_slayer(pair).synapses[1].synapse.delay.max() == 40  # type: ignore[union-attr]
