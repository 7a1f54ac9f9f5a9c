"""The paper's four networks, untrained: each is written with 8 bits; ONNX Runtime and Lava compute the twin's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from deploy.backends import LavaSettings
from deploy.backends.registry import BACKENDS
from deploy.lava.find import find_lava_python
from deploy.verify import verify
from esvae.config import load_config
from esvae.errors import HardwareRangeError, LavaMissingError
from esvae.model import ESVAE
from esvae.run import Run, load_run, save_run
from export.frontends import from_run
from export.netx import read_netx
from export.netx.write import write_netx
from export.pipeline import Options, compiled, export_run

try:
    find_lava_python()
    MISSING = ""
except LavaMissingError as error:
    MISSING = str(error)

# mnist and fashion_mnist have the same network, but for its data.
NAMES = ["mnist", "fashion_mnist", "cifar10", pytest.param("celeba", marks=pytest.mark.slow)]


def untrained(name: str, folder: Path) -> Run:
    torch.manual_seed(0)
    save_run(folder / "run", ESVAE(load_config(name)), {"finished": True, "epochs": []})
    return load_run(folder / "run")


@pytest.mark.parametrize("name", NAMES)
def test_it_is_written_with_8_bits_and_onnx_computes_the_same(name: str, tmp_path: Path) -> None:
    done = export_run(untrained(name, tmp_path), tmp_path / "a.net", weight_bits=8, lowering="native")
    assert all(bounds.u_share < 1 for bounds in done.ranges)
    assert all(layer.verdict == "kept" for layer in done.fidelity)
    if (reason := BACKENDS["onnx"].missing()) is not None:
        pytest.skip(reason)
    assert verify(done.path, 1, against=("onnx",)).equal


@pytest.mark.slow
@pytest.mark.lava
@pytest.mark.skipif(bool(MISSING), reason=MISSING)
@pytest.mark.parametrize("name", ["mnist", "cifar10", "celeba"])
def test_lava_computes_the_same_natively(name: str, tmp_path: Path) -> None:
    done = export_run(untrained(name, tmp_path), tmp_path / "a.net", weight_bits=8, lowering="native")
    short = write_netx(replace(read_netx(done.path), time_steps=3), tmp_path / "short.net", stock=False)
    assert verify(short, 1, against=("lava",), lava=LavaSettings("native")).equal


@pytest.mark.parametrize("bits", [8, 4])
def test_a_current_that_could_wrap_takes_a_scale_as_much_smaller(bits: int, tmp_path: Path) -> None:
    network = from_run(untrained("celeba", tmp_path))
    done = compiled(network, Options(bits, "native"))
    bound = [entry.bound_by for entry in done.quantization]
    assert bound == ["weight", "current", *["weight"] * 5]
    assert 0.99 < done.ranges[1].u_share < 1
    with pytest.raises(HardwareRangeError, match=r"no way of lowering .* use --lowering native, whose file our own"):
        compiled(network, Options(bits, "auto"))
