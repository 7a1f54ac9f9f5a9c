"""Lava is the judge: random networks, numbers at every limit, and what netx does to weights."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from deploy.lava.find import find_lava_python
from deploy.lava.jobs import WindowsJob
from deploy.lava.run import run_lava
from deploy.verify import verify_spikes
from esvae.chip.formats import BIAS, THRESHOLD
from esvae.errors import LavaMissingError
from export.ir import Conv, Dense, Flatten, Layer, Lif, Network
from export.netx import read_netx
from export.netx.rules import loaded_dense_weight
from export.netx.write import write_netx
from sim import reference

try:
    find_lava_python()
    WHY = ""
except LavaMissingError as error:
    WHY = str(error)

pytestmark = [pytest.mark.lava, pytest.mark.skipif(bool(WHY), reason=WHY)]


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


@pytest.mark.parametrize("seed", range(25))
def test_random_networks_are_equal_on_all_backends(seed: int, tmp_path: Path) -> None:
    network = random_network(seed)
    path = write_netx(network, tmp_path / "random.net")
    rng = np.random.default_rng(1000 + seed)
    spikes = (rng.random((2, network.time_steps or 1, *network.input_shape)) < 0.6).astype(np.uint8)
    verdict = verify_spikes(path, read_netx(path), spikes)
    assert verdict.equal, "\n".join(f"{name}: {at}" for name, at in verdict.differences.items() if at)


def test_currents_that_overflow_and_potentials_that_saturate(tmp_path: Path) -> None:
    """A current that never decays passes 2^23 and wraps, then 2^31, where Lava's int32 overflows."""
    weight = np.stack([np.full(2500, 254), np.full(2500, -256), np.full(2500, 2)]).astype(np.int32)
    network = Network((2500,), (Dense(weight, np.array([4095, -4096, 0]), Lif(0, 0, THRESHOLD.max)),), time_steps=150)
    path = write_netx(network, tmp_path / "wrap.net")
    spikes = np.ones((1, 150, 2500), np.uint8)
    assert np.abs(next(reference.simulate(network, spikes)).u).max() > 2**30
    verdict = verify_spikes(path, network, spikes)
    assert verdict.equal, verdict.differences


TRAPS = [
    [[-256, -2]],
    [[0, -201]],
    [[0, -2]],
    [[0, -3]],
    [[255, -2]],
    [[-1, 0]],
    [[-254, 6]],
]


def test_netx_changes_exactly_the_weights_that_the_rules_say(tmp_path: Path) -> None:
    """One file with a dense layer for each trap, each behind the same input; weights are read off the potentials."""
    wanted, got = [], []
    for index, trap in enumerate(TRAPS):
        weight = np.array(trap)
        safe = Network((2,), (Dense(np.array([[2, 4]]), None, Lif(4096, 4096, THRESHOLD.max)),), time_steps=1)
        path = write_netx(safe, tmp_path / f"trap{index}.net")
        with h5py.File(path, "r+") as file:
            file["layer/1/weight"][...] = weight
        # One image for each input that spikes alone: its potential is the weight, 6 bits up.
        run = run_lava(WindowsJob(path, np.eye(2, dtype=np.uint8)[:, None, :]))
        got.append((run.readout.reshape(-1) / 64).tolist())
        wanted.append(np.floor(loaded_dense_weight(weight)[0]).tolist())
    assert got == wanted
