"""Pixels that fire, on stock Lava: every integer of the image's steps and of the read phase, image after image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from circuit_networks import host_generator

from deploy.backends import BackendJob, run_backend
from deploy.entering import InputOptions, enter
from deploy.verify import verify
from export.circuit.generator import CircuitOptions, with_circuit
from export.circuit.tables import TableOptions
from export.netx import read_netx
from export.netx.write import write_netx
from export.readout import with_spike_readout
from sim.sampler import draw_latents

pytestmark = pytest.mark.lava


@pytest.mark.parametrize("chip", [False, True], ids=["host", "chip"])
@pytest.mark.parametrize("chained", [False, True], ids=["conv", "dense"])
def test_every_integer_and_the_pictures(tmp_path: Path, chained: bool, chip: bool) -> None:
    network = host_generator(chained=chained)
    network = with_spike_readout(network, 6, draw_latents(network, 7, np.arange(32)))
    if chip:
        network = with_circuit(network, CircuitOptions(0, TableOptions(noise_bits=16)))
    net = write_netx(network, tmp_path / "a.net")
    verdict = verify(net, 3, against=("lava",))
    assert verdict.equal, verdict.differences
    if chip != chained:  # untraced, one of either kind
        job = BackendJob(net, enter(read_netx(net), InputOptions(3)))
        np.testing.assert_array_equal(run_backend("lava", job).potentials, run_backend("twin", job).potentials)
