"""Records what exported files hold, as hashes: ``tests/export/netx/golden.json``.

The networks are made of integers that follow from their names alone, one for each kind of layer and of what lies beside
the layers, so that no version of a library and no machine decides them. What is hashed of a file is its content, each
dataset by name, type, shape and bytes: HDF5 may lay the same out in other ways. Record anew, and say in the change log
what became of files that exist, where the format is meant to change::

    python tests/record_hashes.py tests/export/netx/golden.json
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from esvae.chip.rounding import WeightGrid
from esvae.chip.scales import CLIPPINGS, max_scale
from esvae.run import load_run
from export.frontends import from_run
from export.ir import (
    CircuitLayout,
    CircuitPrior,
    Conv,
    ConvTranspose,
    Delta,
    Dense,
    Flatten,
    ImageReadout,
    InputNeurons,
    Lif,
    Network,
    Prior,
    RecurrentDense,
    Sigma,
    SigmaDelta,
    SpikeReadout,
    all_weights,
)
from export.netx import write_netx
from export.passes import fold_norm
from export.pipeline import compiled
from export.relower import relower_file

__all__ = ["NETWORKS", "PRETRAINED", "RELOWERED", "file_hash", "margin", "pretrained_hash", "recorded", "relowered"]

NEURON = Lif(4096, 3072, 51)
LAST = Lif(4096, 819, 131071)
READOUT = ImageReadout(8192.0, (1, 2, 2))


def numbers(name: str, *shape: int, low: int = -127, high: int = 127) -> np.ndarray:
    """Whole numbers from ``low`` to ``high`` that follow from a name."""
    count = int(np.prod(shape))
    drawn = np.frombuffer(hashlib.shake_256(name.encode()).digest(4 * count), "<u4").astype(np.int64)
    return (low + drawn % (high - low + 1)).reshape(shape)


def weights(name: str, *shape: int) -> np.ndarray:
    """Even, as weights of eight bits are."""
    return numbers(name, *shape).astype(np.int16) * np.int16(2)


def prior(latents: int) -> Prior:
    """Of two components, in eighths."""
    weight, bias = numbers("prior", 2, latents, 3) / 8, numbers("rates", 2, latents) / 64
    return Prior(weight.astype(np.float32), bias.astype(np.float32), np.array([0.25, 0.75], np.float32))


def dense(inputs: int = 6) -> tuple[Dense[Lif], ...]:
    """Two layers to four pixels."""
    first = Dense(weights("first", 9, inputs), numbers("first bias", 9), NEURON)
    return first, Dense(weights("last", 4, 9), numbers("last bias", 4), LAST)


def convolutions(channels: int = 6) -> tuple[Conv[Lif], ...]:
    """Two layers of a 1x1 map to four pixels."""
    first = Conv(weights("first map", 5, channels, 2, 2), numbers("map bias", 5), NEURON, padding=(1, 1))
    return first, Conv(weights("last map", 1, 5, 1, 1), np.array([7]), LAST)


def circuit(*, chained: bool) -> Network:
    """A generator that draws on the chip, of neurons that are drawn themselves."""
    source = RecurrentDense(weights("enter", 8, 1), weights("register", 8, 8), numbers("source", 8), NEURON)
    latents = Dense(weights("latents", 6, 8), numbers("latent bias", 6), NEURON)
    layout = CircuitLayout(11, 2**63 + 5, (5, 2), 3, (("register", 5), ("factors", 3)))
    shape = (6,) if chained else (6, 1, 1)
    layers = dense() if chained else convolutions()
    return Network(shape, layers, 4, CircuitPrior(source, latents, layout), READOUT)


def strided() -> ConvTranspose[Lif]:
    """That can be lowered in every way."""
    return ConvTranspose(
        weights("up", 4, 3, 3, 3), numbers("up bias", 3), NEURON, stride=(2, 2), padding=(1, 1), output_padding=(1, 1)
    )


def own_decays() -> Lif:
    """Neurons of three channels, each with decays of its own."""
    return Lif((0, 1024, 4096), (819, 2048, 4095), 60)


NETWORKS: dict[str, Callable[[], Network]] = {
    "dense": lambda: Network((6,), dense(), 4),
    "dense with delays": lambda: Network(
        (6,), (replace(dense()[0], delay=numbers("delay", 9, 6, low=0, high=5)), dense()[1]), 4
    ),
    "recurrent": lambda: Network(
        (5,), (RecurrentDense(weights("in", 7, 5), weights("loop", 7, 7), numbers("r", 7), NEURON),), 4
    ),
    "convolution": lambda: Network(
        (4, 7, 9),
        (
            Conv(weights("grouped", 6, 2, 3, 2), numbers("g", 6), NEURON, (2, 1), (1, 2), (1, 2), groups=2),
            Flatten(),
            Dense(weights("behind", 3, 6 * 4 * 11), None, NEURON),
        ),
    ),
    "bias of neurons": lambda: Network(
        (2, 3, 4), (Conv(weights("b", 3, 2, 1, 1), numbers("bb", 3, 3, 4), own_decays()),), 4
    ),
    "transposed": lambda: Network((4, 3, 4), (strided(),), 4),
    "compressed": lambda: Network((130,), (Dense(weights("large", 140, 130), None, NEURON),), 4),
    "input neurons": lambda: Network((6,), dense(), 4, input_neurons=InputNeurons(NEURON, 32, 5)),
    "sigma-delta": lambda: Network(
        (6,),
        (Dense(weights("sd", 9, 6), numbers("sb", 9), SigmaDelta(12)), Dense(weights("s", 4, 9), None, Sigma())),
        4,
        input_neurons=InputNeurons(Delta(3)),
    ),
    "generator": lambda: Network((6, 1, 1), convolutions(), 4, prior(6), READOUT),
    "generator of systematic spikes": lambda: Network(
        (6,), dense(), 4, replace(prior(6), sampler="systematic", levels=4), READOUT
    ),
    "spike readout": lambda: Network(
        (8,), dense(8), 9, prior(6), READOUT, spike_readout=SpikeReadout(2, numbers("levels", 1, 7).astype(np.int32))
    ),
    "circuit in one file": lambda: circuit(chained=True),
    "circuit beside its decoder": lambda: circuit(chained=False),
}
#: Ways to lower the transposed layer's file, with no float in between.
RELOWERED = ("subpixel", "dense", "native")
#: Runs that come with the project. Their calibration compares sums of floats, the order of which is the machine's; all
#: else of them is single operations, which IEEE 754 fixes. :func:`margin` says how far apart these sums are.
PRETRAINED = ("mnist", "fashion_mnist", "fashion_mnist_fast", "cifar10")


def file_hash(path: Path) -> str:
    """SHA-256 of all that an HDF5 file holds, wherever in the file it lies."""
    digest = hashlib.sha256()

    def add(name: str, item: h5py.Group | h5py.Dataset) -> None:
        said: list[object] = [name, type(item).__name__]
        if isinstance(item, h5py.Dataset):
            text = item.dtype.kind == "O"
            said += ["text" if text else item.dtype.str, item.shape]
            value = item[()]
            digest.update(json.dumps(said).encode())
            digest.update(value if isinstance(value, bytes) else np.ascontiguousarray(value).tobytes())
        else:
            digest.update(json.dumps(said).encode())
        digest.update(json.dumps({key: str(item.attrs[key]) for key in sorted(item.attrs)}).encode())

    with h5py.File(path, "r") as file:
        names: list[str] = []
        file.visit(names.append)
        for name in sorted(names):
            add(name, file[name])
    return digest.hexdigest()


def relowered(lowering: str, folder: Path) -> Path:
    """The transposed layer's file, lowered."""
    before = write_netx(NETWORKS["transposed"](), folder / "before.net", stock=False)
    return relower_file(before, folder / "after.net", lowering=lowering).path  # type: ignore[arg-type]


def pretrained_hash(name: str) -> str:
    """The content hash of a shipped run as it is exported by default."""
    return compiled(from_run(load_run(f"pretrained:{name}"))).network.content_hash()


def margin(name: str) -> float:
    """How much the second best scale of any layer is worse than the best one, as a share of the error of it."""
    grid, least = WeightGrid(8), np.inf
    for layer in fold_norm(from_run(load_run(f"pretrained:{name}"))).synapses:
        if layer.scale is None:
            weight = all_weights(layer.synapse)
            scales = [max_scale(weight, grid) / share for share in CLIPPINGS]
            errors = sorted(float(np.square(grid.weights(weight, scale) / scale - weight).sum()) for scale in scales)
            least = min(least, (errors[1] - errors[0]) / errors[0])
    return float(least)


def recorded(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Kind, name and hash of each; files are written to the folder."""
    for name, make in NETWORKS.items():
        network = make()
        yield "content", name, network.content_hash()
        yield "file", name, file_hash(write_netx(network, folder / "golden.net", stock=name != "transposed"))
    for lowering in RELOWERED:
        yield "relowered", lowering, file_hash(relowered(lowering, folder))
    for name in PRETRAINED:
        yield "pretrained", name, pretrained_hash(name)


def main(target: Path) -> None:
    """Writes all hashes as JSON."""
    found: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, name, told in recorded(Path(folder)):
            found.setdefault(kind, {})[name] = told
    target.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
