"""Stock netx in Lava against a plain numpy LIF: u, v, s at every step, and the readout."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from deploy.lava.jobs import WindowsJob
from deploy.lava.results import LavaProgress, LavaRun
from deploy.lava.run import run_lava, run_lava_jobs
from esvae.errors import DataError, EsvaeError

Array = NDArray[Any]
pytestmark = pytest.mark.lava

READOUT = {"vDecay": 819, "vThMant": 131071}


def write_net(path: Path, layers: list[dict[str, Any]]) -> Path:
    """The groups of a ``.net`` file, as netx reads them."""
    with h5py.File(path, "w") as file:
        for index, layer in enumerate(layers):
            group = file.create_group(f"layer/{index}")
            group.create_dataset("type", (1,), "S10", [layer["type"].encode()])
            for name, value in layer.items():
                if name == "neuron":
                    neuron = {"iDecay": 4096, "vDecay": 3072, "vThMant": 150, "refDelay": 1, "gradedSpike": 0} | value
                    group.create_dataset("neuron/type", (1,), "S10", [b"CUBA"])
                    for key, number in neuron.items():
                        group.create_dataset(f"neuron/{key}", data=number)
                elif name != "type":
                    group.create_dataset(name, data=value)
    return path


def weights(seed: int, *shape: int) -> Array:
    drawn = np.random.default_rng(seed).integers(-50, 51, shape) * 2
    drawn.flat[0], drawn.flat[-1] = -100, 100  # both signs, whatever was drawn
    return drawn


def conv(seed: int, out: tuple[int, int, int], inputs: int, kernel: tuple[int, int], **more: Any) -> dict[str, Any]:
    layer = {"type": "conv", "shape": out, "stride": 1, "padding": 0, "dilation": 1, "groups": 1, "neuron": {}} | more
    bias = np.random.default_rng(seed + 1).integers(-60, 61, out[0])
    return layer | {"weight": weights(seed, out[0], inputs // layer["groups"], *kernel), "bias": bias}


def dense(seed: int, outputs: int, inputs: int, **neuron: Any) -> dict[str, Any]:
    bias = np.random.default_rng(seed + 1).integers(-60, 61, outputs)
    return {"type": "dense", "shape": outputs, "weight": weights(seed, outputs, inputs), "bias": bias, "neuron": neuron}


def synapses(layer: dict[str, Any], spikes: Array) -> Array:
    """Sums of weights of one step, ``(C, H, W)`` or ``(features,)``, by plain loops."""
    weight = layer["weight"]
    if layer["type"] == "dense":
        return np.asarray(weight @ spikes.reshape(-1))
    (sy, sx), (py, px), (dy, dx) = (np.broadcast_to(layer[name], 2) for name in ("stride", "padding", "dilation"))
    padded = np.pad(spikes.astype(np.int64), ((0, 0), (py, py), (px, px)))
    total = np.zeros(layer["shape"], np.int64)
    per_group, ratio = weight.shape[1], len(weight) // layer["groups"]
    for o, y, x in np.ndindex(*layer["shape"]):
        for c, i, j in np.ndindex(*weight.shape[1:]):
            total[o, y, x] += weight[o, c, i, j] * padded[o // ratio * per_group + c, y * sy + i * dy, x * sx + j * dx]
    return total


def reference(layers: list[dict[str, Any]], latents: Array) -> dict[str, Array]:
    """u, v and s of every layer with a neuron, images independent of each other."""
    numbers = [number for number, layer in enumerate(layers) if "neuron" in layer]
    layers = [layers[number] for number in numbers]
    found: dict[str, list[Array]] = {f"layer{number}.{name}": [] for number in numbers for name in "uvs"}

    def decayed(x: Array, decay: int) -> Array:
        return np.asarray(np.sign(x) * (np.abs(x * (4096 - decay)) >> 12))

    for image in latents:
        u: list[Any] = [np.int64(0)] * len(layers)
        v = list(u)
        for spikes in image:
            for k, layer in enumerate(layers):
                neuron = {"iDecay": 4096, "vDecay": 3072, "vThMant": 150} | layer["neuron"]
                sums = synapses(layer, spikes)
                bias = layer["bias"].reshape(-1, *[1] * (sums.ndim - 1))
                u[k] = decayed(u[k], neuron["iDecay"]) + (sums << 6)
                v[k] = np.clip(decayed(v[k], neuron["vDecay"]) + u[k] + (bias << 6), 1 - (1 << 23), (1 << 23) - 1)
                spikes = v[k] > neuron["vThMant"] << 6
                v[k] = np.where(spikes, 0, v[k])
                for name, value in zip("uvs", (u[k], v[k], spikes), strict=True):
                    found[f"layer{numbers[k]}.{name}"].append(value)
    return {name: np.stack(each).reshape(*latents.shape[:2], *each[0].shape) for name, each in found.items()}


TWO_CONVS = [
    {"type": "input", "shape": (2, 5, 4)},
    conv(1, (4, 3, 3), 2, (3, 2), stride=(2, 1), padding=(1, 0)),
    conv(2, (4, 3, 2), 4, (3, 2), padding=(1, 0), groups=2, neuron=READOUT),
]
CONV_AND_DENSE = [
    {"type": "input", "shape": (3, 1, 1)},
    conv(3, (2, 3, 4), 3, (3, 4), padding=(2, 3), neuron={"vThMant": 60}),
    {"type": "flatten"},
    dense(4, 7, 24, iDecay=1024, vDecay=100),
    dense(5, 5, 7, **READOUT),
]
DENSE_ONLY = [{"type": "input", "shape": [6]}, dense(6, 9, 6, vThMant=40), dense(7, 4, 9, **READOUT)]


@dataclass(frozen=True)
class Case:
    layers: list[dict[str, Any]]
    images: int
    steps: int
    shape: tuple[int, ...]
    sparse: bool = False

    def latents(self) -> Array:
        latents = np.random.default_rng(0).random((self.images, self.steps, *self.shape)) < 0.5
        latents[-1] = latents[0]  # the same image after others must give the same
        return latents


CASES = {
    "two convolutions": Case(TWO_CONVS, 3, 5, (2, 5, 4)),
    "one step an image": Case(TWO_CONVS, 3, 1, (2, 5, 4)),
    "convolution, flatten, dense": Case(CONV_AND_DENSE, 3, 5, (3,)),
    "fewer steps than layers, sparse": Case(CONV_AND_DENSE, 4, 2, (3, 1, 1), sparse=True),
    "dense alone": Case(DENSE_ONLY, 2, 5, (6,)),
    "no input layer": Case(TWO_CONVS[1:], 2, 3, (2, 5, 4)),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LavaRun | EsvaeError]:
    """What Lava makes of each, from one interpreter."""
    folder = tmp_path_factory.mktemp("nets")
    jobs = [
        WindowsJob(write_net(folder / f"{number}.net", case.layers), case.latents(), trace=True, sparse=case.sparse)
        for number, case in enumerate(CASES.values())
    ]
    return dict(zip(CASES, run_lava_jobs(jobs), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_equals_numpy(name: str, runs: dict[str, LavaRun | EsvaeError]) -> None:
    case, run = CASES[name], runs[name]
    latents = case.latents()
    sample = case.layers[0]["shape"] if case.layers[0]["type"] == "input" else case.shape
    expected = reference(case.layers, latents.reshape(case.images, case.steps, *sample))
    assert isinstance(run, LavaRun), run
    assert run.trace is not None
    assert sorted(run.trace) == sorted(expected)
    for key, values in expected.items():
        np.testing.assert_array_equal(run.trace[key], values, err_msg=key)
        assert run.trace[key].dtype == (np.uint8 if key.endswith("s") else np.int32)
    last = max(key for key in expected if key.endswith(".v"))
    np.testing.assert_array_equal(run.readout, expected[last][:, -1])
    assert run.readout.dtype == np.int32
    np.testing.assert_array_equal(run.readout[-1], run.readout[0])
    hidden = next(values for name, values in expected.items() if name.endswith(".s")).mean()
    assert 0.05 < hidden < 0.95, "the test network should spike now and then"


def test_readout_alone_reports_progress_and_versions(tmp_path: Path) -> None:
    net = write_net(tmp_path / "tiny.net", DENSE_ONLY)
    latents = np.random.default_rng(1).integers(0, 2, (3, 4, 6))
    seen: list[LavaProgress] = []
    run = run_lava(WindowsJob(net, latents), progress=seen.append)
    assert run.trace is None
    np.testing.assert_array_equal(run.readout, reference(DENSE_ONLY, latents)["layer2.v"][:, -1])
    assert set(run.versions) == {"lava-nc", "lava-dl", "python", "numpy"}
    stages = ["importing", "building", "compiling", "running", "collecting", "stopping"]
    assert list(dict.fromkeys(each.stage for each in seen)) == stages
    assert set(run.seconds) == {*stages[:-1], "total"}
    assert all(seconds >= 0 for seconds in run.seconds.values())
    assert [each.step for each in seen] == sorted(each.step for each in seen)
    assert (seen[-1].step, seen[-1].steps) == (14, 14)
    assert (seen[-1].image, seen[-1].images) == (3, 3)
    names = " ".join(seen[-1].processes)
    assert all(
        part in names
        for part in ("spike source", "layer 1 (dense) synapse", "layer 2 (dense) neuron (LIFReset)", "runtime")
    )


def test_latents_must_fit_the_network(tmp_path: Path) -> None:
    net = write_net(tmp_path / "tiny.net", [{"type": "input", "shape": (3, 2, 1)}, conv(9, (1, 2, 1), 3, (1, 1))])
    jobs = [WindowsJob(net, np.zeros((1, 2, *shape), np.uint8)) for shape in [(5,), (6, 1, 1), (2, 3, 2)]]
    for answer in run_lava_jobs(jobs):
        assert isinstance(answer, DataError), answer
        assert re.search(r"latents have .* values a step, the network's input is \(3, 2, 1\)", str(answer))
