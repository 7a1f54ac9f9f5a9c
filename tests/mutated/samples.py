"""Sound inputs of every kind, each a function that writes one into an empty folder; a small run is shared."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mutated.on_hdf5 import NETWORKS
from mutated.others import SOUND
from small_config import write_small_config

__all__ = ["Sample", "Shared", "shared"]

Sample = Callable[[Path], None]


@dataclass(frozen=True)
class Shared:
    """What all kinds have, made once.

    Attributes:
        folder: holds the config ``small.yaml``, the ``run``, its ``decoder.net``, the ``generation`` and the ``sweep``.
    """

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "small.yaml"

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def net(self) -> Path:
        return self.folder / "decoder.net"

    @property
    def driven(self) -> Path:
        """A network with input neurons."""
        return self.folder / "driven.net"


def shared(folder: Path) -> Shared:
    """Trains and exports; deterministic on one machine."""
    from esvae.config import load_config
    from esvae.training import Machine, train
    from export.frontends import load_source
    from export.pipeline import export_network

    made = Shared(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_small_config(folder, epochs=1)
    train(load_config(made.config), made.run, machine=Machine(max_steps=2, samples_every=0))
    export_network(load_source(made.run), made.net)
    NETWORKS["input neurons"](made.driven)
    return made


def config(made: Shared) -> Sample:
    return lambda folder: shutil.copy(made.config, folder / "x.yaml") and None


def profile(name: str) -> Sample:
    def write(folder: Path) -> None:
        import sim.energy

        shutil.copy(Path(sim.energy.__file__).parent / name, folder / "x.yaml")

    return write


def run(made: Shared) -> Sample:
    def write(folder: Path) -> None:
        (folder / "run").mkdir()
        for name in ("config.yaml", "weights.safetensors", "training.json"):
            shutil.copy(made.run / name, folder / "run" / name)

    return write


def unfinished(made: Shared) -> Sample:
    """A training that was interrupted after the second of three steps."""

    def write(folder: Path) -> None:
        from esvae.config import load_config
        from esvae.training import Machine, TrainingCallbacks, train

        def interrupt(step: int, *_: object) -> None:
            if step == 2:
                raise KeyboardInterrupt

        machine = Machine(max_steps=3, checkpoint_steps=1, samples_every=0)
        try:
            train(load_config(made.config), folder / "run", machine=machine, callbacks=TrainingCallbacks(interrupt))
        except KeyboardInterrupt:
            return
        raise RuntimeError("was not interrupted")

    return write


def features(folder: Path) -> None:
    """A FAD autoencoder's weights."""
    import torch

    from esvae.metrics.features import FeatureNet, save_features

    torch.manual_seed(0)
    save_features(folder / "x.safetensors", FeatureNet(1, 4))


def official(*, inside: bool = False, **options: Any) -> Sample:
    """A state dict of the reference implementation; ``inside`` a checkpoint, beside other things."""

    def write(folder: Path) -> None:
        import torch
        from official_network import official as network

        state = {name: value.float() for name, value in network(large=False).state_dict().items()}
        torch.save({"state": state, "epoch": 3} if inside else state, folder / "x.pth", **options)

    return write


def array(*shape: int, most: int, kind: str = "u1") -> Sample:
    def write(folder: Path) -> None:
        np.save(folder / "x.npy", np.random.default_rng(0).integers(0, most, shape).astype(kind))

    return write


def pictures(folder: Path) -> None:
    """Twelve of several formats, in two folders."""
    from PIL import Image

    rng = np.random.default_rng(0)
    ends = ["png", "jpg", "gif", "bmp", "tif", "webp", "ppm", "pgm", "png", "jpeg", "png", "png"]
    for number, end in enumerate(ends):
        place = folder / "pictures" / ("a" if number % 2 else "b")
        place.mkdir(parents=True, exist_ok=True)
        values = rng.integers(0, 256, (14, 12) if end in ("pgm", "gif") else (12, 17, 3)).astype("u1")
        Image.fromarray(values).save(place / f"{number:02d}.{end}")


def mnist(folder: Path) -> None:
    """The four files of MNIST, with 12 and 5 images of 9x9."""
    raw = folder / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, count in (("train", 12), ("t10k", 5)):
        for name, sizes in (("images-idx3", (count, 9, 9)), ("labels-idx1", (count,))):
            head = b"\0\0\x08" + bytes([len(sizes)]) + b"".join(size.to_bytes(4, "big") for size in sizes)
            (raw / f"{part}-{name}-ubyte").write_bytes(head + rng.bytes(int(np.prod(sizes))))


def prepared(folder: Path) -> None:
    """The same, prepared already."""
    from mutated.readers import read_mnist

    mnist(folder)
    read_mnist(folder)


def generation(made: Shared) -> Sample:
    def write(folder: Path) -> None:
        from deploy.generate import generate_file

        generate_file(made.net, 6, folder / "drawn", chunk=2)

    return write


def sweep(made: Shared) -> Sample:
    def write(folder: Path) -> None:
        from mutated.readers import read_sweep

        read_sweep(made)(folder)

    return write


def lava_result(folder: Path) -> None:
    """What Lava's interpreter leaves of two images and four steps."""
    rng = np.random.default_rng(0)
    states = {f"layer1.{quantity}": rng.integers(-99, 99, (2, 4, 3)).astype("i4") for quantity in "uv"}
    spikes = rng.integers(0, 2, (2, 4, 3)).astype("u1")
    np.savez(folder / "x.npz", readout=states["layer1.v"][:, -1], **states, **{"layer1.s": spikes})


def network(name: str) -> Sample:
    def write(folder: Path) -> None:
        NETWORKS[name](folder / "x.net")
        shutil.copy(folder / "x.net", folder / SOUND)

    return write


def graph(path: Path) -> Sample:
    """A NIR graph that a framework wrote."""
    return lambda folder: shutil.copy(path, folder / "x.nir") and None
