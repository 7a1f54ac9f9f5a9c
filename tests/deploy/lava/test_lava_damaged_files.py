"""Files that netx cannot read, build or run: one clear line, the same from every kind of run that netx builds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from deploy.lava.find import find_lava_python
from deploy.lava.run import run_lava
from esvae.errors import EsvaeError, LavaDiedError, LavaMissingError, NetFileError, UnsupportedLayerError
from lava_kinds import KINDS, NETX, write_dense

try:
    find_lava_python()
    MISSING = ""
except LavaMissingError as error:
    MISSING = str(error)
pytestmark = [pytest.mark.lava, pytest.mark.skipif(bool(MISSING), reason=MISSING)]


@pytest.mark.parametrize("name", NETX)
@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (
            lambda net: net.write_bytes(b"nonsense" * 99),
            NetFileError,
            "not a readable .net file: .*signature not found",
        ),
        (lambda net: net.write_bytes(net.read_bytes()[:3000]), NetFileError, "not a readable .net file: .*truncated"),
        (lambda net: h5py.File(net, "w").close(), NetFileError, "not a readable .net file: .*'layer' doesn't exist"),
        (
            lambda net: write_dense(net, weight=np.zeros((3, 4), int)),
            NetFileError,
            "netx cannot build it: OverflowError",
        ),
        (lambda net: write_dense(net, type=b"convT"), UnsupportedLayerError, "netx cannot run it: convT is not impl"),
        (
            lambda net: write_dense(net, neuron_type=b"RF"),
            UnsupportedLayerError,
            "netx cannot run it: layer 1 has a RF neuron, expected",
        ),
    ],
    ids=["nonsense", "cut short", "empty", "no weights", "unknown layer", "other neuron"],
)
def test_damaged_file(
    tmp_path: Path, name: str, damage: Callable[[Path], object], error: type[EsvaeError], message: str
) -> None:
    job = KINDS[name](tmp_path, 5)
    damage(Path(job.about))
    with pytest.raises(error, match=message) as caught:
        run_lava(job)
    assert str(job.about) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in NETX if name != "samples"])  # which sets biases itself
def test_model_that_lava_cannot_build(tmp_path: Path, name: str) -> None:
    job = KINDS[name](tmp_path, 5)
    write_dense(Path(job.about), bias=np.zeros(5, int))
    told = r"layer 0 neuron \(LIFReset\), pid \d+, raised ValueError: could not broadcast .* while compiling"
    with pytest.raises(LavaDiedError, match=told):
        run_lava(job)
