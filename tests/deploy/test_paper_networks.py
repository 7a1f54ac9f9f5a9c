"""The paper's four networks, untrained: each is written with 8 bits; ONNX Runtime and Lava compute the twin's."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from deploy.backends import LavaSettings
from deploy.backends.registry import BACKENDS
from deploy.verify import verify
from esvae.config import load_config
from esvae.errors import HardwareRangeError
from esvae.model import ESVAE
from esvae.run import load_run, save_run
from export.frontends import from_run
from export.ir import FloatNetwork
from export.netx import read_netx
from export.netx.write import write_netx
from export.pipeline import Exported, Options, compiled, export_network

#: Of fashion_mnist's the layers are mnist's.
NAMES = ["mnist", "cifar10", pytest.param("celeba", marks=pytest.mark.slow)]
#: Of a name, what is exported with 8 bits; each once.
Written = Callable[[str], Exported]


@functools.cache
def untrained(name: str) -> FloatNetwork:
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        save_run(Path(folder), ESVAE(load_config(name)), {"finished": True, "epochs": []})
        return from_run(load_run(folder))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    @functools.cache
    def export(name: str) -> Exported:
        target = tmp_path_factory.mktemp("nets") / f"{name}.net"
        return export_network(untrained(name), target, Options(8, "native"))

    return export


def test_fashion_mnist_has_mnists_network() -> None:
    assert load_config("fashion_mnist").model == load_config("mnist").model


@pytest.mark.parametrize("name", NAMES)
def test_it_is_written_with_8_bits_and_onnx_computes_the_same(name: str, written: Written) -> None:
    done = written(name)
    assert all(bounds.u_share < 1 for bounds in done.ranges)
    assert all(layer.verdict == "kept" for layer in done.fidelity)
    if (reason := BACKENDS["onnx"].missing()) is not None:
        pytest.skip(reason)
    assert verify(done.path, 1, against=("onnx",)).equal


@pytest.mark.slow
@pytest.mark.lava
@pytest.mark.parametrize("name", ["mnist", "cifar10", "celeba"])
def test_lava_computes_the_same_natively(name: str, written: Written, tmp_path: Path) -> None:
    network = replace(read_netx(written(name).path), time_steps=3)
    short = write_netx(network, tmp_path / "short.net", stock=False)
    assert verify(short, 1, against=("lava",), lava=LavaSettings("native")).equal


@pytest.mark.parametrize("bits", [8, 4])
def test_a_current_that_could_wrap_takes_a_scale_as_much_smaller(bits: int, written: Written) -> None:
    network = untrained("celeba")
    done = written("celeba") if bits == 8 else compiled(network, Options(bits, "native"))
    bound = [entry.bound_by for entry in done.quantization]
    assert bound == ["weight", "current", *["weight"] * 5]
    assert 0.99 < done.ranges[1].u_share < 1
    with pytest.raises(HardwareRangeError, match=r"no way of lowering .* use --lowering native, whose file our own"):
        compiled(network, Options(bits, "auto"))
