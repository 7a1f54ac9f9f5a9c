"""A tiny network in Lava, each integer held against the reference: whether Lava, as it is here, computes rightly."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from deploy.lava.jobs import WindowsJob
from deploy.lava.run import run_lava
from esvae.chip.formats import DECAY_UNITY, THRESHOLD
from esvae.errors import EsvaeError
from export.ir import Conv, Dense, Flatten, Lif, Network
from export.netx.write import write_netx
from sim import reference
from sim.trace import first_difference, named_traces

__all__ = ["self_test"]

_SEED = 7


def self_test(*, stall_timeout: float = 60.0) -> tuple[int, dict[str, str]]:
    """Runs a small convolution and a dense layer in Lava and compares u, v and s of every step with the reference.

    Returns:
        How many integers were compared, and the versions of what computed them.

    Raises:
        EsvaeError: Lava does not run, or differs.
    """
    rng = np.random.default_rng(_SEED)
    layers = (
        Conv(
            rng.integers(-60, 90, (2, 1, 2, 2)) * 2,
            rng.integers(-30, 30, 2),
            Lif(DECAY_UNITY, 3072, 100),
            padding=(1, 1),
        ),
        Flatten(),
        Dense(rng.integers(-60, 60, (3, 32)) * 2, rng.integers(-30, 30, 3), Lif(2048, 819, THRESHOLD.max)),
    )
    network = Network((1, 3, 3), layers, time_steps=4)
    spikes = (rng.random((2, 4, 1, 3, 3)) < 0.5).astype(np.uint8)
    with tempfile.TemporaryDirectory(prefix="esvae-doctor-") as folder:
        path = write_netx(network, Path(folder) / "self-test.net")
        run = run_lava(WindowsJob(path, spikes, trace=True), stall_timeout=stall_timeout)
    assert run.trace is not None
    expected = named_traces(list(reference.simulate(network, spikes)), network)
    if (found := first_difference(expected, run.trace)) is not None:
        layer, _, state = found[0].partition(".")
        called = network.neuron_labels[network.array_names.index(layer)]
        raise EsvaeError(f"Lava computes other integers than the reference: {state} of {called} differs")
    return sum(values.size for values in expected.values()), run.versions
