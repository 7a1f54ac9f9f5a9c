"""A Norse network exported: at float precision its own spikes, step by step, and what is refused with its reason."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from depth import examples
from esvae.errors import ConfigError, EsvaeError, NetFileError, UnsupportedLayerError
from export.float_simulate import simulate_float
from export.frontends import from_norse
from export.ir import ImageReadout
from export.passes import fold_norm, quantize
from sim.twin.engine import Engine

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    norse = pytest.importorskip("norse.torch")


def number(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def lif_box(keep: float = 0.25, threshold: float = 0.2, dt: float = 0.001) -> nn.Module:
    return norse.LIFBoxCell(norse.LIFBoxParameters(tau_mem_inv=number((1 - keep) / dt), v_th=number(threshold)), dt=dt)


def lif(keep: float, current_keep: float, threshold: float, *, time: bool = False) -> nn.Module:
    parameters = norse.LIFParameters(
        number((1 - current_keep) / 1e-3), number((1 - keep) / 1e-3), v_th=number(threshold)
    )
    return (norse.LIF if time else norse.LIFCell)(parameters)


def normed(norm: Any) -> Any:
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    nn.init.uniform_(norm.bias, -0.1, 0.2)
    nn.init.uniform_(norm.running_mean, -0.2, 0.2)
    nn.init.uniform_(norm.running_var, 0.1, 0.5)
    return norm


def run(module: nn.Module, spikes: np.ndarray) -> torch.Tensor:
    """What a network of cells gives at each step, ``(images, steps, ...)``."""
    state, seen = None, []
    for step in torch.from_numpy(spikes).double().transpose(0, 1):
        out, state = module(step, state)
        seen.append(out)
    return torch.stack(seen, 1)


def raster(seed: int, *shape: int) -> np.ndarray:
    return (np.random.default_rng(seed).random(shape) < 0.4).astype(np.uint8)


@settings(max_examples=examples(25))
@given(
    seed=st.integers(0, 99),
    keep=st.integers(0, 15).map(lambda n: n / 16),
    threshold=st.floats(0.05, 0.5),
    transposed=st.booleans(),
)
def test_each_layer_fires_as_norse_does(seed: int, keep: float, threshold: float, transposed: bool) -> None:
    torch.manual_seed(seed)
    first = (nn.ConvTranspose2d if transposed else nn.Conv2d)(2, 4, (3, 2), (2, 1), (1, 0))
    parts = [
        first,
        lif_box(keep, threshold),
        nn.Dropout(0.5),
        nn.Conv2d(4, 2, 2, bias=False),
        normed(nn.BatchNorm2d(2)),
    ]
    parts += [lif_box(0.5, threshold), nn.Flatten()]
    spikes = raster(seed, 3, 8, 2, 5, 6)
    with torch.no_grad():
        width = run(norse.SequentialState(*parts).double().eval(), spikes).shape[-1]
        parts += [nn.Linear(width, 5, bias=False), lif(0.75, 0.5, threshold)]
        network = norse.SequentialState(*parts).double().eval()
        found = simulate_float(from_norse(network, (2, 5, 6), time_steps=8), spikes)
        for trace, behind in zip(found, (2, 6, 9), strict=True):
            part = norse.SequentialState(*parts[:behind]).double().eval()
            assert np.array_equal(run(part, spikes).numpy(), trace.s)


def test_the_readouts_potentials_are_norses() -> None:
    torch.manual_seed(1)
    for reader in (norse.LICell(), norse.LIBoxCell()):
        with torch.no_grad():
            network = (
                norse.SequentialState(nn.Linear(6, 8), lif_box(), nn.Linear(8, 4, bias=False), reader).double().eval()
            )
            spikes = raster(1, 2, 9, 6)
            described = from_norse(network, (6,), time_steps=9, readout=ImageReadout(1.0, (4, 1, 1)))
            *_, last = simulate_float(described, spikes)
            np.testing.assert_allclose(run(network, spikes).numpy(), last.v, rtol=1e-5, atol=1e-7)
            assert not last.s.any()
            integer, _ = quantize(fold_norm(described))
            potentials = Engine(integer).final_potentials(spikes)
        assert integer.readout is not None
        np.testing.assert_allclose(potentials / integer.readout.unit, last.v[:, -1], atol=0.02)


def test_modules_over_time_and_an_unflattened_first_layer() -> None:
    torch.manual_seed(2)
    network = norse.SequentialState(
        norse.Lift(nn.Linear(7, 12)), norse.Lift(lif_box()), norse.Lift(nn.Unflatten(1, (3, 2, 2))),
        nn.Sequential(norse.Lift(nn.ConvTranspose2d(3, 2, 3, 2, 1, 1, bias=False))), lif(0.5, 0.25, 0.1, time=True),
        nn.Flatten(2),
    ).double().eval()  # fmt: skip
    spikes = raster(2, 4, 10, 7)
    described = from_norse(network, (7,), time_steps=10)
    traces = simulate_float(described, spikes)
    with torch.no_grad():
        x = torch.from_numpy(spikes).double().transpose(0, 1)
        for part in network:
            x = part(x)
            x = x[0] if isinstance(x, tuple) else x
    assert x.mean() > 0.05
    assert np.array_equal(x.transpose(0, 1).numpy(), traces[-1].s.reshape(4, 10, -1))


def readme_network(threshold: float = 0.12) -> list[nn.Module]:
    """The shape of the network that Norse's own README shows: biases and pools throughout."""
    cell = norse.LIFParameters(v_th=number(threshold))
    return [
        nn.Conv2d(1, 5, 3, 1), norse.LIFCell(cell), nn.MaxPool2d(2, 2),
        nn.Conv2d(5, 6, 2, 1), norse.LIFCell(cell), nn.MaxPool2d(2, 2), nn.Flatten(),
        nn.Linear(6 * 2 * 2, 4), norse.LICell(),
    ]  # fmt: skip


def cells_alike(
    parts: list[nn.Module], traces: list[Any], spikes: np.ndarray, shown: dict[int, int], width: int
) -> None:
    """Layer by layer: ``shown`` is the trace of each module, ``width`` how many channels of it are Norse's own."""
    with torch.no_grad():
        for module, layer in shown.items():
            theirs = run(norse.SequentialState(*parts[: module + 1]).double().eval(), spikes).numpy()
            ours = traces[layer].s[:, :, : theirs.shape[2]]
            assert theirs.mean() > 0.01
            assert np.array_equal(theirs, ours)
            added = traces[layer].s[:, :, theirs.shape[2] :]
            assert added.shape[2] == width
            assert added.all(), "a neuron that always fires did not"


def test_norses_own_network_with_biases_and_pools() -> None:
    torch.manual_seed(4)
    parts = readme_network()
    spikes = raster(4, 3, 12, 1, 12, 12)
    described = from_norse(norse.SequentialState(*parts).double().eval(), (1, 12, 12), time_steps=12)
    assert "the input's relay" not in described.provenance["added"]
    assert described.provenance["added"].count("always fires") == 3
    traces = simulate_float(described, spikes)
    assert np.array_equal(traces[0].s[:, :, :1], spikes)
    cells_alike(parts, traces, spikes, {1: 1, 4: 3}, 0)
    cells_alike(parts, traces, spikes, {2: 2, 5: 4}, 1)
    with torch.no_grad():
        potentials = run(norse.SequentialState(*parts).double().eval(), spikes).numpy()
    np.testing.assert_allclose(potentials, traces[-1].v, rtol=1e-5, atol=1e-7)
    integer, report = quantize(described)
    twin = Engine(integer).traces(spikes)
    assert all(twin[k].s[:, :, -1].all() for k in (0, 2, 4))  # rounded, the neurons that always fire still do
    assert max(entry.clipped for entry in report) == 0
    wrong = [(twin[k].s != traces[k].s).mean() for k in range(len(twin) - 1)]
    assert max(wrong) < 0.03


def test_averages_are_a_part_of_the_kernel() -> None:
    torch.manual_seed(5)
    parts = [
        nn.AvgPool2d(2), nn.Conv2d(2, 4, 3, padding=1), lif_box(0.5, 0.1), nn.AvgPool2d((2, 1)), lif_box(0.5, 0.05),
        nn.Conv2d(4, 3, 2), nn.AvgPool2d(2, 1), lif_box(0.5, 0.05), nn.AvgPool2d(2, 1, padding=1), nn.Flatten(),
        nn.Linear(3 * 2 * 3, 5), lif(0.5, 0.5, 0.02),
    ]  # fmt: skip
    spikes = raster(5, 3, 10, 2, 12, 8)
    traces = simulate_float(from_norse(norse.SequentialState(*parts).double().eval(), (2, 12, 8)), spikes)
    cells_alike(parts, traces, spikes, {2: 0, 4: 1}, 0)
    cells_alike(parts, traces, spikes, {7: 2}, 1)
    cells_alike(parts, traces, spikes, {11: 3}, 0)


def test_recurrent_cells_and_what_stands_before_them() -> None:
    torch.manual_seed(6)
    parameters = norse.LIFParameters(number(300.0), number(250.0), v_th=number(0.2))
    parts = [
        norse.LIFRecurrentCell(6, 8, parameters), nn.Linear(8, 7),
        norse.LIFRecurrentCell(7, 5, parameters, autapses=True),
    ]  # fmt: skip
    spikes = raster(6, 4, 15, 6)
    network = norse.SequentialState(*parts).double().eval()
    described = from_norse(network, (6,))
    assert described.synapses[1].kind == "dense_rec"
    assert np.diag(described.synapses[1].synapse.recurrent)[:5].all()  # type: ignore[union-attr]
    cells_alike(parts, simulate_float(described, spikes), spikes, {0: 0}, 1)
    cells_alike(parts, simulate_float(described, spikes), spikes, {2: 1}, 0)
    over_time = norse.LIFRecurrent(6, 8, parameters).double()
    alone = simulate_float(from_norse(norse.SequentialState(over_time), (6,)), spikes)
    with torch.no_grad():
        theirs, _ = over_time(torch.from_numpy(spikes).double().transpose(0, 1))
    assert np.array_equal(theirs.transpose(0, 1).numpy(), alone[0].s)


def test_tensors_of_equal_values_are_one_value() -> None:
    plain, spread = (
        norse.LIFParameters(*(torch.full(shape, value) for value in (200.0, 100.0)), v_th=torch.full(shape, 0.5))
        for shape in ((), (30,))
    )
    both = [from_norse(network(nn.Linear(4, 30, bias=False), norse.LIFCell(p)), (4,)) for p in (plain, spread)]
    assert both[0].synapses[0].synapse.neuron == both[1].synapses[0].synapse.neuron


def test_quantized_it_fires_almost_the_same() -> None:
    torch.manual_seed(3)
    network = norse.SequentialState(
        nn.Conv2d(2, 8, 3, padding=1), lif_box(), nn.Conv2d(8, 8, 3, padding=1), lif_box()
    ).eval()
    spikes = raster(3, 20, 12, 2, 8, 8)
    described = from_norse(network, (2, 8, 8), time_steps=12)
    integer, report = quantize(described)
    assert {entry.clipped for entry in report} == {0}
    trace, exact = Engine(integer).traces(spikes)[0], simulate_float(described, spikes)[0]
    assert 0.1 < exact.s.mean() < 0.9
    # Rounding moves each of 18 weights by at most 1, bias and threshold by at most 1/2 each; after a step they add up.
    margin = 19 / report[0].scale
    wrong = trace.s[:, 0] != exact.s[:, 0]
    assert np.abs(exact.v[:, 0] - 0.2)[wrong].max(initial=0) <= margin
    assert (trace.s != exact.s).any(), "nothing was near the threshold, so nothing was tested"


def network(*parts: nn.Module) -> nn.Module:
    return norse.SequentialState(*parts).eval()


PER_NEURON = norse.LIFBoxParameters(v_th=torch.linspace(0.5, 1, 4))
REFUSED: dict[str, tuple[Any, type[EsvaeError], str]] = {
    "pooling sums": (
        lambda: network(nn.Linear(4, 4), nn.MaxPool2d(2)),
        UnsupportedLayerError,
        r"module '1' \(MaxPool2d\): of what are no spikes yet",
    ),
    "a pool over the border": (
        lambda: network(nn.AvgPool2d(2, ceil_mode=True)),
        UnsupportedLayerError,
        "use ceil_mode=False",
    ),
    "other pools": (
        lambda: network(nn.LPPool2d(2, 2)),
        UnsupportedLayerError,
        r"\(LPPool2d\): not supported; supported are Linear, Conv2d",
    ),
    "adaptive": (
        lambda: network(nn.Linear(4, 4), norse.LIFAdExCell()),
        UnsupportedLayerError,
        r"module '1' \(LIFAdExCell\): not supp",
    ),
    "by neuron": (
        lambda: network(nn.Linear(4, 4), norse.LIFBoxCell(PER_NEURON)),
        ConfigError,
        r"module '1' \(LIFBoxCell\): .*v_th has 4 values from 0.5 to 1; the chip has one",
    ),
    "leak": (
        lambda: network(nn.Linear(4, 4), norse.LIBoxCell(norse.LIBoxParameters(v_leak=number(1.0)))),
        ConfigError,
        r"module '1' \(LIBoxCell\): .*v_leak is 1, expected 0",
    ),
    "bias": (
        lambda: network(nn.Linear(4, 8), lif_box(), nn.Unflatten(1, (2, 2, 2)), nn.Conv2d(2, 3, 1), norse.LIFCell()),
        UnsupportedLayerError,
        "a bias into a current that lasts, in a network whose first layer is read as a map",
    ),
    "no neurons": (lambda: network(nn.Linear(4, 4)), UnsupportedLayerError, "no neurons behind it"),
    "no synapses": (lambda: network(norse.LIFBoxCell()), UnsupportedLayerError, "no synapses before it"),
    "nothing": (lambda: network(), UnsupportedLayerError, "holds no neurons"),
    "behind a readout": (
        lambda: network(nn.Linear(4, 4), norse.LIBoxCell(), nn.Linear(4, 4)),
        UnsupportedLayerError,
        "follows module '1' .LIBoxCell., whose potentials are no spikes",
    ),
    "training": (
        lambda: norse.SequentialState(nn.Dropout()).train(),
        ConfigError,
        r"call eval\(\) on the network first",
    ),
    "batch": (
        lambda: norse.SequentialState(nn.Linear(4, 4), nn.BatchNorm1d(4)).train(),
        ConfigError,
        "normalizes by the batch",
    ),
    "padding": (
        lambda: network(nn.Conv2d(4, 4, 3, padding_mode="circular")),
        UnsupportedLayerError,
        "padding 'circular'",
    ),
    "shapes": (lambda: network(nn.Linear(5, 4), lif_box()), NetFileError, r"module '0' \(Linear\): dense takes \(5,\)"),
    "activation": (
        lambda: network(nn.Linear(4, 4), nn.ReLU()),
        UnsupportedLayerError,
        r"module '1' \(ReLU\): not supported",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_counterpart_is_refused(name: str) -> None:
    make, error, told = REFUSED[name]
    with pytest.raises(error, match=told) as caught:
        from_norse(make(), (4,))
    assert "\n" not in str(caught.value)


def test_a_picture_needs_a_readout() -> None:
    with pytest.raises(ConfigError, match="the last layer fires"):
        from_norse(network(nn.Linear(4, 4), lif_box()), (4,), readout=ImageReadout(1.0, (1, 2, 2)))
