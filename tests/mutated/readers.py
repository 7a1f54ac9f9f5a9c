"""What reads each kind of input: functions of the folder in which it lies that give all that depends on it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mutated.samples import Shared

__all__ = ["Reader", "command"]

#: Gives what JSON holds; raises EsvaeError or SystemExit as a command does.
Reader = Callable[[Path], Any]

#: Of results: the time they took, and what a repaired input rightly has otherwise.
_PASSING = {"seconds", "drawn", "damaged", "notes", "source", "evaluated", "kept", "about"}


def command(*arguments: str, writes: str | None = None, silent: bool = False) -> Reader:
    """A command of the command line; ``{}`` stands for the folder.

    Args:
        arguments: without ``--json``.
        writes: a file of arrays or tensors, whose content is part of the result.
        silent: only how it ends counts, not what it prints; 1 is what it has to say of the file.
    """

    def read(folder: Path) -> Any:
        from deploy.cli import main

        printed, errors, outer = io.StringIO(), io.StringIO(), sys.stderr
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
            try:
                main([*(argument.format(folder) for argument in arguments), "--json"])
            except SystemExit as end:
                if end.code and not (silent and end.code == 1 and "error: " not in errors.getvalue()):
                    raise
            finally:
                outer.write(errors.getvalue())
        if silent:
            return None
        return [settled(json.loads(printed.getvalue())), None if writes is None else hashes(folder / writes)]

    return read


def settled(value: Any) -> Any:
    """Without what differs between two equal runs."""
    if isinstance(value, dict):
        return {name: settled(item) for name, item in value.items() if name not in _PASSING}
    return [settled(item) for item in value] if isinstance(value, list) else value


def hashes(path: Path) -> Any:
    """Of the arrays of an ``.npz``, by name; of any other file, of its bytes."""
    if path.suffix != ".npz":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    with np.load(path) as found:
        return {name: _hash(found[name]) for name in found.files}


def _hash(values: np.ndarray) -> str:
    return f"{values.dtype} {values.shape} {hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()}"


def read_case(folder: Path) -> Any:
    """A measured case; no command takes one from elsewhere than the project."""
    from sim.energy.checked import read_section
    from sim.energy.validation import Case

    return read_section(folder / "x.yaml", Case, "case").model_dump()


def read_features(folder: Path) -> Any:
    from esvae.metrics.features import load_features

    net = load_features(folder / "x.safetensors")
    return {name: _hash(value.numpy()) for name, value in net.state_dict().items()}


def read_pictures(folder: Path) -> Any:
    from esvae.config import DataConfig
    from esvae.data import load_images

    splits = load_images(DataConfig(name="folder", image_size=8, image_channels=3), folder / "pictures")
    return [_hash(images.pixels.numpy()) for images in (splits.train, splits.test)]


def read_mnist(folder: Path) -> Any:
    from esvae.config import DataConfig
    from esvae.data import load_images

    splits = load_images(DataConfig(name="mnist", image_size=8), folder / "data")
    return [_hash(images.tensor().numpy()) for images in (splits.train, splits.test)]


def read_lava_result(folder: Path) -> Any:
    """As :mod:`deploy.lava.run` does when Lava is done."""
    from esvae.machine.arrays import load_arrays

    return {name: _hash(values) for name, values in load_arrays(folder / "x.npz", "potentials and states").items()}


def read_generation(made: Shared) -> Reader:
    def read(folder: Path) -> Any:
        from deploy.generate import generate_file

        found = generate_file(made.net, 6, folder / "drawn")
        return [found.images, _hash(found.potentials())]

    return read


def read_sweep(made: Shared) -> Reader:
    """The whole sweep, points that are kept taken."""

    def read(folder: Path) -> Any:
        from deploy.sweep import Grid, SweepProtocol, as_json, sweep

        protocol = SweepProtocol(2, 4, 0, (), ("loihi2_anchored",))
        found = sweep(str(made.run), Grid((8, 4), (4,)), folder / "sweep", protocol)
        nets = {entry.key: hashes(folder / "sweep" / "points" / f"{entry.key}.net") for entry in found.points}
        return [settled(as_json(found)), nets]

    return read


def resume(made: Shared) -> Reader:
    def read(folder: Path) -> Any:
        from esvae.config import load_config
        from esvae.training import Machine, train

        run = train(
            load_config(made.config), folder / "run", machine=Machine(max_steps=3, samples_every=0), resume=True
        )
        return [settled(run.record), run.weights_hash]

    return read


def run_spikes(folder: Path) -> Any:
    """A network on spikes or images that fit it."""
    from export.netx import read_netx

    network = read_netx(folder / "x.net")
    if network.input_neurons is not None:
        entering = ["--image", "zeros", "--steps", "2"]
    elif network.prior is not None and network.time_steps is not None:
        entering = ["-n", "1"]
    else:
        entering = ["--spikes", str(folder / "ones.npy")]
        shutil.rmtree(folder / "ones.npy", ignore_errors=True)
        np.save(folder / "ones.npy", np.ones((1, 2, *network.input_shape), np.uint8))
    return command("simulate", "{}/x.net", *entering, "--trace", "{}/trace.npz", writes="trace.npz")(folder)
