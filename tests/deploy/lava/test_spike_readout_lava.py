"""Pixels that fire, on stock Lava: every integer of the image's steps and of the read phase, image after image."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from circuit_networks import host_generator

from deploy.backends import BackendJob, run_backend
from deploy.circuit import write_beside
from deploy.entering import InputOptions, enter
from deploy.lava.find import find_lava_python
from deploy.verify import verify
from esvae.errors import LavaMissingError
from export.circuit.generator import CircuitOptions, with_circuit
from export.circuit.tables import TableOptions
from export.netx import read_netx
from export.netx.write import write_netx
from export.readout import with_spike_readout
from sim.sampler import draw_latents
from sim.twin.engine import Engine

try:
    PYTHON: Path | None = find_lava_python()
    MISSING = ""
except LavaMissingError as error:
    PYTHON, MISSING = None, str(error)

pytestmark = [pytest.mark.lava, pytest.mark.skipif(bool(MISSING), reason=MISSING)]


@pytest.mark.parametrize("chip", [False, True], ids=["host", "chip"])
@pytest.mark.parametrize("chained", [False, True], ids=["conv", "dense"])
def test_every_integer_and_the_pictures(tmp_path: Path, chained: bool, chip: bool) -> None:
    network = host_generator(chained=chained)
    network = with_spike_readout(network, 6, draw_latents(network, 7, np.arange(32)))
    if chip:
        network = with_circuit(network, CircuitOptions(0, TableOptions(noise_bits=16)))
    net = write_netx(network, tmp_path / "a.net")
    verdict = verify(net, 5, against=("lava",))
    assert verdict.equal, verdict.differences
    job = BackendJob(net, enter(read_netx(net), InputOptions(5)))
    np.testing.assert_array_equal(run_backend("lava", job).potentials, run_backend("twin", job).potentials)


def test_the_script_prints_spikes_on_stock_netx_as_it_stands(tmp_path: Path) -> None:
    network = host_generator(chained=False)
    network = with_spike_readout(network, 6, draw_latents(network, 7, np.arange(32)))
    network = with_circuit(network, CircuitOptions(0, TableOptions(noise_bits=16)))
    write_netx(network, tmp_path / "gen.net")
    _, script = write_beside(network, tmp_path / "gen.net")
    done = subprocess.run(
        [str(PYTHON), script.name], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True
    )
    wanted = Engine(network).traces(draw_latents(network, 0, np.arange(1)))[-1].s[0].astype(int)
    assert wanted.any()
    assert json.loads(done.stdout.strip().splitlines()[-1]) == wanted.tolist()
