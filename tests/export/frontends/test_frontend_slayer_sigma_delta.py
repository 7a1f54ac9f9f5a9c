"""lava-dl's sigma-delta blocks: the numbers that slayer writes, and the messages that slayer computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from esvae.errors import UnsupportedLayerError
from export.frontends import from_slayer, from_slayer_sigma_delta
from export.netx import read_netx, write_netx
from sim.stimulus import Stimulus
from sim.twin.engine import Engine

slayer = pytest.importorskip("lava.lib.dl.slayer")
pytestmark = pytest.mark.filterwarnings("ignore")


def params(**changed: Any) -> dict[str, Any]:
    return {"threshold": 0.1, "activation": torch.relu, "norm": slayer.neuron.norm.MeanOnlyBatchNorm} | changed


def blocks() -> torch.nn.ModuleList:
    """An encoder, a strided convolution, a dense layer and an output, their norms run once."""
    torch.manual_seed(2)
    block = slayer.block.sigma_delta
    plain = {"norm": None}
    found = torch.nn.ModuleList(
        [
            block.Input(params(threshold=0.05, **plain)),
            block.Conv(params(), 2, 4, 3, stride=2, padding=(1, 0), weight_scale=1.5, weight_norm=True),
            block.Flatten(),
            block.Dense(params(threshold=0.02), 4 * 3 * 2, 6, weight_scale=1.5),
            block.Output(params(**plain), 6, 3, weight_scale=1.5),
        ]
    )
    run(found, torch.rand(3, 2, 5, 6, 4))
    found.eval()
    return found


def run(found: torch.nn.ModuleList, x: torch.Tensor) -> list[torch.Tensor]:
    outputs = []
    for block in found:
        x = block(x)
        outputs.append(x)
    return outputs


def test_numbers_are_those_that_slayer_writes(tmp_path: Path) -> None:
    found = blocks()
    ours = from_slayer_sigma_delta(found)
    with h5py.File(tmp_path / "slayer.net", "w") as file:
        for index, block in enumerate(found):
            block.export_hdf5(file.create_group(f"layer/{index}"))
    assert read_netx(tmp_path / "slayer.net").content_hash() == ours.content_hash()
    assert read_netx(write_netx(ours, tmp_path / "ours.net")).content_hash() == ours.content_hash()


def test_messages_are_those_that_slayer_computes() -> None:
    found = blocks()
    network = from_slayer_sigma_delta(found, time_steps=7)
    frames = np.random.default_rng(0).integers(-60, 61, (2, 7, 2, 5, 6)) // 2 * 2
    x = torch.from_numpy(frames / 64).float().permute(0, 2, 3, 4, 1)
    with torch.no_grad():
        expected = [out for out, block in zip(run(found, x), found, strict=True) if hasattr(block, "neuron")]
    traces = Engine(network).traces(Stimulus(None, frames, 7))
    for theirs, trace in zip(expected, traces, strict=True):
        messages = np.moveaxis(theirs.numpy(), -1, 1).reshape(trace.s.shape) * 4096
        scale = 1 if trace is not traces[-1] else 64  # an output sends its sum, with all its bits
        assert np.array_equal(messages * scale, trace.s)
    assert all(np.any(trace.s) for trace in traces)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "activation": ({"activation": torch.tanh}, "activation tanh: netx makes every one a ReLU"),
    "cumulative error": ({"cum_error": True}, "cum_error"),
    "persistent": ({"persistent_state": True}, "persistent_state"),
    "scale": ({"scale": 32}, "scale 32"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_has_no_counterpart_is_refused(name: str) -> None:
    changed, told = WRONG[name]
    block = slayer.block.sigma_delta.Dense(params(norm=None, **changed), 3, 2)
    with pytest.raises(UnsupportedLayerError, match=rf"block 0 \(slayer.block.sigma_delta.Dense\): {told}"):
        from_slayer_sigma_delta([block])


def test_the_other_frontend_says_who_takes_them() -> None:
    block = slayer.block.sigma_delta.Dense(params(norm=None), 3, 2)
    with pytest.raises(UnsupportedLayerError, match="from_slayer_sigma_delta takes sigma-delta blocks"):
        from_slayer([block], (3,))
