"""Lava is the judge: random networks, numbers at every limit, and what netx does to weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest

from deploy.lava.jobs import WindowsJob
from deploy.lava.results import LavaRun
from deploy.lava.run import run_lava_jobs
from deploy.verify import verify_spikes
from depth import examples
from esvae.chip.formats import BIAS, THRESHOLD
from export.ir import Conv, Dense, Flatten, Layer, Lif, Network
from export.netx import read_netx
from export.netx.rules import loaded_dense_weight, loads_sparse
from export.netx.write import write_netx
from sim import reference
from sim.trace import first_difference, named_traces
from sim.twin.engine import Engine

pytestmark = pytest.mark.lava


def random_network(seed: int) -> Network:
    """A small network that stock netx loads; the seed walks through layer types, signs and limits."""
    rng = np.random.default_rng(seed)
    decays = [0, 1, 819, 2048, 3072, 4095, 4096, int(rng.integers(0, 4097))]

    def lif() -> Lif:
        threshold = int(rng.choice([0, 1, 60, 300, 2000, THRESHOLD.max], p=[0.25, 0.2, 0.25, 0.2, 0.05, 0.05]))
        return Lif(int(rng.choice(decays)), int(rng.choice(decays)), threshold)

    def weight(shape: tuple[int, ...], dense: bool = False) -> np.ndarray:
        kind = ("mixed even", "mixed odd", "positive", "negative", "limits")[int(rng.integers(5))]
        values = {
            "mixed even": rng.integers(-127, 128, shape) * 2,
            "mixed odd": rng.integers(-127, 127, shape) * 2 + 1,
            "positive": rng.integers(1, 256, shape),
            "negative": rng.integers(-254, 0, shape) // 2 * 2 + 2 * (dense and seed % 2),
            "limits": rng.choice([-256, 254], shape),
        }[kind]
        if dense and not np.array_equal(loaded_dense_weight(values), values):
            values = rng.integers(-127, 128, shape) * 2
        values.flat[0] = 2
        return values

    def bias(shape: tuple[int, ...]) -> np.ndarray | None:
        kind = rng.integers(4)
        if kind == 0:
            return None
        if kind == 1:
            return rng.choice([BIAS.min, BIAS.max, 0], shape[:1])
        return rng.integers(-400, 400, shape if kind == 2 else shape[:1])

    def conv(shape: tuple[int, int, int]) -> Conv:
        groups = 2 if shape[0] % 2 == 0 and rng.random() < 0.5 else 1
        kernel = (int(rng.integers(1, 4)), int(rng.integers(1, 3)))
        stride, padding, dilation = (
            (int(a), int(b)) for a, b in zip(rng.integers(1, 3, 3), rng.integers(1, 3, 3), strict=True)
        )
        padding = (kernel[0] // 2 * dilation[0], kernel[1] // 2 * dilation[1] + (padding[1] - 1))
        values = weight((groups * int(rng.integers(1, 3)), shape[0] // groups, *kernel))
        plain = Conv(values, None, lif(), stride, padding, dilation, groups)
        return Conv(values, bias(plain.output_shape(shape)), plain.neuron, stride, padding, dilation, groups)

    layers: list[Layer] = []
    kind = seed % 3  # conv only, conv then dense, dense only
    shape: tuple[int, ...] = (int(rng.integers(1, 5)),)
    if kind < 2:
        shape = (int(rng.choice([1, 2, 4])), int(rng.integers(3, 7)), int(rng.integers(3, 6)))
    entry = shape
    for _ in range(0 if kind == 2 else int(rng.integers(1, 3))):
        layers.append(conv(shape))  # type: ignore[arg-type]
        shape = layers[-1].output_shape(shape)
    if kind == 1:
        layers.append(Flatten())
        shape = layers[-1].output_shape(shape)
    for _ in range(0 if kind == 0 else int(rng.integers(1, 3))):
        out = int(rng.integers(1, 8))
        layers.append(Dense(weight((out, shape[0]), dense=True), bias((out,)), lif()))
        shape = (out,)
    return Network(entry, tuple(layers), time_steps=int(rng.integers(1, 9)))


@dataclass(frozen=True)
class Case:
    """A file, what enters, and the network that Lava is to compute."""

    path: Path
    network: Network
    spikes: np.ndarray

    @property
    def job(self) -> WindowsJob:
        return WindowsJob(self.path, self.spikes, trace=True, sparse=loads_sparse(self.network))


SEEDS = range(examples(25, fewest=9))
OVERFLOW = "overflow"
TRAPS = [
    [[-256, -2]],
    [[0, -201]],
    [[0, -2]],
    [[0, -3]],
    [[255, -2]],
    [[-1, 0]],
    [[-254, 6]],
]


def random_case(seed: int, path: Path) -> Case:
    network = random_network(seed)
    rng = np.random.default_rng(1000 + seed)
    spikes = (rng.random((2, network.time_steps or 1, *network.input_shape)) < 0.6).astype(np.uint8)
    return Case(write_netx(network, path), read_netx(path), spikes)


def overflowing(path: Path) -> Case:
    """A current that never decays passes 2^23 and wraps, then 2^31, where Lava's int32 overflows."""
    weight = np.stack([np.full(2500, 254), np.full(2500, -256), np.full(2500, 2)]).astype(np.int32)
    network = Network((2500,), (Dense(weight, np.array([4095, -4096, 0]), Lif(0, 0, THRESHOLD.max)),), time_steps=150)
    return Case(write_netx(network, path), network, np.ones((1, 150, 2500), np.uint8))


def trap(index: int, path: Path) -> Case:
    """Weights that netx may change, written over those of a sound file.

    One image for each input that spikes alone: its potential is the weight, 6 bits up.
    """
    safe = Network((2,), (Dense(np.array([[2, 4]]), None, Lif(4096, 4096, THRESHOLD.max)),), time_steps=1)
    write_netx(safe, path)
    with h5py.File(path, "r+") as file:
        file["layer/1/weight"][...] = np.array(TRAPS[index])
    return Case(path, safe, np.eye(2, dtype=np.uint8)[:, None, :])


Told = dict[int | str, tuple[Case, LavaRun]]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What Lava makes of each, from one interpreter."""
    folder = tmp_path_factory.mktemp("nets")
    cases: dict[int | str, Case] = {seed: random_case(seed, folder / f"{seed}.net") for seed in SEEDS}
    cases[OVERFLOW] = overflowing(folder / "overflow.net")
    cases |= {f"trap {index}": trap(index, folder / f"trap{index}.net") for index in range(len(TRAPS))}
    found: Told = {}
    for (name, case), run in zip(cases.items(), run_lava_jobs([case.job for case in cases.values()]), strict=True):
        assert isinstance(run, LavaRun), (name, run)
        found[name] = case, run
    return found


def assert_all_equal(case: Case, run: LavaRun) -> None:
    """Every integer of the twin, of the reference and of Lava."""
    verdict = verify_spikes(case.path, case.network, case.spikes, against=("reference",))
    assert verdict.equal, "\n".join(f"{name}: {at}" for name, at in verdict.differences.items() if at)
    twin = Engine(case.network)
    assert run.trace is not None
    assert first_difference(named_traces(twin.traces(case.spikes), case.network), run.trace) is None
    np.testing.assert_array_equal(run.readout, twin.final_potentials(case.spikes))


@pytest.mark.parametrize("seed", SEEDS)
def test_random_networks_are_equal_on_all_backends(seed: int, told: Told) -> None:
    assert_all_equal(*told[seed])


def test_currents_that_overflow_and_potentials_that_saturate(told: Told) -> None:
    case, run = told[OVERFLOW]
    assert np.abs(next(reference.simulate(case.network, case.spikes)).u).max() > 2**30
    assert_all_equal(case, run)


def test_verify_asks_lava_itself(told: Told) -> None:
    case, _ = told[1]
    assert verify_spikes(case.path, case.network, case.spikes).equal


def test_netx_changes_exactly_the_weights_that_the_rules_say(told: Told) -> None:
    """One file with a dense layer for each trap, each behind the same input; weights are read off the potentials."""
    wanted = [np.floor(loaded_dense_weight(np.array(weight))[0]).tolist() for weight in TRAPS]
    got = [(told[f"trap {index}"][1].readout.reshape(-1) / 64).tolist() for index in range(len(TRAPS))]
    assert got == wanted
