"""Generators that draw on the chip, in stock Lava, with nothing fed in."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from circuit_networks import circuit_generator, host_generator

from deploy.backends import BackendJob, run_backend
from deploy.circuit import write_beside
from deploy.entering import InputOptions, enter
from deploy.lava.find import find_lava_python
from deploy.verify import verify
from export.circuit.generator import CircuitOptions, with_circuit
from export.circuit.tables import TableOptions
from export.netx import read_netx
from export.netx.write import write_netx
from export.readout import with_spike_readout
from sim.sampler import draw_latents
from sim.twin.engine import Engine

pytestmark = pytest.mark.lava


@pytest.mark.parametrize("chained", [True, False], ids=["one file", "two files"])
def test_every_integer_from_power_on(tmp_path: Path, chained: bool) -> None:
    net = write_netx(circuit_generator(chained=chained), tmp_path / "gen.net")
    verdict = verify(net, 8, against=("lava",))
    assert verdict.equal, verdict.differences


def test_lava_draws_and_only_the_decoder_is_shown(tmp_path: Path) -> None:
    """Also of images that are not the first: Lava draws those before them too."""
    net = write_netx(circuit_generator(seed=3), tmp_path / "gen.net")
    job = BackendJob(net, enter(read_netx(net), InputOptions(6)).part(2, 5), trace=True)
    lava, twin = (run_backend(name, job) for name in ("lava", "twin"))
    np.testing.assert_array_equal(lava.potentials, twin.potentials)
    assert lava.traces is not None
    assert twin.traces is not None
    assert lava.traces.keys() == twin.traces.keys()
    for name, values in twin.traces.items():
        np.testing.assert_array_equal(lava.traces[name], values)


def test_the_scripts_draw_on_stock_netx_as_they_stand(tmp_path: Path) -> None:
    """One prints potentials, one the spikes of pixels that fire; both in one interpreter, as the import is slow."""
    plain = circuit_generator(chained=False)
    firing = host_generator(chained=False)
    firing = with_spike_readout(firing, 6, draw_latents(firing, 7, np.arange(32)))
    firing = with_circuit(firing, CircuitOptions(0, TableOptions(noise_bits=16)))
    scripts = []
    for name, network in (("plain", plain), ("firing", firing)):
        write_netx(network, tmp_path / f"{name}.net")
        scripts.append(write_beside(network, tmp_path / f"{name}.net")[1].name)
    both = f"import runpy\nfor name in {scripts}: runpy.run_path(name, run_name='__main__')"
    done = subprocess.run(
        [str(find_lava_python()), "-c", both], cwd=tmp_path, capture_output=True, text=True, timeout=600, check=True
    )
    *_, potentials, spikes = done.stdout.strip().splitlines()
    latents = draw_latents(plain, 0, np.arange(1)).reshape(1, -1, *plain.input_shape)
    assert json.loads(potentials) == Engine(plain).final_potentials(latents)[0].ravel().tolist()
    wanted = Engine(firing).traces(draw_latents(firing, 0, np.arange(1)))[-1].s[0].astype(int)
    assert wanted.any()
    assert json.loads(spikes) == wanted.tolist()


def test_another_seed_draws_others(tmp_path: Path) -> None:
    network = circuit_generator(seed=8)
    net = write_netx(replace(network), tmp_path / "gen.net")
    job = BackendJob(net, enter(network, InputOptions(4)))
    np.testing.assert_array_equal(run_backend("lava", job).potentials, run_backend("twin", job).potentials)
