"""The frontend for checkpoints of the reference implementation: a state dict, read as tensors alone."""

from __future__ import annotations

import os

from esvae.config import DataName
from esvae.machine.files import sha256_file
from esvae.official import import_official
from esvae.run import Run
from export.frontends.esvae_run import from_run
from export.ir.floats import FloatNetwork

__all__ = ["from_official"]


def from_official(path: str | os.PathLike[str], *, data: DataName | None = None) -> FloatNetwork:
    """The decoder and the prior of an official ESVAE state dict (see :mod:`esvae.official`).

    Args:
        path: as ``torch.save(network.state_dict(), path)`` wrote it.
        data: the data set that it was trained on; guessed from the images' size and channels where None.

    Raises:
        CheckpointError: no such file, no state dict, or entries that are missing, unknown or of another shape.
    """
    model = import_official(path, data=data)
    return from_run(Run(model, {}, sha256_file(path)))
