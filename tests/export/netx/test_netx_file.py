"""Files: what goes in comes out, twice gives the same bytes, and damage is answered with one line."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings

from depth import examples
from esvae.errors import ConfigError, EsvaeError, HardwareRangeError, NetFileError, UnsupportedLayerError
from esvae.machine.files import atomic_file
from export.ir import Conv, ConvTranspose, Dense, Flatten, ImageReadout, Lif, Network, Prior
from export.netx import read_netx
from export.netx.write import write_netx
from strategies import networks

NEURON = Lif(4096, 3072, 51)


def generator() -> Network:
    """A small network with all that a generator carries."""
    rng = np.random.default_rng(0)
    return Network(
        (3, 1, 1),
        (
            Conv(2 * rng.integers(-127, 128, (4, 3, 2, 3)), rng.integers(-9, 9, (4, 2, 3)), NEURON, padding=(1, 2)),
            Conv(2 * rng.integers(-127, 128, (8, 2, 3, 3)), rng.integers(-9, 9, 8), NEURON, padding=(1, 1), groups=2),
        ),
        time_steps=5,
        prior=Prior(
            rng.normal(size=(2, 3, 2)).astype(np.float32), np.zeros((2, 3), np.float32), np.full(2, 0.5, np.float32)
        ),
        readout=ImageReadout(640.0, (2, 4, 6), 2),
        provenance={"name": "small", "note": "ünïcode"},
    )


@settings(max_examples=examples(60))
@given(network=networks(loadable=True))
def test_write_read_write_is_identical(network: Network, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("net")
    again = read_netx(write_netx(network, folder / "a.net"))
    assert again.content_hash() == network.content_hash()
    write_netx(again, folder / "b.net")
    assert (folder / "a.net").read_bytes() == (folder / "b.net").read_bytes()


def test_a_generator_keeps_everything(tmp_path: Path) -> None:
    network = generator()
    again = read_netx(write_netx(network, tmp_path / "g.net"))
    assert again.content_hash() == network.content_hash()
    assert again.provenance == network.provenance
    assert again.readout == network.readout
    assert again.time_steps == 5
    assert again.prior is not None
    assert network.prior is not None
    assert np.array_equal(again.prior.weight, network.prior.weight)
    assert again.layers[0].bias.shape == (4, 2, 3)  # type: ignore[union-attr]


def test_hash_sees_every_part() -> None:
    network = generator()
    base = network.content_hash()
    weight = network.layers[0].weight.copy()  # type: ignore[union-attr]
    weight[0, 0, 0, 0] += 2
    changed = [
        {"time_steps": 6},
        {"readout": ImageReadout(641.0, (2, 4, 6), 2)},
        {"prior": None},
        {"layers": (Conv(weight, network.layers[0].bias, NEURON, padding=(1, 2)), network.layers[1])},  # type: ignore[union-attr]
    ]
    hashes = {replace(network, **change).content_hash() for change in changed}
    assert len(hashes | {base}) == 5
    assert replace(network, provenance={}).content_hash() == base


def test_transposed_convolutions_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    network = Network((1, 2, 2), (ConvTranspose(np.array([[[[2]]]]), None, NEURON),))
    with pytest.raises(
        UnsupportedLayerError, match=r"layer 1 \(convT\): netx cannot load a transposed convolution; lower it"
    ):
        write_netx(network, tmp_path / "x.net")
    assert not list(tmp_path.iterdir())


def test_conv_behind_dense_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NetFileError, match=r"layer 2 \(conv\): conv takes \(1, H, W\) inputs, got \(4,\)"):
        Network((2,), (Dense(np.full((4, 2), 2), None, NEURON), Conv(np.full((1, 1, 1, 1), 2), None, NEURON)))


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (Dense(np.array([[300, 2]]), None, NEURON), r"weight 300 outside \[-256, 255\]"),
        (Dense(np.array([[2, 2]]), np.array([4096]), NEURON), r"bias 4096 outside \[-4096, 4095\]"),
        (Dense(np.array([[2, 2]]), None, Lif(4096, 0, 131072)), r"threshold 131072 outside \[0, 131071\]"),
        (Dense(np.array([[2, 2]]), None, Lif(4097, 0, 1)), r"current: decay 4097 outside \[0, 4096\]"),
        (Dense(np.array([[2.0, 2.0]]), None, NEURON), r"weight is float64, expected whole numbers"),
    ],
)
def test_numbers_outside_the_registers_are_refused(layer: Dense, text: str) -> None:
    with pytest.raises(HardwareRangeError, match=text):
        Network((2,), (layer,))


def _corrupt_bytes(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[600:900] = bytes(300)
    path.write_bytes(bytes(content))


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-700])


def _edit(change: Callable[[Any], None]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            change(file)

    return apply


def _replace(key: str, value: Any) -> Callable[[Path], None]:
    def change(file: Any) -> None:
        del file[key]
        file[key] = value

    return _edit(change)


def _huge(file: Any) -> None:
    del file["layer/1/weight"]
    file["layer/1"].create_dataset("weight", (1 << 20, 1 << 14), "i1", chunks=(1, 1 << 14))


BAD = {
    "not hdf5": (
        lambda path: path.write_bytes(b"no network"),
        NetFileError,
        r"\(it does not begin as HDF5 does\)$",
    ),
    "empty": (lambda path: path.write_bytes(b""), NetFileError, r"netx HDF5 file \(it does not begin as HDF5 does\)$"),
    "truncated": (_truncate, NetFileError, r"netx HDF5 file \(it ends after [\d,]+ of [\d,]+ bytes\)$"),
    "bytes": (_corrupt_bytes, NetFileError, "corrupt, truncated or not a netx HDF5"),
    "no layers": (
        _edit(lambda f: f.__delitem__("layer")),
        NetFileError,
        "g.net: 'layer' is missing: an HDF5 file of",
    ),
    "gap": (_edit(lambda f: f.move("layer/2", "layer/7")), NetFileError, "groups named 0, 1, 2"),
    "unknown type": (
        _replace("layer/1/type", np.bytes_("resonator")),
        UnsupportedLayerError,
        r"layer 1 \(resonator\): type 'resonator'",
    ),
    "unknown neuron": (_replace("layer/1/neuron/type", np.bytes_("RF")), UnsupportedLayerError, "type 'RF'"),
    "concat": (_replace("layer/2/type", np.bytes_("concat")), UnsupportedLayerError, "no code for skip connections"),
    "no type": (_replace("layer/2/type", np.bytes_("nothing")), UnsupportedLayerError, "supported are input"),
    "pool": (_replace("layer/2/type", np.bytes_("pool")), NetFileError, "one kernel for all"),
    "float weight": (_replace("layer/1/weight", np.full((4, 3, 2, 3), 0.5)), NetFileError, "holds fractions"),
    "text weight": (_replace("layer/1/weight", np.bytes_("x")), NetFileError, "expected numbers"),
    "weight shape": (_replace("layer/1/weight", np.ones((4, 5, 2, 3))), NetFileError, r"takes \(5, H, W\) inputs"),
    "large weight": (_replace("layer/1/weight", np.full((4, 3, 2, 3), 999)), HardwareRangeError, "weight 999 outside"),
    "no stride": (_edit(lambda f: f.__delitem__("layer/1/stride")), NetFileError, "'stride' is missing"),
    "zero stride": (_replace("layer/1/stride", np.array([0, 1])), NetFileError, "stride, dilation and groups"),
    "huge": (_edit(_huge), NetFileError, "elements declared"),
    "altered": (_replace("layer/1/neuron/vThMant", np.int64(52)), NetFileError, "does not match its hash"),
    "new format": (_replace("esvae/format_version", np.int64(99)), NetFileError, "written in format 99"),
    "provenance": (_replace("esvae/provenance", "{"), NetFileError, "not valid JSON"),
    "link out": (
        lambda path: _replace("layer/1/weight", h5py.ExternalLink("/etc/passwd", "x"))(path),
        NetFileError,
        "is a link out of its place",
    ),
    "link loop": (_replace("layer/1/neuron", h5py.SoftLink("/layer/1/neuron")), NetFileError, "neuron"),
    "nan prior": (_replace("esvae/prior/bias", np.full((2, 3), np.nan)), NetFileError, "not finite"),
}


@pytest.mark.parametrize("name", BAD)
def test_damaged_files_are_refused_in_one_line(name: str, tmp_path: Path) -> None:
    damage, error, text = BAD[name]
    path = write_netx(generator(), tmp_path / "g.net")
    damage(path)
    with pytest.raises(error, match=text) as caught:
        read_netx(path)
    assert "\n" not in str(caught.value)


def test_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NetFileError, match="no such file; make one with: esvae export"):
        read_netx(tmp_path / "none.net")


def test_a_full_disk_leaves_nothing_under_the_final_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "g.net"
    write_netx(generator(), target)
    before = target.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("esvae.machine.files.os.fsync", full)
    with pytest.raises(EsvaeError, match=r"cannot write .*g\.net: No space left on device; free space"):
        write_netx(generator(), target)
    assert target.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["g.net"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_write_that_fails_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    """A real ENOSPC from the kernel, half-way through the file."""

    def write() -> None:
        with atomic_file(tmp_path / "x.bin") as handle, Path("/dev/full").open("wb", buffering=0) as full:
            handle.write(b"some")
            full.write(b"more")

    with pytest.raises(EsvaeError, match="No space left on device"):
        write()
    assert not list(tmp_path.iterdir())


def test_files_that_slayer_writes_are_read(tmp_path: Path) -> None:
    """The layout that lava-dl's export gives: trailing unit axes, scalars for pairs, no metadata of ours."""
    path = tmp_path / "s.net"
    with h5py.File(path, "w") as file:

        def layer(index: int, kind: str, **arrays: Any) -> None:
            group = file.create_group(f"layer/{index}")
            group.create_dataset("type", (1,), "S10", [kind.encode()])
            for name, value in arrays.items():
                group[name] = value
            if kind not in ("input", "flatten"):
                neuron = group.create_group("neuron")
                neuron.create_dataset("type", (1,), "S10", [b"LOIHI"])
                for key, value in (("iDecay", 1024), ("vDecay", 128), ("vThMant", 80), ("refDelay", 1)):
                    neuron[key] = value

        layer(0, "input", shape=np.array([2, 5, 4]))
        layer(
            1, "conv", shape=[3, 3, 2], weight=np.full((3, 2, 3, 3, 1), 4.0), stride=1, padding=0, dilation=1, groups=1
        )
        layer(2, "flatten", shape=[18])
        layer(3, "dense", shape=[4], weight=np.full((4, 18), -6), bias=np.arange(4))
    network = read_netx(path)
    assert network.input_shape == (2, 5, 4)
    assert network.shapes == ((3, 3, 2), (18,), (4,))
    assert isinstance(network.layers[1], Flatten)
    assert network.layers[3 - 1].neuron == Lif(1024, 128, 80)  # type: ignore[union-attr]
    assert network.time_steps is None


@pytest.mark.parametrize("upscale", [0, -1, 5])
def test_a_readout_that_interleaves_nothing_is_refused(upscale: int) -> None:
    layer = Dense(np.full((4, 2), 2), None, Lif(4096, 819, 131_071))
    with pytest.raises(NetFileError, match=rf"readout upscale {upscale}: expected 1 to 2"):
        Network((2,), (layer,), 3, readout=ImageReadout(1.0, (1, 2, 2), upscale))


@pytest.mark.parametrize("target", [None, 5])
def test_a_target_that_is_no_name_is_one_line(target: Any) -> None:
    layer = Dense(np.full((4, 2), 2), None, Lif(4096, 819, 131_071))
    with pytest.raises(ConfigError, match=rf"^target {target}: expected a name that ends in \.net, got "):
        write_netx(Network((2,), (layer,), 3), target)
