"""Pools folded into kernels: the sums are those of torch's pools and convolutions, one after the other, whole number
for whole number."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from esvae.errors import UnsupportedLayerError
from export.float_simulate import simulate_float
from export.frontends.nir import from_nir
from export.nir.read import NirGraph
from nir_graphs import chained, node

Nodes = list[tuple[str, dict[str, Any]]]


def graph_of(shape: tuple[int, ...], nodes: Nodes) -> NirGraph:
    """A chain of nodes, named by their place, from 1 on."""
    return chained(*(node(str(i), kind, **values) for i, (kind, values) in enumerate(nodes, 1)), shape=shape)


def sums(shape: tuple[int, ...], nodes: Nodes, x: np.ndarray) -> np.ndarray:
    """What the graph makes of spikes ``(images, *shape)`` in one step."""
    network = from_nir(graph_of(shape, nodes))
    return simulate_float(network, x[:, None])[-1].v[:, 0]


def by_torch(nodes: Nodes, x: np.ndarray) -> torch.Tensor:
    y = torch.from_numpy(x).double()
    for kind, values in nodes:
        if kind == "Flatten":
            y = y.flatten(1)
        elif kind == "Affine":
            y = functional.linear(y, *(torch.from_numpy(values[key]) for key in ("weight", "bias")))
        elif kind == "Conv2d":
            keys = ("stride", "padding", "dilation", "groups")
            y = functional.conv2d(
                y, torch.from_numpy(values["weight"]), torch.from_numpy(values["bias"]), *(values[k] for k in keys)
            )
        else:
            size = values["kernel_size"]
            y = functional.avg_pool2d(y, size, values["stride"], values["padding"]) * (size[0] * size[1])
    return y


def pairs(low: int, high: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def pools(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    size = draw(pairs(1, 3))
    padding = (draw(st.integers(0, size[0] // 2)), draw(st.integers(0, size[1] // 2)))
    return "SumPool2d", {"kernel_size": size, "stride": draw(pairs(1, 3)), "padding": padding}


@st.composite
def chains(draw: st.DrawFn) -> tuple[tuple[int, ...], Nodes, np.ndarray]:
    """Pools around a convolution, or before a dense layer."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    groups = draw(st.integers(1, 2))
    shape = (2 * groups, *draw(pairs(7, 10)))
    x = rng.integers(0, 2, (2, *shape)).astype(np.uint8)
    nodes = [draw(pools()) for _ in range(draw(st.integers(0, 2)))]
    if draw(st.booleans()):
        weight = rng.integers(-9, 10, (2 * groups, 2, *draw(pairs(1, 3)))).astype(np.float64)
        held = {"weight": weight, "bias": rng.integers(-9, 10, 2 * groups).astype(np.float64), "groups": groups}
        nodes.append(
            (
                "Conv2d",
                held | {"stride": draw(pairs(1, 2)), "padding": draw(pairs(0, 2)), "dilation": draw(pairs(1, 2))},
            )
        )
        nodes += [draw(pools()) for _ in range(draw(st.integers(0, 1)))]
    else:
        try:
            features = by_torch(nodes, x).flatten(1).shape[1]
        except RuntimeError:
            features = 1
        nodes.append(("Flatten", {}))
        nodes.append(
            (
                "Affine",
                {
                    "weight": rng.integers(-9, 10, (3, features)).astype(np.float64),
                    "bias": rng.integers(-9, 10, 3).astype(np.float64),
                },
            )
        )
    return shape, nodes, x


@given(chains())
def test_sums_are_torchs(drawn: tuple[tuple[int, ...], Nodes, np.ndarray]) -> None:
    shape, nodes, x = drawn
    try:
        wanted = by_torch(nodes, x)
    except RuntimeError:  # a window that is larger than the map
        return
    found = None
    with contextlib.suppress(UnsupportedLayerError):
        found = sums(shape, nodes, x)
    if found is None:
        assert any("padding" in values and any(values["padding"]) for _, values in nodes), "nothing is padded"
    else:
        assert (found == wanted.numpy()).all()


def test_a_pool_before_a_padded_kernel_is_one_kernel() -> None:
    rng = np.random.default_rng(0)
    weight = rng.integers(-9, 10, (3, 2, 3, 3)).astype(np.float64)
    conv = {"weight": weight, "bias": np.zeros(3), "stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    pool = {"kernel_size": (2, 2), "stride": (2, 2), "padding": (0, 0)}
    network = from_nir(graph_of((2, 8, 8), [("SumPool2d", pool), ("Conv2d", conv)]))
    (layer,) = network.synapses
    assert layer.synapse.weight.shape == (3, 2, 6, 6)
    assert (layer.synapse.stride, layer.synapse.padding) == ((2, 2), (2, 2))  # type: ignore[union-attr]


def test_what_no_kernel_does_is_refused() -> None:
    conv = {
        "weight": np.ones((1, 1, 3, 3)),
        "bias": np.zeros(1),
        "stride": (1, 1),
        "padding": (1, 1),
        "dilation": (1, 1),
        "groups": 1,
    }
    pool = {"kernel_size": (3, 3), "stride": (2, 2), "padding": (0, 0)}
    with pytest.raises(
        UnsupportedLayerError, match=r"node '2' \(Conv2d\): a pool of 3 with stride 2 .* kernel padded by 1"
    ):
        from_nir(graph_of((1, 9, 9), [("SumPool2d", pool), ("Conv2d", conv)]))
    padded = {"kernel_size": (2, 2), "stride": (2, 2), "padding": (1, 1)}
    with pytest.raises(UnsupportedLayerError, match=r"node '2' \(SumPool2d\): a padded pool between synapses"):
        from_nir(graph_of((1, 9, 9), [("Conv2d", conv), ("SumPool2d", padded)]))
    with pytest.raises(
        UnsupportedLayerError, match=r"node '1' \(SumPool2d\): its window \(9, 9\) is larger than the map"
    ):
        from_nir(graph_of((1, 8, 8), [("SumPool2d", {"kernel_size": (9, 9), "stride": (1, 1), "padding": (0, 0)})]))


def test_an_average_is_a_sum_over_its_size() -> None:
    x = np.random.default_rng(1).integers(0, 2, (2, 2, 6, 6)).astype(np.uint8)
    pool = {"kernel_size": (2, 2), "stride": (2, 2), "padding": (0, 0)}
    found = sums((2, 6, 6), [("AvgPool2d", pool)], x)
    assert (found == functional.avg_pool2d(torch.from_numpy(x).double(), 2).numpy()).all()
