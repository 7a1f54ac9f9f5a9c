"""``dense_rec`` in a file: what is written is read, what netx would not load as written is refused."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given

from esvae.errors import HardwareRangeError, NetFileError, UnsupportedLayerError
from export.ir import INTEGRATOR, Lif, Network, RecurrentDense
from export.netx.check import check_file
from export.netx.read import read_netx_unguarded
from export.netx.write import write_netx
from strategies import recurrent_layers

ENTERING = np.array([[4, -2], [6, 10], [0, -8]])
BACK = np.array([[0, 2, -4], [6, 0, 8], [-10, 12, 0]])
NEURON = Lif(4096, 1024, 40)


def network(weight: np.ndarray = ENTERING, recurrent: np.ndarray = BACK, neuron: Lif = NEURON) -> Network:
    return Network((weight.shape[1],), (RecurrentDense(weight, recurrent, np.array([1, 0, -3]), neuron),))


@pytest.mark.parametrize("neuron", [NEURON, INTEGRATOR])
def test_what_is_written_is_read(tmp_path: Path, neuron: Lif) -> None:
    written = network(neuron=neuron)
    read = read_netx_unguarded(write_netx(written, tmp_path / "r.net"))
    assert read.content_hash() == written.content_hash()
    assert read.labels == ("layer 1 (dense_rec)",)
    assert not [found for found in check_file(tmp_path / "r.net") if found.severity == "error"]


@given(recurrent_layers(3, 4, exact_dense=True))
def test_every_layer_that_netx_loads_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, layer: RecurrentDense
) -> None:
    written = Network((3,), (layer,))
    path = write_netx(written, tmp_path_factory.mktemp("file") / "r.net")
    assert read_netx_unguarded(path).content_hash() == written.content_hash()


def test_both_matrices_count(tmp_path: Path) -> None:
    assert network().content_hash() != network(recurrent=BACK.T.copy()).content_hash()
    with pytest.raises(HardwareRangeError, match=r"layer 1 \(dense_rec\): .*all weights are zero"):
        write_netx(network(0 * ENTERING, 0 * BACK), tmp_path / "r.net")
    with pytest.raises(HardwareRangeError, match=r"recurrent weight 255 at \(0, 1\)"):
        write_netx(network(recurrent=np.where(BACK == 2, 255, BACK)), tmp_path / "r.net")
    write_netx(network(weight=0 * ENTERING), tmp_path / "r.net")


def test_shapes_must_fit() -> None:
    with pytest.raises(NetFileError, match=r"recurrent weight has shape \(3, 2\), expected \(3, 3\)"):
        network(recurrent=BACK[:, :2])


def changed(path: Path, key: str, values: object) -> Path:
    with h5py.File(path, "r+") as file:
        del file["esvae"]
        if key in file["layer/1"]:
            del file["layer/1"][key]
        if values is not None:
            file["layer/1"][key] = values
    return path


def test_delays_are_refused(tmp_path: Path) -> None:
    path = changed(write_netx(network(), tmp_path / "r.net"), "delay", np.ones((3, 3), int))
    with pytest.raises(UnsupportedLayerError, match="netx also delays the layer's own spikes"):
        read_netx_unguarded(path)
    assert any("delays the layer's own spikes" in found.what for found in check_file(path))


def test_a_recurrent_matrix_must_be_there(tmp_path: Path) -> None:
    path = changed(write_netx(network(), tmp_path / "r.net"), "weight_rec", None)
    with pytest.raises(UnsupportedLayerError, match="without 'weight_rec'"):
        read_netx_unguarded(path)
    assert any(found.severity == "error" and "weight_rec" in found.what for found in check_file(path))


@pytest.mark.parametrize(("flat", "found"), [(("weight_rec",), 1), (("weight",), 0), (("weight", "weight_rec"), 0)])
def test_a_flat_recurrent_matrix_beside_one_that_is_not_is_found(
    tmp_path: Path, flat: tuple[str, ...], found: int
) -> None:
    path = write_netx(network(), tmp_path / "r.net")
    values = {"weight": ENTERING, "weight_rec": BACK}
    with h5py.File(path, "r+") as file:
        del file["esvae"]
        for key in flat:
            del file["layer/1"][key]
            file["layer/1"][key] = values[key].reshape(-1)
    assert sum("is flat beside" in error.what for error in check_file(path) if error.severity == "error") == found
