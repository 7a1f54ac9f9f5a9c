"""Recording states, and reading the images out, through files instead of Lava's variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .built import Built
from .messages import LavaWork, Step
from .reporter import Reporter

__all__ = ["add_readout", "add_recorder", "collected", "exact", "read_out"]

READOUT = "readout.npy"


def exact(values: Any, what: str) -> Any:
    """``values`` as int32, having made sure that they are whole numbers."""
    import numpy as np

    whole = np.asarray(values).astype(np.int32)
    if not np.array_equal(whole, values):
        raise ArithmeticError(f"{what}: Lava gave a value that is not an integer of 32 bits")
    return whole


def _record(path: Path, shape: tuple[int, ...]) -> str:
    """Makes a file of zeros that a Lava process writes into."""
    import numpy as np

    np.lib.format.open_memmap(str(path), mode="w+", dtype=np.int64, shape=shape).flush()
    return str(path)


def add_readout(built: Built, work: LavaWork) -> None:
    """Connects a process to the last layer that writes v of each image's last step to a file."""
    from .processes.readout import Readout

    last = built.layers[-1]
    shape = last.potential.shape
    record = _record(Path(work.folder, READOUT), (work.images, *shape))
    readout = Readout(shape=shape, steps=work.steps, first=last.first, record=record)
    readout.v.connect_var(last.potential)
    built.labels[id(readout)] = "readout"
    built.kept.append(readout)


def read_out(work: LavaWork) -> Any:
    """What that process wrote: ``(images, C, H, W)`` or ``(images, features)``."""
    import numpy as np

    record = exact(np.load(Path(work.folder, READOUT)), "readout")
    return record.transpose(0, *range(record.ndim - 1, 0, -1))


def add_recorder(built: Built, folder: Path) -> dict[Any, Any]:
    """Connects a process that writes u, v and s_out of every layer into files; gives the model to run it under."""
    from .processes.recorder import Recorder, model_of

    targets = [
        (target, _record(folder / f"{layer.name}.{quantity}.npy", (built.total, *target.shape)))
        for layer in built.layers
        for quantity, target in layer.recorded.items()
    ]
    recorder = Recorder(targets)
    recorder.connect()
    built.labels[id(recorder)] = "recorder"
    built.kept.append(recorder)
    return {Recorder: model_of(recorder)}


def collected(built: Built, work: LavaWork, reporter: Reporter) -> dict[str, Any]:
    """The records by image, aligned by sample: ``(images, steps, C, H, W)`` or ``(images, steps, features)``.

    From power-on they are those of one long sample, in which each layer starts a step later than the one before it.
    """
    import numpy as np

    arrays = {}
    for layer in built.layers:
        at = layer.first - 1 + built.period * np.arange(work.images)[:, None] + np.arange(work.steps)
        if built.from_power_on:
            at = np.arange(built.total)[None]
        for quantity in layer.recorded:
            record = np.load(Path(work.folder, f"{layer.name}.{quantity}.npy"), mmap_mode="r")
            window = exact(record[at], f"{layer.name} {quantity}")
            turned = window.transpose(0, 1, *range(window.ndim - 1, 1, -1))
            arrays[f"{layer.name}.{quantity}"] = turned if quantity != "s" or layer.graded else turned.astype(np.uint8)
        reporter.tell(Step, done=built.total)
    return arrays
