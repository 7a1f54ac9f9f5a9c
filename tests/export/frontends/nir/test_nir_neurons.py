"""Neurons as NIR's equations have them: random graphs against a plain Euler simulation of those, spike for spike;
and how the time step is found."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from esvae.errors import ConfigError, NetFileError, UnsupportedLayerError
from export.float_simulate import simulate_float
from export.frontends.nir import NirMeaning, from_nir, read_nir
from export.frontends.nir.convention import time_step
from export.nir.read import NirGraph, NirNode
from nir_graphs import chained, node

DT = 0.25
STEPS, IMAGES = 12, 2


def euler(graph: NirGraph, order: list[str], raster: np.ndarray) -> list[np.ndarray]:
    """Spikes of each layer of neurons by NIR's equations, one Euler step of ``DT`` a step; the current's first.

    ``tau_syn di/dt = w_in x - i``, ``tau dv/dt = v_leak - v + r i``, spikes above ``v_threshold``, then ``v_reset``,
    which is where it starts.
    """
    spikes: list[np.ndarray] = []
    x = raster.astype(np.float64)
    held = np.zeros_like(x)
    for name in order:
        values = graph.nodes[name].values  # type: ignore[union-attr]
        kind = graph.nodes[name].kind  # type: ignore[union-attr]
        if kind in ("Linear", "Affine"):
            x = x @ values["weight"].T + values.get("bias", 0.0)
        elif kind == "Scale":
            x = x * values["scale"]
        elif kind == "Delay":
            held = np.zeros_like(x)
            for neuron, steps in enumerate(np.rint(values["delay"] / DT).astype(int)):
                held[:, steps:, neuron] = x[:, : STEPS - steps, neuron]
            x = held
        else:
            recurrent = graph.nodes.get(f"{name}.back")
            x = neurons(kind, values, x, None if recurrent is None else recurrent.values)  # type: ignore[union-attr]
            spikes.append(x.astype(np.uint8))
    return spikes


def neurons(kind: str, p: Any, drive: np.ndarray, back: Any) -> np.ndarray:
    v = np.broadcast_to(p["v_reset"], drive[:, 0].shape).copy()
    i, s = np.zeros_like(v), np.zeros_like(v)
    found = []
    for step in range(STEPS):
        x = drive[:, step]
        if back is not None:
            x = x + s @ back["weight"].T + back.get("bias", 0.0)
        if kind == "CubaLIF":
            i = i + DT / p["tau_syn"] * (p["w_in"] * x - i)
            v = v + DT / p["tau_mem"] * (p["v_leak"] - v + p["r"] * i)
        elif kind == "LIF":
            v = v + DT / p["tau"] * (p["v_leak"] - v + p["r"] * x)
        else:
            v = v + DT * p["r"] * x
        s = (v > p["v_threshold"]).astype(np.float64)
        v = np.where(s > 0, p["v_reset"], v)
        found.append(s)
    return np.stack(found, 1)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[NirGraph, list[str], np.ndarray]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    inputs = width = draw(st.integers(1, 4))
    nodes: list[NirNode] = []
    back: list[str] = []
    more: list[NirNode] = []
    for layer in range(draw(st.integers(1, 3))):
        recurrent = draw(st.booleans())
        if not recurrent and draw(st.booleans()):
            nodes.append(node(f"{layer}.delay", "Delay", delay=DT * rng.integers(0, 4, width)))
        if draw(st.booleans()):
            nodes.append(node(f"{layer}.scale", "Scale", scale=rng.uniform(0.5, 2, width)))
        outputs = draw(st.integers(1, 5))
        bias = {"bias": rng.normal(0.1, 0.3, outputs)} if draw(st.booleans()) else {}
        nodes.append(
            node(f"{layer}.w", "Affine" if bias else "Linear", weight=rng.normal(0.3, 1.0, (outputs, width)), **bias)
        )
        if draw(st.booleans()):
            nodes.append(node(f"{layer}.gain", "Scale", scale=rng.uniform(0.5, 2, outputs)))
        name = f"{layer}.neurons"
        kind = draw(st.sampled_from(["LIF", "CubaLIF", "IF"]))
        nodes.append(node(name, kind, **parameters(draw, rng, kind, outputs)))
        if recurrent:
            held = {"bias": rng.normal(0, 0.2, outputs)} if draw(st.booleans()) else {}
            more.append(
                node(
                    f"{name}.back",
                    "Affine" if held else "Linear",
                    weight=rng.normal(0, 0.7, (outputs, outputs)),
                    **held,
                )
            )
            back.append(f"{name}>{name}.back>{name}")
        width = outputs
    graph = chained(*nodes, shape=(inputs,), more=tuple(more), edges=" ".join(back))
    return graph, [each.name for each in nodes], rng.integers(0, 2, (IMAGES, STEPS, inputs)).astype(np.uint8)


def parameters(draw: st.DrawFn, rng: np.random.Generator, kind: str, count: int) -> dict[str, np.ndarray]:
    """Time constants that a layer shares, and all else by neuron."""

    def spread(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, count)

    def shared() -> np.ndarray:
        return np.full(count, DT * float(rng.choice([1.0, 1.7, 4.0, 20.0])))

    reset = spread(-0.5, 0.2) if kind != "IF" and draw(st.booleans()) else np.zeros(count)
    held = {"r": spread(0.5, 3), "v_threshold": reset + spread(0.3, 1.2), "v_reset": reset}
    if kind == "IF":
        return held
    held["v_leak"] = reset + (spread(-0.2, 0.3) if draw(st.booleans()) else 0.0)
    if kind == "LIF":
        return held | {"tau": shared()}
    return held | {"tau_mem": shared(), "tau_syn": shared(), "w_in": spread(0.5, 3)}


@given(graphs())
def test_spikes_are_those_of_the_equations(drawn: tuple[NirGraph, list[str], np.ndarray]) -> None:
    graph, order, raster = drawn
    network = from_nir(graph, dt=DT, written_by="nir", reset="zero")
    wanted = euler(graph, order, raster)
    traces = simulate_float(network, raster)[-len(wanted) :]
    for trace, spikes in zip(traces, wanted, strict=True):
        assert (trace.s[..., : spikes.shape[2]] == spikes).all()
        assert trace.s[..., spikes.shape[2] :].all()  # one more that always fires


def lif(**values: Any) -> NirNode:
    held = {"tau": [1.0], "r": [1.0], "v_leak": [0.0], "v_threshold": [1.0], "v_reset": [0.0]} | values
    return node("lif", "LIF", **held)


WEIGHT = node("w", "Linear", weight=np.eye(2))


def test_subtracting_takes_the_threshold_when_its_writer_does() -> None:
    drive = np.ones((1, STEPS, 2), np.uint8)
    for writer, late in (("nir", False), ("snntorch", True)):
        graph = chained(WEIGHT, lif(tau=[4 * DT], r=[1.9], v_threshold=[0.9]))
        network = from_nir(graph, dt=DT, written_by=writer, reset="subtract")
        v, s, wanted = 0.0, 0.0, []
        for _ in range(STEPS):
            v = (0.75 * v - 0.9 * s if late else 0.75 * (v - 0.9 * s)) + 1.9 / 4
            s = float(v > 0.9)
            wanted.append(s)
        assert 2 < sum(wanted) < STEPS
        assert (simulate_float(network, drive)[-1].s[0, :, 0] == wanted).all()


def test_maps_whose_spikes_subtract_are_unrolled() -> None:
    rng = np.random.default_rng(7)
    nodes, x = [], rng.integers(0, 2, (IMAGES, STEPS, 1, 5, 4)).astype(np.uint8)
    for layer, inputs in enumerate((1, 2)):
        kernel, bias = rng.normal(0.2, 0.5, (2, inputs, 3, 3)), rng.normal(0.1, 0.1, 2)
        ones = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
        nodes.append(node(f"{layer}.w", "Conv2d", weight=kernel, bias=bias, **ones))
        nodes.append(node(f"{layer}.lif", "LIF", tau=[4 * DT], r=[4.0], v_leak=[0.0], v_threshold=[0.8]))
    network = from_nir(chained(*nodes, shape=(1, 5, 4)), dt=DT, written_by="nir", reset="subtract")
    assert [layer.kind for layer in network.layers] == ["conv", "flatten", "dense_rec", "dense_rec"]
    traces = simulate_float(network, x)[1:]
    raster = torch.from_numpy(x).double()
    for held, trace in zip(nodes[::2], traces, strict=True):
        weight, bias = (torch.from_numpy(held.array(key)) for key in ("weight", "bias"))
        sums = torch.stack([functional.conv2d(step, weight, bias, padding=1) for step in raster.transpose(0, 1)])
        v, spikes = torch.zeros_like(sums[0]), []
        for drive in sums:
            v = 0.75 * v + drive
            spikes.append((v > 0.8).double())
            v = v - 0.8 * spikes[-1]
        raster = torch.stack(spikes, 1)
        assert 0.05 < raster.mean() < 0.95
        count = raster[0, 0].numel()  # a channel that always fires comes behind them
        assert (trace.s[..., :count] == raster.flatten(2).numpy()).all()


def test_a_potential_without_memory_has_nothing_to_subtract_from() -> None:
    network = from_nir(chained(WEIGHT, lif(tau=[DT])), dt=DT, reset="subtract")
    assert network.synapses[0].synapse.kind == "dense"
    assert network.synapses[0].synapse.neuron.keep == 0


@pytest.mark.parametrize(
    ("graph", "meaning", "text"),
    [
        (
            chained(WEIGHT, lif(tau=[1.0, 2.0])),
            {},
            r"node 'lif' \(LIF\): tau is 1 to 2 within the layer; the chip has one for all its neurons",
        ),
        (chained(WEIGHT, lif(r=[0.0])), {}, r"node 'lif' \(LIF\): r is 0, expected above 0"),
        (
            chained(WEIGHT, lif(v_threshold=[0.0, 1.0])),
            {},
            r"v_threshold is 0 to 1; thresholds of 0 beside others cannot be scaled",
        ),
        (chained(WEIGHT, lif(v_reset=[2.0])), {}, r"v_threshold is -1 above its reset, expected 0 or more"),
        (
            chained(WEIGHT, lif(v_reset=[-1.0])),
            {"reset": "subtract"},
            r"v_reset is -1, and a spike subtracts; give --reset zero",
        ),
        (
            chained(
                WEIGHT,
                node(
                    "c", "CubaLIF", tau_mem=[1.0], tau_syn=[1.0], r=[1.0], v_leak=[0.0], w_in=[1.0], v_threshold=[1.0]
                ),
                shape=(2,),
            ),
            {"reset": "subtract"},
            r"node 'c' \(CubaLIF\): a spike subtracts the threshold beside a current that lasts, which no neuron of",
        ),
    ],
)
def test_what_no_layer_holds_is_refused(graph: NirGraph, meaning: dict[str, Any], text: str) -> None:
    with pytest.raises(UnsupportedLayerError, match=text):
        from_nir(graph, dt=DT, **meaning)


def test_a_step_longer_than_a_time_constant_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"node 'lif' \(LIF\): tau is shorter than the time step, dt / tau = 2"):
        from_nir(chained(WEIGHT, lif()), dt=2.0)


@pytest.mark.parametrize("odd", [np.zeros((2, 3)), np.zeros(3), np.zeros(0)])
def test_parameters_of_other_shapes_are_refused(odd: np.ndarray) -> None:
    text = r"node 'lif' \(LIF\): expected parameters of one shape, got tau \(2,\), .*v_reset"
    with pytest.raises(NetFileError, match=text):
        from_nir(chained(WEIGHT, lif(tau=[1.0, 1.0], v_reset=odd)), dt=DT)


def test_a_start_other_than_the_leak_is_told_of() -> None:
    source = read_nir(chained(WEIGHT, lif(v_reset=[-1.0])), NirMeaning(DT))
    assert "node 'lif': starts from its v_reset, -1, as after a spike" in source.notes


cuba = {"v_leak": [0.0], "v_threshold": [1.0]}


@pytest.mark.parametrize(
    ("nodes", "meaning", "dt", "writer", "sure"),
    [
        ([lif(tau=[1e-3], r=[10.0])], {}, 1e-4, "nir", True),
        ([node("c", "CubaLIF", tau_mem=[1e-3], tau_syn=[2e-4], r=[10.0], w_in=[2.0], **cuba)], {}, 1e-4, "nir", True),
        ([node("i", "IF", r=[1.0], v_threshold=[1.0])], {}, 1.0, "nir", True),
        ([lif(tau=[0.0025], r=[25 * math.exp(-0.04)])], {}, 1e-4, "rockpool", True),
        ([lif(tau=[0.0025], r=[25 * math.exp(-0.04)])], {"dt": 1e-4}, 1e-4, "rockpool", True),
        ([lif(tau=[0.01])], {}, 1e-3, "nir", False),
        ([lif(tau=[2e-4])], {}, 1e-4, "nir", False),
        ([lif(tau=[1e-5])], {"written_by": "norse"}, 1e-6, "norse", False),
        ([lif(tau=[0.01])], {"written_by": "spikingjelly"}, 1e-4, "spikingjelly", False),
        ([lif(tau=[5.0])], {"written_by": "sinabs"}, 1.0, "sinabs", True),
        ([lif(tau=[5.0])], {}, 1.0, "nir", False),
        ([lif(tau=[0.01])], {"dt": 0.002}, 0.002, "nir", True),
    ],
)
def test_the_time_step_is_told_by_the_gains(
    nodes: list[NirNode], meaning: dict[str, Any], dt: float, writer: str, sure: bool
) -> None:
    step = time_step(nodes, {}, **meaning)
    assert (step.dt, step.written_by, step.sure) == (pytest.approx(dt, rel=1e-9), writer, sure)


def test_metadata_says_the_step_where_it_is_there() -> None:
    assert time_step([lif(tau=[0.01])], {"dt": np.array(0.005)}).dt == 0.005


def test_gains_that_disagree_ask_for_the_step() -> None:
    with pytest.raises(ConfigError, match=r"tell different ones \(0.1, 0.25\); give it with --dt"):
        time_step([lif(tau=[1.0], r=[10.0]), lif(tau=[1.0], r=[4.0])], {})


@pytest.mark.parametrize(
    ("meaning", "text"),
    [
        ({"dt": 0.0}, "dt 0: expected a positive number"),
        ({"dt": math.nan}, "dt nan: expected a positive number"),
        ({"written_by": "brian"}, "written by brian: expected nir, snntorch"),
        ({"reset": "half"}, "reset half: expected zero, subtract"),
    ],
)
def test_what_is_given_wrongly_is_said(meaning: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        from_nir(chained(WEIGHT, lif()), **meaning)
