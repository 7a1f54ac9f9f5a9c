"""Files that are not ours, as lava-dl ships them for its tests and as its slayer writes them: Lava is the judge."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest

from deploy.lava.find import find_lava_python
from deploy.lava.jobs import SamplesJob
from deploy.lava.results import LavaRun
from deploy.lava.run import run_lava_jobs
from esvae.errors import UnsupportedLayerError
from export.ir import INTEGRATOR, NEVER_FIRES, Conv, Dense
from export.netx import read_netx
from export.netx.write import write_netx
from sim import reference
from sim.stimulus import Stimulus, Timing, as_stimulus
from sim.trace import first_difference, named_traces
from sim.twin.engine import Engine

pytestmark = [pytest.mark.lava, pytest.mark.slow]

#: Run in Lava's interpreter: two small networks of untrained slayer blocks, written by slayer itself.
SLAYER = """
import sys, h5py, torch
from lava.lib.dl import slayer
torch.manual_seed(3)
cuba = dict(threshold=0.4, current_decay=0.3, voltage_decay=0.1, requires_grad=False)
block = slayer.block.cuba
image = [
    block.Input(cuba, weight=1, bias=0.1),
    block.Conv(cuba, 2, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2, weight_scale=3),
    block.Flatten(),
    block.Dense(cuba, 126, 10, weight_scale=3, delay=True),
    block.Affine(cuba, 10, 4, weight_scale=3),
]
spikes = [
    block.Dense(cuba, 12, 9, weight_scale=3, delay=True, weight_norm=True),
    block.Dense(cuba, 9, 7, weight_scale=3),
    block.Affine(cuba, 7, 3, weight_scale=3, dynamics=False),
]
for blocks, x, path in ((image, torch.rand(1, 2, 5, 9, 6), sys.argv[1]), (spikes, torch.ones(1, 12, 6), sys.argv[2])):
    for each in blocks:
        x = each(x)
        if getattr(each, "delay", None) is not None:
            each.delay.delay.data = torch.rand(each.delay.delay.shape) * 5
    with h5py.File(path, "w") as file:
        for k, each in enumerate(blocks):
            each.export_hdf5(file.create_group(f"layer/{k}"))
"""


@pytest.fixture(scope="module")
def python() -> Path:
    return find_lava_python()


@pytest.fixture(scope="module")
def shipped() -> Path:
    """Where lava-dl's wheel puts the networks of its own tests."""
    found = importlib.util.find_spec("lava")
    folders = [] if found is None else [Path(place).parent for place in found.submodule_search_locations or []]
    files = [folder / "tests/lava/lib/dl/netx" for folder in folders]
    return next((path for path in files if (path / "tiny.net").exists()), None) or pytest.skip("no example files here")


@pytest.fixture(scope="module")
def written(python: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("slayer")
    paths = folder / "image.net", folder / "spikes.net"
    done = subprocess.run([str(python), "-W", "ignore", "-c", SLAYER, *map(str, paths)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return paths


def stimulus(path: Path, steps: int, timing: Timing, layers: int | None = None, samples: int = 1) -> Stimulus:
    network = read_netx(path, layers=layers)
    rng = np.random.default_rng(0)
    if network.input_neurons is not None:
        images = rng.integers(-60, 100, (samples, *network.input_shape))
        return as_stimulus(network, Stimulus(None, images, steps, timing))
    spikes = (rng.random((samples, steps, *network.input_shape)) < 0.3).astype(np.uint8)
    return as_stimulus(network, Stimulus(spikes, None, steps, timing))


def assert_all_equal(jobs: list[SamplesJob]) -> None:
    for job, got in zip(jobs, run_lava_jobs(jobs), strict=True):
        assert isinstance(got, LavaRun), got
        assert got.trace is not None
        network = read_netx(job.net, layers=job.layers)
        twin = named_traces(Engine(network).traces(job.stimulus), network)
        assert first_difference(got.trace, twin) is None, job.net
        expected = named_traces(list(reference.simulate(network, job.stimulus)), network)
        assert first_difference(got.trace, expected) is None
        assert twin[f"{network.array_names[0]}.s"].any(), "nothing fires in the first layer, so nothing is tested"


@pytest.mark.timeout(600)
def test_files_that_lava_dl_ships(shipped: Path, python: Path) -> None:
    tiny, digits = shipped / "tiny.net", shipped / "gts/ntidigits/ntidigits.net"
    assert_all_equal(
        [
            SamplesJob(tiny, stimulus(tiny, 7, Timing()), trace=True),
            SamplesJob(tiny, stimulus(tiny, 7, Timing(3, 1, True)), trace=True),
            SamplesJob(digits, stimulus(digits, 8, Timing(5, 0, True), 5), 5, trace=True),
        ]
    )


@pytest.mark.timeout(600)
def test_files_that_slayer_writes(written: tuple[Path, Path], tmp_path: Path) -> None:
    image, spikes = written
    network = read_netx(image)
    assert network.input_neurons is not None
    conv = network.layers[0]
    assert isinstance(conv, Conv)
    assert (conv.groups, conv.stride, conv.padding, conv.dilation) == (2, (2, 1), (1, 0), (1, 2))
    dense, affine = network.layers[-2:]
    assert isinstance(dense, Dense)
    assert dense.delay is not None
    assert affine.neuron.threshold == NEVER_FIRES  # type: ignore[union-attr]
    assert read_netx(spikes).layers[-1].neuron == INTEGRATOR  # type: ignore[union-attr]
    again = write_netx(network, tmp_path / "again.net")
    assert read_netx(again).content_hash() == network.content_hash()
    jobs = [
        SamplesJob(path, stimulus(path, 12, timing), trace=True)
        for path in written
        for timing in (Timing(), Timing(4, 2, True))
    ]
    assert_all_equal([*jobs, SamplesJob(again, stimulus(again, 12, Timing(3)), trace=True)])


def test_averages_are_counted_by_integrators(shipped: Path, tmp_path: Path) -> None:
    """lava-dl's NTIDIGITS file, whose last layer netx has no code for, as the file that stands for it."""
    path = shipped / "gts/ntidigits/ntidigits.net"
    network = read_netx(path)
    assert network.layers[-1].neuron == INTEGRATOR  # type: ignore[union-attr]
    job = SamplesJob(write_netx(network, tmp_path / "lowered.net"), stimulus(path, 16, Timing()), trace=True)
    assert_all_equal([job])
    *_, last, sums = Engine(network).traces(job.stimulus)
    assert last.s.any()
    assert (sums.v == 64 * last.s.reshape(*last.s.shape[:2], 11, 22).sum(3).cumsum(1)).all()


def test_what_netx_does_not_load_says_how_far_it_goes(shipped: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(shipped / "gts/ntidigits/ntidigits.net", tmp_path))
    with h5py.File(path, "r+") as file:
        file["layer/5/type"][...] = np.bytes_("concat")
    with pytest.raises(
        UnsupportedLayerError, match=r"layer 5 \(concat\): type 'concat'.*--layers 5 runs what comes before it"
    ):
        read_netx(path)
