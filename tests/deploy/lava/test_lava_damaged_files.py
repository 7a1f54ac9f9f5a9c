"""Files that netx cannot read, build or run: one clear line, the same from every kind of run that netx builds."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from deploy.lava.jobs import LavaJob
from deploy.lava.results import LavaRun
from deploy.lava.run import run_lava_jobs
from esvae.errors import EsvaeError, LavaDiedError, NetFileError, UnsupportedLayerError
from lava_kinds import KINDS, NETX, write_dense

pytestmark = pytest.mark.lava


DAMAGES: dict[str, tuple[Callable[[Path], object], type[EsvaeError], str]] = {
    "nonsense": (
        lambda net: net.write_bytes(b"nonsense" * 99),
        NetFileError,
        "not a readable .net file: .*signature not found",
    ),
    "cut short": (
        lambda net: net.write_bytes(net.read_bytes()[:3000]),
        NetFileError,
        "not a readable .net file: .*truncated",
    ),
    "empty": (
        lambda net: h5py.File(net, "w").close(),
        NetFileError,
        "not a readable .net file: .*'layer' doesn't exist",
    ),
    "no weights": (
        lambda net: write_dense(net, weight=np.zeros((3, 4), int)),
        NetFileError,
        "netx cannot build it: OverflowError",
    ),
    "unknown layer": (
        lambda net: write_dense(net, type=b"convT"),
        UnsupportedLayerError,
        "netx cannot run it: convT is not impl",
    ),
    "other neuron": (
        lambda net: write_dense(net, neuron_type=b"RF"),
        UnsupportedLayerError,
        r"netx cannot run it: layer 1 \(dense\) has a RF neuron, expected",
    ),
    "too many biases": (
        lambda net: write_dense(net, bias=np.zeros(5, int)),
        LavaDiedError,
        r"layer 1 \(dense\) neuron \(LIFReset\), pid \d+, raised ValueError: could not broadcast .* while compiling",
    ),
}
#: The work on samples sets biases itself.
CASES = [
    (name, kind) for name in DAMAGES for kind in NETX if name != "too many biases" or not kind.startswith("samples")
]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], tuple[LavaJob, LavaRun | EsvaeError]]:
    """What comes of each, from one interpreter."""
    jobs = []
    for name, kind in CASES:
        job = KINDS[kind](tmp_path_factory.mktemp("net"), 5)
        DAMAGES[name][0](Path(job.about))
        jobs.append(job)
    return dict(zip(CASES, zip(jobs, run_lava_jobs(jobs), strict=True), strict=True))


@pytest.mark.parametrize(("damage", "name"), CASES)
def test_damaged_file(
    damage: str, name: str, answers: dict[tuple[str, str], tuple[LavaJob, LavaRun | EsvaeError]]
) -> None:
    job, answer = answers[damage, name]
    _, error, message = DAMAGES[damage]
    assert isinstance(answer, error), answer
    assert re.search(message, str(answer))
    assert error is LavaDiedError or str(job.about) in str(answer)
    assert "\n" not in str(answer)
