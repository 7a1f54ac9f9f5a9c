"""Sound network files of many kinds, and changes of what HDF5 holds: groups, links, data sets, sizes, geometry."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from esvae.errors import EsvaeError
from export.ir import (
    Conv,
    ConvTranspose,
    Delta,
    Dense,
    Flatten,
    ImageReadout,
    InputNeurons,
    Layer,
    Lif,
    Network,
    Prior,
    RecurrentDense,
    Sigma,
    SigmaDelta,
)
from export.netx.read import read_netx_unguarded
from export.netx.write import write_netx
from mutated.on_bytes import Mutation

__all__ = ["HDF5", "NETWORKS", "rehash"]

NEURON = Lif(4096, 3072, 51)


def _even(*shape: int) -> np.ndarray:
    return 2 * np.random.default_rng(0).integers(-60, 61, shape)


def _network(input_shape: tuple[int, ...], *layers: Layer, **options: Any) -> Callable[[Path], Path]:
    return lambda path: write_netx(Network(input_shape, layers, time_steps=4, **options), path, stock=False)


def _generator() -> Callable[[Path], Path]:
    rng = np.random.default_rng(0)
    weights = (rng.normal(size=(2, 3, 2)), np.zeros((2, 3)), np.full(2, 0.5))
    return _network(
        (3, 1, 1),
        Conv(_even(4, 3, 2, 3), rng.integers(-9, 9, (4, 2, 3)), NEURON, padding=(1, 2)),
        Conv(_even(8, 2, 3, 3), rng.integers(-9, 9, 8), Lif(4096, 819, 131_071), padding=(1, 1), groups=2),
        prior=Prior(*(w.astype(np.float32) for w in weights)),
        readout=ImageReadout(640.0, (2, 4, 6), 2),
        provenance={"name": "small"},
    )


def _foreign(path: Path) -> Path:
    """As slayer writes: trailing unit axes, scalars for pairs, floats, text in other ways, nothing of ours."""
    with h5py.File(path, "w") as file:
        layers: list[tuple[str, dict[str, Any]]] = [
            ("input", {"shape": np.array([2, 5, 4])}),
            ("conv", {"weight": np.full((3, 2, 3, 3, 1), 4.0), "stride": 1, "padding": 0, "dilation": 1, "groups": 1}),
            ("flatten", {"shape": [18]}),
            ("dense", {"shape": [4], "weight": np.full((4, 18), -6) + np.eye(4, 18) * 16, "bias": np.arange(4)}),
        ]
        for index, (kind, arrays) in enumerate(layers):
            group = file.create_group(f"layer/{index}")
            group.create_dataset("type", (1,), "S10", [kind.encode()])
            for name, value in arrays.items():
                group[name] = value
            if "weight" in arrays:
                neuron = group.create_group("neuron")
                neuron["type"] = "LOIHI"
                for key, number in (("iDecay", 1024), ("vDecay", 128), ("vThMant", 80), ("refDelay", 1)):
                    neuron[key] = number
    return path


NETWORKS: dict[str, Callable[[Path], Path]] = {
    "conv": _network(
        (2, 6, 6), Conv(_even(3, 2, 3, 3), None, NEURON, stride=(2, 2)), Flatten(), Dense(_even(4, 12), None, NEURON)
    ),
    "dense": _network((6,), Dense(_even(8, 6), np.arange(8), NEURON), Dense(_even(3, 8), None, NEURON)),
    "large": _network((128,), Dense(_even(200, 128), None, NEURON)),  # stored in compressed chunks
    "convT": _network((2, 3, 3), ConvTranspose(_even(2, 3, 3, 3), None, NEURON, (2, 2), (1, 1), (1, 1), (1, 1))),
    "delays": _network((3,), Dense(_even(4, 3), None, NEURON, np.arange(12).reshape(4, 3))),
    "input neurons": _network((1, 4, 4), Conv(_even(2, 1, 3, 3), None, NEURON), input_neurons=InputNeurons(NEURON)),
    "recurrent": _network((3,), RecurrentDense(_even(4, 3), _even(4, 4), np.arange(4), NEURON)),
    "sigma-delta": _network(
        (1, 4, 4),
        Conv(_even(2, 1, 3, 3), None, SigmaDelta(3)),
        Flatten(),
        Dense(_even(3, 8), None, Sigma()),
        input_neurons=InputNeurons(Delta(2)),
    ),
    "generator": _generator(),
    "foreign": _foreign,
}


def rehash(path: Path, rng: np.random.Generator) -> None:
    """Every other time puts the hash of what is there into the file, where it can be read that far."""
    if rng.random() < 0.5:
        return

    def kept(self: Network) -> str:
        hashes.append(content_hash(self))
        return hashes[0]

    hashes: list[str] = []
    content_hash, Network.content_hash = Network.content_hash, kept  # type: ignore[method-assign]
    with contextlib.suppress(EsvaeError):
        read_netx_unguarded(path)
    Network.content_hash = content_hash  # type: ignore[method-assign]
    if hashes:
        with h5py.File(path, "r+") as file:
            del file["esvae/content_hash"]
            file["esvae/content_hash"] = hashes[0]


def _inside(change: Callable[[Any, np.random.Generator], None]) -> Mutation:
    def apply(path: Path, rng: np.random.Generator) -> None:
        with h5py.File(path, "r+") as file:
            change(file, rng)

    return apply


def _names(file: Any, kind: type | None = None) -> list[str]:
    found: list[str] = []
    file.visititems(lambda name, item: found.append(name) if kind is None or isinstance(item, kind) else None)
    return found


def _put(file: Any, name: str, value: Any, **options: Any) -> None:
    if name in file:
        del file[name]
    file.create_dataset(name, data=value, **options)


def _remove(file: Any, rng: np.random.Generator) -> None:
    del file[str(rng.choice(_names(file)))]


def _rename(file: Any, rng: np.random.Generator) -> None:
    name = str(rng.choice(_names(file)))
    file.move(name, str(rng.choice([f"{name}x", "layer/9", "esvae/new", "layer/-1", "layer/00", "x/y/z", "ü", "."])))


def _swap(file: Any, rng: np.random.Generator) -> None:
    one, other = (str(name) for name in rng.choice(_names(file), 2, replace=False))
    file.move(one, "swapped")
    file.move(other, one)
    file.move("swapped", other)


def _retype(file: Any, rng: np.random.Generator) -> None:
    name = str(rng.choice(_names(file, h5py.Dataset)))
    kinds = ["i1", "u1", "i8", "u8", "f2", "f4", "f8", "c8", "?", "S3", ">i4", "longdouble", "i4,f8", "3i4"]
    shape = file[name].shape
    value = np.zeros(shape, str(rng.choice(kinds))) if rng.random() < 0.3 else file[name][()]
    _put(file, name, np.asarray(value).astype(str(rng.choice(kinds[:-2]))))


def _reshape(file: Any, rng: np.random.Generator) -> None:
    name = str(rng.choice(_names(file, h5py.Dataset)))
    value = np.asarray(file[name][()])
    shapes = [(), (0,), (1,), (1,) * 32, (value.size,), (1, *value.shape), (*value.shape, 1), (0, *value.shape)]
    shape = shapes[rng.integers(len(shapes))]
    filled = (
        np.resize(value, shape) if np.prod(shape) else np.zeros(shape, value.dtype if value.dtype != object else "S1")
    )
    _put(file, name, filled)


def _value(file: Any, rng: np.random.Generator) -> None:
    name = str(rng.choice(_names(file, h5py.Dataset)))
    odd = [0, -1, 1, 2, 255, 256, -257, 4095, 4096, 4097, 131_072, (1 << 18) - 1, 1 << 31, -(1 << 31), (1 << 63) - 1]
    floats = [np.nan, np.inf, -np.inf, 0.5, 1e300, -0.0, 5e-324, 2.0**63]
    chosen: Any = rng.choice(floats) if rng.random() < 0.4 else int(odd[rng.integers(len(odd))])
    value = file[name][()]
    if not isinstance(value, np.ndarray) or value.shape == () or rng.random() < 0.3:
        _put(file, name, np.uint64((1 << 64) - 1) if rng.random() < 0.05 else chosen)
        return
    changed = value.astype("f8" if isinstance(chosen, float) else "i8")
    changed.flat[rng.integers(changed.size)] = chosen
    _put(file, name, changed)


def _text(file: Any, rng: np.random.Generator) -> None:
    texts = [n for n in _names(file, h5py.Dataset) if file[n].dtype.kind in "SO"]
    name = str(rng.choice(texts))
    odd: list[Any] = [
        "",
        "dense",
        "input",
        "pool",
        "conv",
        "ünï",
        "a\nb",
        "x" * 5000,
        b"\xff\xfe\x00",
        b"conv\x00\x00x",
        "{}",
    ]
    odd += [
        '{"a": 1}',
        "[" * 100_000,
        '{"a": "' + "b" * 100_000 + '"}',
        "\x1b[31m",
        "NaN",
        np.array(["dense", "x"], "O"),
    ]
    value = odd[rng.integers(len(odd))]
    if isinstance(value, bytes):
        value = np.bytes_(value)
    if isinstance(value, np.ndarray):
        _put(file, name, value, dtype=h5py.string_dtype())
    elif isinstance(value, str) and rng.random() < 0.5:
        _put(file, name, np.array([value], "O"), dtype=h5py.string_dtype("utf-8" if rng.random() < 0.5 else "ascii"))
    else:
        _put(file, name, value)


def _declare(file: Any, rng: np.random.Generator) -> None:
    """Absurd sizes, nothing written."""
    name = str(rng.choice(_names(file, h5py.Dataset)))
    shapes = [
        (1 << 40,),
        (1 << 20, 1 << 14),
        (1 << 40, 1 << 40),
        (1 << 31, 2),
        (1 << 13, 1 << 13),
        (1 << 22,),
        (1 << 26, 1),
    ]
    shape = shapes[rng.integers(len(shapes))]
    chunks = tuple(min(n, int(1 << rng.integers(0, 14))) for n in shape)
    del file[name]
    options = {"compression": "gzip"} if rng.random() < 0.5 else {}
    file.create_dataset(name, shape, str(rng.choice(["i1", "i2", "i8", "f4", "S1"])), chunks=chunks, **options)


def _bomb(file: Any, rng: np.random.Generator) -> None:
    """A small file with millions of equal numbers, as weights with matching inputs, or wherever."""
    layer = rng.random() < 0.6
    size = int(1 << rng.integers(10, 13))
    name = "layer/1/weight" if layer else str(rng.choice(_names(file, h5py.Dataset)))
    _put(
        file,
        name,
        np.full((size, size), rng.choice([0, 2, -2]), np.int8),
        chunks=(min(size, 512), size),
        compression="gzip",
    )
    if layer:
        _put(file, "layer/0/shape", np.array([size]))
        for gone in ("esvae", *(key for key in file["layer"] if key not in "01")):
            del file[gone if gone == "esvae" else f"layer/{gone}"]
        _put(file, "layer/1/type", np.bytes_("dense"))


def _link(file: Any, rng: np.random.Generator) -> None:
    name = str(rng.choice(_names(file)))
    kind = rng.integers(5)
    hard = file[str(rng.choice(["/", "layer", name, *_names(file)]))]
    if kind < 4:
        del file[name]
    if kind == 0:
        file[name] = h5py.SoftLink(f"/{name}" if rng.random() < 0.5 else "/nowhere")
    elif kind == 1:
        file[name] = h5py.ExternalLink(str(rng.choice(["/dev/zero", "/etc/passwd", "x.net", "none.h5"])), "layer")
    elif kind in (2, 3):
        file[name] = hard
    else:
        for index in range(2, 200):
            file[f"layer/{index}"] = file["layer/1"]


def _virtual(file: Any, rng: np.random.Generator) -> None:
    name = str(rng.choice(_names(file, h5py.Dataset)))
    shape = file[name].shape or (1,)
    del file[name]
    if rng.random() < 0.5:
        layout = h5py.VirtualLayout(shape, "i8")
        layout[...] = h5py.VirtualSource(str(rng.choice([".", "x.net", "/dev/zero"])), name, shape)
        file.create_virtual_dataset(name, layout, fillvalue=1)
    else:
        file.create_dataset(
            name, shape, "i8", external=[(str(rng.choice(["/dev/zero", "/etc/passwd"])), 0, h5py.h5f.UNLIMITED)]
        )


def _geometry(file: Any, rng: np.random.Generator) -> None:
    keys = [
        n
        for n in _names(file, h5py.Dataset)
        if n.rsplit("/", 1)[-1] in ("stride", "padding", "dilation", "groups", "output_padding", "shape")
    ]
    name = str(rng.choice(keys))
    values = [0, -1, 1, 2, 3, 7, 100, 1000, 30_000, 65_536, 1 << 31, 1 << 40, (1 << 63) - 1]
    size = np.size(file[name][()])
    _put(file, name, rng.choice(values, size if rng.random() < 0.8 else int(rng.integers(0, 5))))


def _window(file: Any, rng: np.random.Generator) -> None:
    values = [0, -1, 1, 1000, 65_536, 1 << 20, 1 << 31, 1 << 40, (1 << 63) - 1]
    choice = rng.integers(6)
    number = int(rng.choice(values))
    if choice == 0:
        _put(file, "esvae/time_steps", number)
    elif choice == 1:
        _put(file, "esvae/prior/rate_bits", number)
    elif choice == 2:
        _put(file, "esvae/readout/image_shape", rng.choice(values, int(rng.integers(1, 5))))
    elif choice == 3:
        _put(file, "esvae/readout/upscale", number)
    elif choice == 4:
        _put(file, "esvae/readout/unit", float(rng.choice([0, -1, np.nan, np.inf, 1e-300, 1e300])))
    else:
        size = int(1 << rng.integers(1, 25))
        _put(
            file,
            "esvae/prior/weight",
            np.zeros((1, 3, size), "f4"),
            chunks=(1, 1, min(size, 1 << 14)),
            compression="gzip",
        )


def _unhash(file: Any, rng: np.random.Generator) -> None:
    """Without what this project adds, what else was changed is not refused for its hash alone."""
    del file["esvae"]


HDF5: dict[str, Mutation] = {
    "remove": _inside(_remove),
    "rename": _inside(_rename),
    "swap": _inside(_swap),
    "retype": _inside(_retype),
    "reshape": _inside(_reshape),
    "value": _inside(_value),
    "value, again": _inside(_value),
    "text": _inside(_text),
    "declare": _inside(_declare),
    "bomb": _inside(_bomb),
    "link": _inside(_link),
    "virtual": _inside(_virtual),
    "geometry": _inside(_geometry),
    "window": _inside(_window),
    "unhash": _inside(_unhash),
}
