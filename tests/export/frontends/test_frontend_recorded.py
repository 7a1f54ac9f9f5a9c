"""snnTorch's and SpikingJelly's networks, recorded as they run there (``tests/record_frameworks.py``): our own layers
fire alike, spike for spike; what differs is refused. Where the frameworks are installed, they themselves are asked."""

from __future__ import annotations

import importlib.util
import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import record_frameworks
import torch
from torch import nn

from esvae.errors import ConfigError, EsvaeError, NetFileError, UnsupportedLayerError
from export.float_simulate import simulate_float
from export.frontends import from_snntorch, from_spikingjelly
from export.ir import Conv, ImageReadout, RecurrentDense
from export.passes import fold_norm, quantize
from sim.twin.engine import Engine

FOLDER = Path(__file__).parent / "recorded"
FIRING = (
    "snntorch_conv", "snntorch_synaptic", "snntorch_subtract", "snntorch_recurrent", "spikingjelly_conv",
    "spikingjelly_subtract",
)  # fmt: skip
FRONTENDS: dict[str, Callable[..., Any]] = {"snntorch": from_snntorch, "spikingjelly": from_spikingjelly}


class Recorded:
    """A file's spikes, and its network built of torch's modules and of stand-ins that have the neurons' attributes."""

    def __init__(self, name: str) -> None:
        with np.load(FOLDER / f"{name}.npz") as file:
            self.arrays = {key: file[key] for key in file}
        self.name = name
        self.spikes = self.arrays["spikes"]
        layers = json.loads(str(self.arrays["layers"]))
        self.modules: list[Any] = [self._module(layer, str(index)) for index, layer in enumerate(layers)]

    def frontend(self, **more: Any) -> Any:
        return FRONTENDS[self.name.partition("_")[0]](self.modules, self.spikes.shape[2:], **more)

    def outs(self) -> dict[int, np.ndarray]:
        return {int(key.removeprefix("out_")): value for key, value in self.arrays.items() if key.startswith("out_")}

    def _module(self, layer: dict[str, Any], prefix: str) -> Any:
        kind, module = layer.pop("kind"), layer.pop("module")
        own = {
            key.removeprefix(f"{prefix}."): torch.from_numpy(value)
            for key, value in self.arrays.items()
            if key.startswith(f"{prefix}.")
        }
        if kind == "BlockContainer":
            parts = {
                name: None if part is None else self._module(part, f"{prefix}.{name}") for name, part in layer.items()
            }
            made = stand_in(kind, module)
            made.synapse, made.neuron = parts["synapse"], parts["neuron"]
            return made
        if hasattr(nn, kind):
            made = getattr(nn, kind)(**layer, **({"bias": "bias" in own} if kind in ("Linear", "Conv2d") else {}))
            made.load_state_dict(own)
            return made.double().eval()
        made = stand_in(kind, module)
        for name, value in (layer | own).items():
            if "." not in name:
                setattr(made, name, value)
        if "recurrent.weight" in own:
            made.recurrent = nn.Linear(*own["recurrent.weight"].shape).double()
            made.recurrent.load_state_dict({name: own[f"recurrent.{name}"] for name in ("weight", "bias")})
        elif kind == "RLeaky":
            made.recurrent = stand_in("RecurrentOneToOne", module)
            made.recurrent.V = own["V"]
        if kind == "CubaLIFNode":
            made.quantize_8bit = lambda x: (torch.round(x * made.scale / 2) * 2).clamp(-256, 255) / made.scale
        return made


def stand_in(kind: str, module: str) -> Any:
    return type(kind, (nn.Module,), {"__module__": module})()


def shown(name: str, modules: list[Any]) -> list[int]:
    """Numbers of the modules that are a layer with neurons here."""
    neurons = (*record_frameworks.SETTINGS, "BlockContainer")
    plain = ("Linear", "Conv2d", "BatchNorm2d", "AvgPool2d", "Flatten", "SumPool2d")
    kinds = [type(module).__name__ for module in modules]
    return [k for k, kind in enumerate(kinds) if kind in neurons and kind not in plain]


def assert_alike(described: Any, spikes: np.ndarray, outs: list[np.ndarray]) -> None:
    """Layers of ours that a frontend put before the first are skipped; what it added to one must always fire."""
    traces = simulate_float(described, spikes)
    assert len(traces) - len(outs) in (0, 1)
    for theirs, trace in zip(outs, traces[len(traces) - len(outs) :], strict=True):
        assert 0.01 < theirs.mean() < 0.9
        channels = theirs.shape[2]
        assert np.array_equal(theirs, trace.s[:, :, :channels].reshape(theirs.shape))
        assert trace.s[:, :, channels:].all()


@pytest.mark.filterwarnings("ignore:spikes will differ from snnTorch's.*two thresholds:UserWarning")
@pytest.mark.parametrize("name", FIRING)
def test_every_layer_fires_as_recorded(name: str) -> None:
    recorded = Recorded(name)
    outs = recorded.outs()
    described = recorded.frontend()
    assert_alike(described, recorded.spikes, [outs[k] for k in shown(name, recorded.modules)])
    integer, report = quantize(fold_norm(described))
    assert max(entry.weight_error for entry in report) < 0.02
    assert [trace.s.shape for trace in Engine(integer).traces(recorded.spikes)]


def test_lavas_blocks_are_equal_in_integers() -> None:
    recorded = Recorded("spikingjelly_lava")
    outs = recorded.outs()
    integer, report = quantize(recorded.frontend())
    assert all(entry.weight_error == 0 and entry.scale == 1 for entry in report)
    traces = Engine(integer).traces(recorded.spikes)
    for k, trace in zip((0, 1, 3), traces, strict=True):
        assert outs[k].mean() > 0.1
        assert np.array_equal(outs[k], trace.s.reshape(outs[k].shape))
    pool = integer.layers[1]
    assert isinstance(pool, Conv)
    assert pool.groups == 4
    assert integer.layers[0].neuron.current_decay == 999  # type: ignore[union-attr]


def test_a_reset_that_loses_its_input_is_refused_and_does_differ() -> None:
    recorded = Recorded("snntorch_lost_input")
    with pytest.raises(UnsupportedLayerError, match="it loses what enters in the step behind a spike; set reset_delay"):
        recorded.frontend()
    recorded.modules[1].reset_delay = False
    trace = simulate_float(recorded.frontend(), recorded.spikes)[-1]
    assert (trace.s != recorded.outs()[1]).any()


def test_resets_that_subtract_are_synapses_of_neurons_onto_themselves() -> None:
    with pytest.warns(UserWarning, match=r"differ from snnTorch's: module '5' \(Leaky\): where a potential passes two"):
        described = Recorded("snntorch_subtract").frontend()
    assert "module '5'" in described.provenance["differs from snntorch"]
    last = described.synapses[-1].synapse
    assert isinstance(last, RecurrentDense)
    np.testing.assert_allclose(np.diag(last.recurrent), -0.7 * 0.3, rtol=1e-6)


def one_to_one(weight: torch.Tensor) -> Any:
    made = stand_in("RecurrentOneToOne", "snntorch._neurons.rleaky")
    made.V = weight
    return made


def leaky(kind: str = "Leaky", **more: Any) -> Any:
    made = stand_in(kind, f"snntorch._neurons.{kind.lower()}")
    plain = {
        "beta": 0.5, "threshold": 1.0, "inhibition": False, "state_quant": False, "reset_mechanism": "zero",
        "graded_spikes_factor": 1.0, "reset_delay": True,
    }  # fmt: skip
    for name, value in (plain | more).items():
        if value is not ...:
            setattr(made, name, value)
    return made


def node(kind: str = "LIFNode", **more: Any) -> Any:
    made = stand_in(kind, "spikingjelly.activation_based.neuron")
    for name, value in ({"tau": 2.0, "decay_input": True, "v_threshold": 1.0, "v_reset": 0.0} | more).items():
        setattr(made, name, value)
    return made


REFUSED: dict[str, tuple[str, Callable[[], list[Any]], type[EsvaeError], str]] = {
    "inhibition": ("snntorch", lambda: [leaky(inhibition=True)], UnsupportedLayerError, "silences the others"),
    "rounded states": ("snntorch", lambda: [leaky(state_quant=abs)], UnsupportedLayerError, "state_quant"),
    "graded": ("snntorch", lambda: [leaky(graded_spikes_factor=2.0)], UnsupportedLayerError, "graded_spikes_factor"),
    "by neuron": (
        "snntorch", lambda: [leaky(beta=torch.tensor([0.5, 0.7]))], ConfigError, "beta has 2 values from 0.5 to 0.7",
    ),
    "old": ("snntorch", lambda: [leaky(reset_delay=...)], UnsupportedLayerError, "update it: pip install -U snntorch"),
    "other neurons": (
        "snntorch", lambda: [stand_in("Alpha", "snntorch._neurons.alpha")], UnsupportedLayerError,
        r"module '1' \(Alpha\): not supported; .*Leaky, RLeaky and Synaptic",
    ),
    "both currents": (
        "snntorch", lambda: [leaky("RSynaptic", alpha=0.5)], UnsupportedLayerError,
        "loses what enters in the step behind a spike; use RLeaky, or Synaptic, with reset_delay=False",
    ),
    "recurrent, late": ("snntorch", lambda: [leaky("RLeaky")], UnsupportedLayerError, "set reset_delay=False"),
    "recurrent maps": (
        "snntorch", lambda: [leaky("RLeaky", reset_delay=False, recurrent=nn.Conv2d(1, 1, 1))], UnsupportedLayerError,
        "come back through Conv2d; supported are linear_features, and all_to_all=False",
    ),
    "one to one": (
        "snntorch",
        lambda: [leaky("RLeaky", reset_delay=False, recurrent=one_to_one(torch.ones(2)))], NetFileError,
        "V has 2 values, expected 1 or 3, as it has neurons",
    ),
    "always firing": (
        "spikingjelly", lambda: [node(v_threshold=0.0, v_reset=0.5)], ConfigError, "is not above v_reset 0.5",
    ),
    "too fast": ("spikingjelly", lambda: [node(tau=0.5)], ConfigError, "tau is 0.5, expected 1 or more"),
    "nodes": (
        "spikingjelly", lambda: [node("QIFNode")], UnsupportedLayerError, r"\(QIFNode\): not supported; .*IFNode",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_counterpart_is_refused(name: str) -> None:
    source, parts, error, told = REFUSED[name]
    modules = [nn.Linear(4, 3), *parts()]
    with pytest.raises(error, match=told) as caught:
        FRONTENDS[source](modules, (4,))
    assert "\n" not in str(caught.value)


def test_what_a_convolution_and_a_block_cannot_have_is_refused() -> None:
    with pytest.raises(UnsupportedLayerError, match=r"a spike subtracts the threshold, which .* only in dense layers"):
        from_snntorch([nn.Conv2d(1, 2, 2), leaky(reset_mechanism="subtract")], (1, 4, 4))
    block = Recorded("spikingjelly_lava").modules[3]
    block.neuron.norm = nn.BatchNorm1d(6)
    with pytest.raises(UnsupportedLayerError, match="its norm is fed back with the current"):
        from_spikingjelly([block], (64,))
    own = type("Net", (nn.Module,), {})()
    with pytest.raises(UnsupportedLayerError, match=r"the network \(Net\): not supported"):
        from_snntorch(own, (4,))


def test_what_lavas_blocks_compute_beyond_the_chip_is_told() -> None:
    block = Recorded("spikingjelly_lava").modules[3]
    block.synapse.weight.data.fill_(2.5)
    with pytest.warns(UserWarning, match="384 weights stand at 255/128, where the chip's end at 254"):
        described = from_spikingjelly([block], (64,))
    assert described.synapses[0].synapse.weight.max() == 254
    block = Recorded("spikingjelly_lava").modules[3]
    block.neuron.v_threshold = 0.3
    with pytest.warns(UserWarning, match="v_threshold 0.3 is 38.4/128, of which the chip has 38"):
        described = from_spikingjelly([block], (64,))
    assert described.synapses[0].synapse.neuron.threshold == 38
    assert "38.4/128" in described.provenance["differs from spikingjelly"]


def test_neurons_that_are_not_reset_end_the_network_as_a_readout() -> None:
    parts = [nn.Linear(4, 3), leaky(), nn.Linear(3, 2), leaky(reset_mechanism="none", beta=0.75)]
    described = from_snntorch(parts, (4,), time_steps=5, readout=ImageReadout(1.0, (2, 1, 1)))
    last = described.synapses[-1].synapse.neuron
    assert math.isinf(last.threshold)
    assert last.keep == 0.75
    with pytest.raises(ConfigError, match="the last layer fires, so it holds no picture"):
        from_snntorch(parts[:2], (4,), readout=ImageReadout(1.0, (3, 1, 1)))


@pytest.mark.filterwarnings("ignore:spikes will differ from snnTorch's.*two thresholds:UserWarning")
@pytest.mark.parametrize(("package", "networks"), [
    ("snntorch", record_frameworks.snntorch_networks), ("spikingjelly", record_frameworks.spikingjelly_networks),
])  # fmt: skip
def test_the_frameworks_themselves(package: str, networks: Callable[[], Any]) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package} in this interpreter")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what their imports set off
        found = list(networks())
        for name, modules, spikes in found:
            if name not in FIRING:
                continue
            for module in modules:
                module.double().eval()
            with torch.no_grad():
                outs = record_frameworks.run(modules, spikes)
            described = FRONTENDS[package](modules, spikes.shape[2:])
            assert_alike(described, spikes, [outs[k] for k in shown(name, modules)])
