"""Drawing many images in chunks, each kept as soon as it is done, so that a run that was killed goes on where it was.

An image's integers depend on the network, the seed and its number alone: not on the chunk, the backend, or what was
drawn before. So a folder of chunks can be continued, extended, and even finished on another backend::

    FOLDER/generation.json           what is drawn: hash of the network, seed, images to a chunk, shapes
    FOLDER/potentials-00000000.npy   int32 (images of the chunk, *layer shape), named after its first image
    FOLDER/potentials-00000000.sha256  its hash, for ``sha256sum --check``
    FOLDER/potentials-00000064.npy   ...

Each file is written whole or not at all. A chunk that does not hold what its hash says is drawn again.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from deploy.backends import BackendJob, LavaSettings, Progress, check_job, run_backend
from deploy.entering import InputOptions, enter
from esvae.arrays import Int32
from esvae.errors import ConfigError, DataError
from esvae.machine.arrays import load_array, save_array
from esvae.machine.documents import load_json
from esvae.machine.files import read_regular, sha256_file, write_text
from esvae.machine.locks import only_writer
from export.ir import Network, Shape
from export.netx import read_netx

__all__ = ["Generation", "generate_file"]

#: Images to a file, unless said: where thousands are drawn in a second or two, files cost more; and elsewhere.
_MANY, _CHUNK = {"twin": 1024, "onnx": 1024}, 64
_ABOUT = "generation.json"


@dataclass(frozen=True)
class Generation:
    """A folder of drawn images.

    Attributes:
        folder: where.
        images: how many are there.
        drawn: how many of them by this call.
        damaged: files of an earlier call that did not hold what was written, drawn again.
        chunk: images to a file.
        seconds: this call took.
    """

    folder: Path
    images: int
    drawn: int
    damaged: tuple[str, ...]
    chunk: int
    seconds: float

    def potentials(self) -> Int32[np.ndarray, " images *layer"]:
        """The last layer's potentials after each image's last step: int32 ``(images, *layer shape)``."""
        starts = range(0, self.images, self.chunk)
        return np.concatenate([load_array(_file(self.folder, start)) for start in starts])[: self.images]


def generate_file(
    path: str | os.PathLike[str],
    images: int,
    folder: str | os.PathLike[str],
    *,
    seed: int = 0,
    backend: str = "twin",
    lava: LavaSettings = LavaSettings(),
    chunk: int | None = None,
    progress: Progress | None = None,
) -> Generation:
    """Draws images 0 to ``images - 1`` into a folder; what is there already and holds what its hash says is kept.

    Args:
        path: the ``.net`` file, with a prior.
        images: how many in all.
        folder: new, or begun by an earlier call with the same network and seed.
        seed: of the prior and of the sampler.
        backend, lava: what draws them.
        chunk: images to a file; as before where the folder was begun, else 1024 (twin, onnx) or 64.
        progress: called with the share done, images, steps a second, and the time left.

    Raises:
        ConfigError: the folder holds images of another network or seed, or in chunks of another size.
        EsvaeError: a file cannot be read or written, another process writes there, or the backend failed; the chunks
            before it are kept.
    """
    network = read_netx(path)
    entering = enter(network, InputOptions(images, seed))
    job = BackendJob(Path(path), entering, lava=lava)
    check_job(backend, job)
    target = Path(folder)
    with only_writer(target):
        chunk, hashed = _begun(target, network, seed, chunk, _MANY.get(backend, _CHUNK))
        return _continued(target, backend, job, network.shapes[-1], chunk, hashed, progress)


def _continued(
    target: Path, backend: str, job: BackendJob, shape: Shape, chunk: int, hashed: bool, progress: Progress | None
) -> Generation:
    """Draws what is not there yet."""
    entering, images = job.entering, job.entering.images
    started = time.perf_counter()
    found = {
        start: _found(_file(target, start), min(chunk, images - start), chunk, shape, hashed=hashed)
        for start in range(0, images, chunk)
    }
    todo = [start for start, state in found.items() if state != "whole"]
    damaged = tuple(_file(target, start).name for start, state in found.items() if state == "damaged")
    before = images - sum(min(chunk, images - start) for start in todo)
    drawn = 0

    def report(share_of_chunk: float, count: int) -> None:
        done = drawn + share_of_chunk * count
        seconds = max(time.perf_counter() - started, 1e-9)
        left = seconds * (images - before - done) / done if done else 0.0
        rate = done * entering.steps / seconds
        text = f"{before + int(done)} of {images} images, {rate:.0f} steps/s"
        if progress is not None:
            progress((before + done) / images, text + (f", {_clock(left)} left" if done else ""))

    for start in todo:
        count = min(chunk, images - start)
        report(0.0, count)
        part = replace(
            job,
            entering=entering.part(start, start + count),
            progress=lambda share, text, count=count: report(share, count),  # type: ignore[misc]
        )
        run = run_backend(backend, part)
        _keep(_file(target, start), run.potentials.astype(np.int32))
        drawn += count
        report(0.0, 0)
    return Generation(target, images, drawn, damaged, chunk, round(time.perf_counter() - started, 3))


def _begun(folder: Path, network: Network, seed: int, chunk: int | None, usual: int) -> tuple[int, bool]:
    """Begins the folder, or checks that it was begun for the same images; gives the size of its chunks, and whether
    each has a hash, as those that were begun long ago have not."""
    about = {"content_hash": network.content_hash(), "seed": seed, "layer_shape": list(network.shapes[-1])}
    if chunk is not None and chunk < 1:
        raise DataError(f"chunks of {chunk} images: expected at least 1")
    file = folder / _ABOUT
    if not file.exists():
        if folder.is_dir() and any(folder.iterdir()):
            raise ConfigError(f"{folder} is there and holds something else; name another folder")
        begun = {**about, "chunk": chunk or usual, "hashes": "sha256"}
        write_text(file, json.dumps(begun, indent=1) + "\n")
        return chunk or usual, True
    try:
        found = load_json(file, error=ConfigError)
    except ConfigError as error:
        raise ConfigError(f"{error}; name another folder") from None
    size = found.get("chunk") if isinstance(found, dict) else None
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ConfigError(f"{file}: damaged (no size of chunks); name another folder")
    for name, value in about.items():
        if found.get(name) != value:
            if name == "content_hash":
                raise ConfigError(f"{folder}: was begun with another network; name another folder")
            raise ConfigError(f"{folder}: was begun with {name} {found.get(name)}, here {value}; name another folder")
    if chunk is not None and chunk != size:
        raise ConfigError(f"{folder}: was begun in chunks of {size} images, here {chunk}; leave --chunk out")
    return size, "hashes" in found


def _file(folder: Path, start: int) -> Path:
    return folder / f"potentials-{start:08d}.npy"


def _keep(file: Path, potentials: np.ndarray) -> None:
    """Writes a chunk, and its hash as ``sha256sum --check`` takes it."""
    save_array(file, potentials)
    write_text(_hash(file), f"{sha256_file(file)}  {file.name}\n")


def _hash(file: Path) -> Path:
    return file.with_suffix(".sha256")


def _found(
    file: Path, wanted: int, chunk: int, shape: Shape, *, hashed: bool
) -> Literal["whole", "short", "missing", "damaged"]:
    """What is there of a chunk, which must hold what its hash says; it may have none only where ``hashed`` is not."""
    try:
        values = load_array(file, "potentials", mapped="r")
        if not os.path.lexists(_hash(file)):
            if hashed:
                return "short"  # a run was killed between the two
        else:
            said = read_regular(_hash(file), 1 << 10).decode("ascii", "replace")
            if said.split() != [sha256_file(file), file.name]:
                return "damaged"
    except (DataError, OSError):
        return "damaged" if os.path.lexists(file) else "missing"
    if values.dtype != np.int32 or values.shape[1:] != tuple(shape) or len(values) > chunk:
        return "damaged"
    return "whole" if len(values) >= wanted else "short"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
