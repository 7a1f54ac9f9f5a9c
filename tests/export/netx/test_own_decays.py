"""Decays of their own for each neuron, or channel of a map: in a file, in the check, and where they have no place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from esvae.errors import EsvaeError, HardwareRangeError, NetFileError, UnsupportedLayerError
from export.frontends.netx_file import from_netx
from export.ir import Conv, Dense, InputNeurons, Lif, Network, RecurrentDense
from export.netx.check import check_file
from export.netx.read import read_netx_unguarded
from export.netx.write import write_netx
from export.passes.lower_dense import lower_dense
from sim import reference
from sim.stimulus import Stimulus
from sim.twin.engine import Engine

WEIGHT = np.array([[40, -2], [60, 10], [20, -8]])
BACK = np.array([[0, 2, -4], [6, 0, 8], [-10, 12, 0]])
OWN = Lif((4096, 0, 2048), (1024, 4096, 0), 9)
LAYERS = {"dense": Dense(WEIGHT, None, OWN), "dense_rec": RecurrentDense(WEIGHT, BACK, None, OWN)}


def errors(path: Path) -> list[str]:
    return [found.what for found in check_file(path) if found.severity == "error"]


@pytest.mark.parametrize("kind", LAYERS)
def test_what_is_written_is_read(tmp_path: Path, kind: str) -> None:
    written = Network((2,), (LAYERS[kind],))
    read = read_netx_unguarded(write_netx(written, tmp_path / "own.net"))
    assert read.content_hash() == written.content_hash()
    assert next(read.synapses())[0].neuron == OWN
    assert errors(tmp_path / "own.net") == []


def test_each_neuron_does_what_a_layer_of_its_like_does() -> None:
    spikes = (np.random.default_rng(3).random((2, 30, 2)) < 0.5).astype(np.uint8)
    stimulus = Stimulus(spikes, None, 30)

    def trace(neuron: Lif) -> list[np.ndarray]:
        (found,) = Engine(Network((2,), (Dense(WEIGHT, None, neuron),))).traces(stimulus)
        return [found.u, found.v, found.s]

    together = trace(OWN)
    for k, decays in enumerate(zip(*OWN.decays, strict=True)):
        alone = trace(Lif(*map(int, decays), OWN.threshold))
        assert all((mixed[..., k] == single[..., k]).all() for mixed, single in zip(together, alone, strict=True))
    assert together[2].any()


def test_equal_ones_are_one() -> None:
    assert Lif((7, 7), (9, 9), 1) == Lif(7, 9, 1)
    assert Lif((7, 7), 9, 1).uniform
    assert not OWN.uniform
    assert (OWN.current_keep, OWN.keep) == (1, 1)


def test_a_number_too_large_or_too_many_are_refused() -> None:
    with pytest.raises(HardwareRangeError, match=r"layer 1 \(dense\) voltage: decay 4097 outside"):
        Network((2,), (Dense(WEIGHT, None, Lif(0, (1, 4097, 2), 9)),))
    with pytest.raises(
        NetFileError, match=r"layer 1 \(dense\): 2 current decays, expected one, or one for each neuron"
    ):
        Network((2,), (Dense(WEIGHT, None, Lif((1, 2), 0, 9)),))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Network((1, 3, 3), (Conv(np.ones((2, 1, 1, 1), int), None, OWN),)),
        lambda: Network((3,), (Dense(BACK, None, Lif(0, 0, 9)),), input_neurons=InputNeurons(OWN)),
    ],
)
def test_they_are_for_neurons_behind_synapses(make: Callable[[], Network]) -> None:
    with pytest.raises(NetFileError, match="3 current decays, expected one, or one for each neuron"):
        make()


def test_quantizing_again_is_refused(tmp_path: Path) -> None:
    path = write_netx(Network((2,), (LAYERS["dense"],)), tmp_path / "own.net")
    with pytest.raises(UnsupportedLayerError, match=r"layer 1 \(dense\): its neurons have decays of their own"):
        from_netx(path)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.array([1, 2]), "expected one number, got shape (2,)"),
        (np.array([[1, 2, 3]]), "expected one number, got shape (1, 3)"),
        (np.array([1.0, 2.0, 3.0]), "Lava cannot shift it"),
        (np.array([1, 2, 4097]), "outside [0, 4096]"),
    ],
)
def test_what_netx_does_not_take_is_found(tmp_path: Path, values: np.ndarray, said: str) -> None:
    path = write_netx(Network((2,), (LAYERS["dense"],)), tmp_path / "own.net")
    with h5py.File(path, "r+") as file:
        del file["esvae"], file["layer/1/neuron/iDecay"]
        file["layer/1/neuron/iDecay"] = values
    assert any(said in text for text in errors(path))


MAP = Conv(np.array([40, -20, 60]).reshape(3, 1, 1, 1), None, OWN)


def test_each_channel_of_a_map_does_what_a_map_of_its_like_does(tmp_path: Path) -> None:
    """Three channels three pixels wide: decays that went along another axis would fit, too."""
    spikes = (np.random.default_rng(3).random((2, 20, 9)) < 0.5).astype(np.uint8)

    def trace(network: Network) -> list[np.ndarray]:
        stimulus = Stimulus(spikes.reshape(2, 20, *network.input_shape), None, 20)
        (found,) = Engine(network).traces(stimulus)
        (plain,) = reference.simulate(network, stimulus)
        assert all((getattr(found, x) == getattr(plain, x)).all() for x in "uvs")
        return [found.u, found.v, found.s]

    written = Network((1, 3, 3), (MAP,))
    path = write_netx(written, tmp_path / "map.net")
    assert errors(path) == []
    assert read_netx_unguarded(path).content_hash() == written.content_hash()
    together = trace(read_netx_unguarded(path))
    unrolled = trace(lower_dense(written))
    for k, decays in enumerate(zip(*OWN.decays, strict=True)):
        alone = trace(Network((1, 3, 3), (replace(MAP, neuron=Lif(*map(int, decays), OWN.threshold)),)))
        for mixed, single, flat in zip(together, alone, unrolled, strict=True):
            assert (mixed[:, :, k] == single[:, :, k]).all()
            assert (mixed.reshape(flat.shape) == flat).all()
    assert together[2].any()


def test_channels_of_a_map_are_counted(tmp_path: Path) -> None:
    path = write_netx(Network((1, 3, 2), (MAP,)), tmp_path / "c.net")
    with h5py.File(path, "r+") as file:
        del file["esvae"], file["layer/1/neuron/vDecay"]
        file["layer/1/neuron/vDecay"] = np.array([1, 2])
    with pytest.raises(EsvaeError, match=r"neuron/vDecay: expected one number, got shape \(2,\)"):
        read_netx_unguarded(path)
    assert errors(path)
