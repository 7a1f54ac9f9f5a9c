"""What a small file may declare is refused in one line before it takes memory; what is sound is read in little."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from esvae.errors import DataError, EsvaeError, NetFileError
from export.ir import Conv, ConvTranspose, Dense, ImageReadout, Lif, Network, Prior
from export.netx import read_netx
from export.netx.check import check_file
from export.netx.write import write_netx
from sim.sampler import draw_latents
from sim.stimulus import Stimulus, as_stimulus

NEURON = Lif(4096, 3072, 51)
ONES = np.full((1, 1, 3, 3), 2, np.int16)

WIDE = ConvTranspose(np.full((128, 1, 1, 1), 2, np.int16), None, NEURON, stride=(1000, 1000), output_padding=(999, 999))


def conv(shape: tuple[int, int, int] = (1, 8, 8), weight: np.ndarray = ONES, **options: Any) -> Callable[[], Network]:
    return lambda: Network(shape, (Conv(weight, None, NEURON, **options),), time_steps=4)


def transposed(**options: Any) -> Callable[[], Network]:
    return lambda: Network((1, 2, 2), (ConvTranspose(ONES, None, NEURON, **options),), time_steps=4)


def dense(steps: int, size: int = 1, **options: Any) -> Callable[[], Network]:
    layer = Dense(np.full((size, 1), 2, np.int16), None, NEURON)
    return lambda: Network((1,), (layer,), time_steps=steps, **options)


def prior(noise: int, bits: int = 8) -> Prior:
    return Prior(*(np.zeros(n, np.float32) for n in ((1, 1, noise), (1, 1))), np.ones(1, np.float32), bits)


TOO_LARGE: dict[str, tuple[Callable[[], Network], str]] = {
    "map": (conv(padding=(30_000, 30_000)), "3,600,[0-9,]+ neurons"),
    "padding, little left": (conv(padding=(1 << 15, 1 << 15), stride=(1 << 15,) * 2), "padded map has 4,29"),
    "stride of a transposed one": (transposed(stride=(50_000, 50_000)), "neurons"),
    "cut away again": (transposed(stride=(9_000, 9_000), padding=(4_500, 4_500)), "padded map has"),
    "one pixel": (lambda: Network((128, 1, 1), (WIDE,)), "as a matrix it has 1,000,000 x 128"),
    "unfolded": (conv((1, 1024, 1024), np.full((1, 1, 31, 31), 2, np.int16)), "unfolded has"),
    "input": (conv((1, 1 << 12, 1 << 12)), "at most 4,194,304 inputs"),
    "steps": (dense(1 << 21), "expected 1 to 1048576"),
    "neurons and steps": (dense(1 << 16, 1 << 12), r"layer 1 \(dense\): 4,096 neurons x 65,536 steps"),
    "prior": (dense(4, prior=prior(1 << 23)), "prior weight"),
    "rate bits": (dense(4, prior=prior(1, 17)), "expected 1 to 16"),
    "image": (dense(4, readout=ImageReadout(1.0, (1, 1 << 40, 1 << 40))), "does not give"),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_too_large_networks_are_refused_in_one_line(name: str) -> None:
    make, text = TOO_LARGE[name]
    with pytest.raises(NetFileError, match=text) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_run_of_too_many_steps_is_refused() -> None:
    network = conv((1, 64, 64))()
    with pytest.raises(DataError, match=r"x 65,536 steps, at most"):
        as_stimulus(network, Stimulus(np.broadcast_to(np.uint8(0), (1, 65_536, 1, 64, 64)), None, 65_536))


def test_more_spikes_than_memory_holds_are_not_drawn() -> None:
    network = dense(1 << 12, prior=prior(1))()
    assert draw_latents(network, 0, np.arange(1)).shape == (1, 1 << 12, 1)
    with pytest.raises(DataError, match=r"80000 images: 327,680,000 input spikes, at most 268,435,456 at a time"):
        draw_latents(network, 0, np.arange(80_000))


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return write_netx(Network((3,), (Dense(np.array([[2, -4, 6], [8, 2, -2]]), None, NEURON),), 4), tmp_path / "a.net")


def stored(net: Path, shape: tuple[int, ...], dtype: str = "i1", **options: Any) -> Path:
    with h5py.File(net, "r+") as file:
        del file["layer/1/weight"]
        file["layer/1"].create_dataset("weight", shape, dtype, **options)
    return net


@pytest.mark.parametrize(
    ("shape", "options", "text"),
    [
        ((1 << 20, 1 << 14), {"chunks": (1, 1 << 14)}, "elements declared"),
        ((1 << 40, 1 << 40), {"chunks": (1, 1 << 14)}, "elements declared"),  # whose product overflows
        ((1 << 12, 1 << 12), {"chunks": (1, 1)}, "which makes more than 65536"),
        ((1 << 13, 1 << 13), {"chunks": (1 << 13, 1 << 13), "compression": "gzip"}, "stored in chunks of 67108864"),
    ],
)
def test_absurd_storage_is_refused_by_both_readers(net: Path, shape: Any, options: Any, text: str) -> None:
    stored(net, shape, **options)
    with pytest.raises(NetFileError, match=text):
        read_netx(net)
    assert any(finding.severity == "error" and "layer 1 (" in finding.where for finding in check_file(net))


def test_elements_are_counted_over_all_layers(net: Path) -> None:
    stored(net, (1 << 13, 1 << 13), chunks=(1 << 10, 1 << 10), compression="gzip")
    with h5py.File(net, "r+") as file:
        for index in range(2, 9):
            file[f"layer/{index}"] = file["layer/1"]  # hard links cost nothing
    with pytest.raises(EsvaeError, match=r"of a whole file at most 134217728 are read"):
        read_netx(net)


MEASURE = """
import re, sys
from export.netx.check import check_file
from export.netx import read_netx
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) >> 10
before = peak()
network = read_netx(sys.argv[1])
read = peak()
del network
check_file(sys.argv[1])
print(read - before, peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory from /proc")
def test_a_compressed_bomb_takes_what_its_weights_take(net: Path) -> None:
    """2^26 weights from a file of less than 200 KB: 2 bytes each, and some blocks on the way."""
    with h5py.File(stored(net, (1 << 13, 1 << 13), chunks=(1 << 8, 1 << 13), compression="gzip"), "r+") as file:
        del file["esvae"]
        file["layer/1/weight"][:] = 2
        file["layer/0/shape"][()] = 1 << 13
    assert net.stat().st_size < 200_000
    done = subprocess.run([sys.executable, "-c", MEASURE, str(net)], capture_output=True, text=True, check=True)
    read, checked = map(int, done.stdout.split())
    assert 128 <= read < 220
    assert checked < 220
