"""Delays at synapses that hold none: the layer fires earlier, and a dense layer behind it makes up for the steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from esvae.errors import UnsupportedLayerError
from export.float_simulate import simulate_float
from export.frontends.nir import NirMeaning, from_nir, read_nir
from export.ir import Conv, Dense, RecurrentDense
from export.nir.read import NirGraph
from nir_graphs import chained, node

DT, STEPS = 0.25, 14
LIF = {"tau": [1.0], "r": [4.0], "v_leak": [0.0], "v_threshold": [1.0]}
MAP, KERNEL = (1, 3, 3), (2, 1, 2, 2)
BACK = np.random.default_rng(4).normal(0.2, 0.7, (8, 8))


def graph(first: int, second: int, *, bias: float = 0.0, scatter: int = 0, recurrent: bool = False) -> NirGraph:
    """A delay of ``first`` steps, a convolution, neurons, a delay of ``second`` steps, a matrix, neurons."""
    rng = np.random.default_rng(3)
    delays = DT * (first + scatter * (np.arange(9) == 0)).reshape(MAP)
    kernel, matrix = rng.normal(0.6, 0.5, KERNEL), rng.normal(0.5, 0.5, (8, 8))
    return chained(
        node("d1", "Delay", delay=delays),
        node("conv", "Conv2d", weight=kernel, bias=[bias, 0.0], stride=1, padding=0, dilation=1, groups=1),
        node("lif1", "LIF", **LIF),
        node("flat", "Flatten", start_dim=0),
        node("d2", "Delay", delay=[DT * second]),
        node("w", "Linear", weight=matrix),
        node("lif2", "LIF", **LIF),
        node("w3", "Linear", weight=matrix),
        node("lif3", "LIF", **LIF),
        shape=MAP,
        more=(node("back", "Linear", weight=BACK),) if recurrent else (),
        edges="lif2>back>lif2" if recurrent else "",
    )


def equations(found: NirGraph, raster: np.ndarray, *, recurrent: bool) -> list[np.ndarray]:
    """``(images, T, neurons)`` spikes of every layer by NIR's equations, delays where the graph has them."""
    spikes: list[np.ndarray] = []
    x = raster.astype(np.float64)
    for name, each in found.nodes.items():
        values = each.values  # type: ignore[union-attr]
        if name.startswith("d"):
            steps = round(float(values["delay"].reshape(-1)[0]) / DT)
            x = np.concatenate([np.zeros_like(x[:, :steps]), x[:, : STEPS - steps]], axis=1)
        elif name == "conv":
            sums = functional.conv2d(torch.from_numpy(x.reshape(-1, *MAP)), torch.from_numpy(values["weight"]))
            x = sums.numpy().reshape(len(x), STEPS, -1)
        elif name.startswith("w"):
            x = x @ values["weight"].T
        elif name.startswith("lif"):
            v, s = np.zeros_like(x[:, 0]), np.zeros_like(x[:, 0])
            fired = []
            for step in range(STEPS):
                drive = x[:, step] + (s @ BACK.T if recurrent and name == "lif2" else 0)
                v = v * (1 - DT) + drive
                s = (v > 1).astype(np.float64)
                v = v * (1 - s)
                fired.append(s)
            x = np.stack(fired, axis=1)
            spikes.append(x)
    return spikes


@given(first=st.integers(0, 4), second=st.integers(0, 4), recurrent=st.booleans(), seed=st.integers(0, 2**16))
def test_a_dense_layer_behind_makes_up_for_the_steps(first: int, second: int, recurrent: bool, seed: int) -> None:
    found = graph(first, second, recurrent=recurrent)
    raster = (np.random.default_rng(seed).random((2, STEPS, *MAP)) < 0.5).astype(np.uint8)
    source = read_nir(found, NirMeaning(DT))
    network = source.network
    conv, dense, last = (layer.synapse for layer in network.synapses)
    assert isinstance(conv, Conv)
    assert isinstance(last, Dense)
    assert isinstance(dense, RecurrentDense if recurrent else Dense)
    early = [first, first + second, 0] if recurrent else [first, 0, 0]
    expected = equations(found, raster, recurrent=recurrent)
    ours = simulate_float(network, raster)
    for layer, steps, fired, by_equations in zip(range(3), early, ours, expected, strict=True):
        flat = fired.s.reshape(2, STEPS, -1)
        assert (flat[:, : STEPS - steps] == by_equations[:, steps:]).all(), layer
    said = [note for note in source.notes if "earlier than in the graph" in note]
    assert len(said) == sum(steps > 0 for steps in early)


def test_what_cannot_be_made_up_for_is_refused() -> None:
    with pytest.raises(UnsupportedLayerError, match=r"'lif1' \(LIF\): delays of 2 beside a bias"):
        from_nir(graph(2, 0, bias=0.5), dt=DT)
    with pytest.raises(UnsupportedLayerError, match=r"'lif1' \(LIF\): delays that differ, 2 to 5 steps"):
        from_nir(graph(2, 0, scatter=3), dt=DT)
    assert from_nir(graph(0, 3, bias=0.5), dt=DT).synapses[1].synapse.delay is not None  # type: ignore[union-attr]
