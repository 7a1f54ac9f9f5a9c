"""Files that each framework wrote (``tests/make_nir_files.py``): the float simulator fires as the framework did, spike
for spike in every layer; and what is exported runs alike in the twin, the reference and Lava."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.verify import verify_spikes
from export.float_simulate import FloatTrace, simulate_float
from export.frontends.nir import NirMeaning, NirSource, read_nir
from export.ir import RecurrentDense
from export.netx import read_netx
from export.pipeline import export_network
from sim.reference import simulate
from sim.twin.engine import Engine

FILES = Path(__file__).parent / "files"

#: How each file is meant; what is not given here is told by the file.
MEANT: dict[str, dict[str, Any]] = {
    "norse_lif_box": {"written_by": "norse", "reset": "zero"},
    "norse_lif_cell": {"written_by": "norse", "reset": "zero"},
    "rockpool_lif": {"reset": "subtract"},
    "sinabs_iaf": {"written_by": "sinabs", "reset": "subtract"},
    "sinabs_iaf_conv": {"written_by": "sinabs", "reset": "zero"},
    "sinabs_lif": {"written_by": "sinabs", "reset": "subtract"},
    "snntorch_conv": {"reset": "zero"},
    "snntorch_leaky_subtract": {"written_by": "snntorch", "reset": "subtract"},
    "snntorch_leaky_zero": {"reset": "zero"},
    "snntorch_recurrent": {"written_by": "snntorch", "reset": "subtract"},
    "snntorch_synaptic": {"reset": "zero"},
    "snntorch_thresholds": {"reset": "zero"},
    "spikingjelly_cuba": {"written_by": "spikingjelly", "reset": "zero"},
    "spikingjelly_nodes": {"written_by": "spikingjelly", "reset": "zero"},
}


def source(name: str) -> NirSource:
    return read_nir(FILES / f"{name}.nir", NirMeaning(**MEANT[name]))


def recording(name: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """The raster, and what each layer of neurons gave."""
    with np.load(FILES / f"{name}.npz") as held:
        return held["raster"], [held[f"layer_{number}"] for number in range(len(held) - 1)]


def flat(values: np.ndarray) -> np.ndarray:
    return values.reshape(*values.shape[:2], -1)


def own(traces: list[FloatTrace], count: int) -> list[FloatTrace]:
    """Without neurons that relay the input."""
    return traces[len(traces) - count :]


def test_every_file_is_held() -> None:
    assert {path.stem for path in FILES.glob("*.nir")} == set(MEANT) == {path.stem for path in FILES.glob("*.npz")}
    assert sum(path.stat().st_size for path in FILES.iterdir()) < 400_000


@pytest.mark.parametrize("name", sorted(MEANT))
def test_spikes_are_the_frameworks(name: str) -> None:
    network = source(name).network
    raster, layers = recording(name)
    traces = own(simulate_float(network, raster.reshape(*raster.shape[:2], *network.input_shape)), len(layers))
    for trace, wanted in zip(traces, layers, strict=True):
        count = flat(wanted).shape[2]  # a neuron that always fires comes behind them
        if wanted.dtype == np.uint8:
            assert 0.01 < wanted.mean() < 0.95, "neither silent nor always firing"
            assert (flat(trace.s)[..., :count] == flat(wanted)).all()
            assert flat(trace.s)[..., count:].all()
        else:  # potentials of a readout, float32
            assert np.allclose(flat(trace.v), flat(wanted), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", sorted(MEANT))
def test_what_is_exported_runs_alike_in_twin_and_reference(name: str, tmp_path: Path) -> None:
    done = export_network(source(name).network, tmp_path / "a.net")
    network = read_netx(done.path)
    assert network.content_hash() == done.network.content_hash()
    raster = recording(name)[0]
    raster = raster.reshape(*raster.shape[:2], *network.input_shape)
    (activities,) = Engine(network).run(raster, trace=True, chunk=len(raster))
    for activity, trace in zip(activities, simulate(network, raster), strict=True):
        assert activity.trace is not None
        for key in "uvs":
            assert (getattr(activity.trace, key) == getattr(trace, key)).all(), key


@pytest.mark.lava
@pytest.mark.parametrize("name", ["snntorch_synaptic", "snntorch_recurrent", "snntorch_conv"])
def test_lava_fires_as_the_twin(name: str, tmp_path: Path) -> None:
    done = export_network(source(name).network, tmp_path / "a.net")
    raster = recording(name)[0][:1, :12]
    spikes = raster.reshape(*raster.shape[:2], *done.network.input_shape)
    verdict = verify_spikes(done.path, done.network, spikes, against=["lava"])
    assert verdict.equal, verdict.differences


def test_a_reset_that_subtracts_is_a_synapse_onto_the_neuron_itself() -> None:
    network = source("snntorch_leaky_subtract").network
    for layer, threshold, beta in zip(network.synapses[1:], (1.0, 0.8), (0.9, 0.75), strict=True):
        assert isinstance(layer.synapse, RecurrentDense)
        count = layer.synapse.outputs - (threshold == 1.0)  # one more that always fires, for the next one's bias
        taken = np.diag(np.diag(layer.synapse.recurrent))
        assert (layer.synapse.recurrent == taken).all()
        assert np.allclose(np.diag(taken)[:count], -threshold)
        assert layer.synapse.neuron.keep == 0
        assert layer.synapse.neuron.current_keep == pytest.approx(beta)
