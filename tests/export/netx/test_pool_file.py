"""slayer's pools in a file: as convolutions they give slayer's own sums, or are refused where none does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from depth import examples
from esvae.errors import NetFileError, UnsupportedLayerError
from export.ir import Conv, ConvTranspose
from export.netx.check import check_file
from export.netx.read import read_netx_unguarded
from export.relower import relower_file
from sim import reference
from sim.twin.engine import Engine

Pair = tuple[int, int]
NEURON = {"iDecay": 4096, "vDecay": 1024, "vThMant": 6, "refDelay": 1}


def write(
    path: Path, before: tuple[int, int, int] | None, kernel: np.ndarray, kind: str = "pool", **items: Any
) -> Path:
    values = {"stride": kernel.shape, "padding": (0, 0), "dilation": (1, 1), **items}
    with h5py.File(path, "w") as file:
        groups = {"input": {} if before is None else {"shape": before}, kind: {"weight": kernel[None, None], **values}}
        for number, (name, content) in enumerate(groups.items()):
            group = file.create_group(f"layer/{number}")
            group["type"] = np.bytes_(name)
            for key, value in content.items():
                group[key] = np.asarray(value)
        neuron = file["layer/1"].create_group("neuron")
        neuron["type"] = np.bytes_("CUBA")
        for key, number in NEURON.items():
            neuron[key] = number
    return path


@settings(max_examples=examples(120))
@given(
    before=st.tuples(st.sampled_from([1, 2, 3, 130]), st.integers(1, 9), st.integers(1, 9)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.one_of(st.none(), st.tuples(st.integers(1, 3), st.integers(1, 3))),
    padding=st.tuples(st.sampled_from([0, 0, 1]), st.integers(0, 1)),
    dilation=st.tuples(st.sampled_from([1, 1, 2]), st.sampled_from([1, 1, 2])),
    kind=st.sampled_from(["pool", "unpool"]),
    seed=st.integers(0, 99),
)
def test_sums_are_slayers(
    before: tuple[int, int, int],
    kernel: Pair,
    stride: Pair | None,
    padding: Pair,
    dilation: Pair,
    kind: str,
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    synapses = pytest.importorskip("lava.lib.dl.slayer").synapse
    rng = np.random.default_rng(seed)
    weight = rng.integers(-60, 90, kernel) * 2
    stride = stride or kernel
    path = write(
        tmp_path_factory.mktemp("pool") / "p.net",
        before,
        weight,
        kind,
        stride=stride,
        padding=padding,
        dilation=dilation,
    )
    tall = before[1] + before[1] % kernel[0]  # with the zeros that slayer appends
    crosses = padding[0] or stride[0] != dilation[0] * (kernel[0] - 1) + 1 or tall % stride[0]
    try:
        (layer,) = read_netx_unguarded(path).layers
    except (UnsupportedLayerError, NetFileError) as error:
        refused = "two at once" in str(error) or "do not end with" in str(error) or "far end" in str(error)
        if not (refused and (crosses or before[2] % kernel[1])) and "empty" not in str(error):
            raise
        return
    assert isinstance(layer, Conv | ConvTranspose)
    made = synapses.Pool if kind == "pool" else synapses.Unpool
    spikes = (rng.random((2, *before)) < 0.5).astype(np.uint8)
    ours = made(kernel, stride, padding, dilation)
    ours.weight.data[:] = torch.from_numpy(weight).float()[None, None, :, :, None]
    wanted = ours(torch.from_numpy(spikes).float()[..., None])[..., 0].detach().numpy()
    assert np.array_equal(reference.synapse_sum(layer, spikes), wanted)
    assert layer.groups < 128


def test_what_stock_netx_refuses_becomes_what_it_loads(tmp_path: Path) -> None:
    path = write(tmp_path / "p.net", (3, 6, 5), np.full((2, 2), 10), shape=(3, 3, 3))
    assert any("NotImplementedError" in found.what for found in check_file(path))
    relower_file(path, tmp_path / "q.net")
    assert not [found for found in check_file(tmp_path / "q.net") if found.severity == "error"]
    spikes = (np.random.default_rng(0).random((2, 9, 3, 6, 5)) < 0.3).astype(np.uint8)
    plain, lowered = (Engine(read_netx_unguarded(p)).traces(spikes)[0] for p in (path, tmp_path / "q.net"))
    assert np.array_equal(plain.v, lowered.v)
    assert plain.s.any()


def test_what_is_refused_says_why(tmp_path: Path) -> None:
    kernel = np.full((2, 2), 10)
    with pytest.raises(UnsupportedLayerError, match="slayer lays channels under each other"):
        read_netx_unguarded(write(tmp_path / "p.net", (2, 4, 4), kernel, stride=(1, 1)))
    with pytest.raises(NetFileError, match="nothing says what enters"):
        read_netx_unguarded(write(tmp_path / "p.net", None, kernel))
    with pytest.raises(NetFileError, match=r"shape \(2, 3, 3\), but its kernel makes \(2, 2, 2\)"):
        read_netx_unguarded(write(tmp_path / "p.net", (2, 4, 4), kernel, shape=(2, 3, 3)))
    with pytest.raises(UnsupportedLayerError, match="'pool' with 'delay'"):
        read_netx_unguarded(write(tmp_path / "p.net", (2, 4, 4), kernel, delay=3))


@pytest.mark.parametrize(("kind", "why"), [("concat", "skip connections"), ("dense_comp", "netx calls a function")])
def test_layers_without_a_place_are_refused_with_the_reason(kind: str, why: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.net", (2, 4, 4), np.full((2, 2), 10), kind)
    with pytest.raises(UnsupportedLayerError, match=why):
        read_netx_unguarded(path)


@pytest.mark.parametrize(
    ("neuron", "why"), [("ALIF", "netx builds no neurons"), ("ADRF_PHASE", "netx passes over"), ("RF_PHASE", "complex")]
)
def test_neurons_without_a_place_are_refused_with_the_reason(neuron: str, why: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.net", (2, 4, 4), np.full((2, 2), 10))
    with h5py.File(path, "r+") as file:
        del file["layer/1/neuron/type"]
        file["layer/1/neuron/type"] = np.bytes_(neuron)
    with pytest.raises(UnsupportedLayerError, match=why):
        read_netx_unguarded(path)
