"""Where a sweep meets the exporter's calibration and the trainer's integers; all else is the sweep's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

from deploy.backends import Progress
from esvae.data import load_images
from esvae.run import Run
from esvae.training import fine_tuning, train
from export.ir.floats import FloatNetwork
from export.passes import CALIBRATIONS as _METHODS
from export.pipeline import DEFAULT_CALIBRATION, Exported, export_network

__all__ = ["CALIBRATIONS", "LEARNED", "FineTuned", "export_point", "fine_tuned"]

#: Ways to choose the scales of the layers, the default first.
CALIBRATIONS: tuple[str, ...] = (DEFAULT_CALIBRATION, *(name for name in _METHODS if name != DEFAULT_CALIBRATION))
#: What stands for them with a fine-tuned run, which brings the scales that it learned.
LEARNED = "learned"

#: Directory of a fine-tuned run, and the run.
FineTuned: TypeAlias = tuple[str, Run]


def export_point(network: FloatNetwork, target: Path, *, bits: int, lowering: str, calibration: str) -> Exported:
    """Exports with the settings of a point."""
    method = DEFAULT_CALIBRATION if calibration == LEARNED else calibration  # learned scales are kept by any
    return export_network(
        network,
        target,
        weight_bits=bits,
        lowering=lowering,  # type: ignore[arg-type]
        calibration=method,  # type: ignore[arg-type]
    )


def fine_tuned(
    run: Run, bits: int, out: Path, data_root: str | os.PathLike[str] | None, progress: Progress | None = None
) -> FineTuned:
    """Trains a run further in integers, as ``esvae train --qat --from RUN`` does, into the directory ``out``.

    Returns at once where that is finished, goes on where it was interrupted.

    Raises:
        DataError: the run's data are not there.
        EsvaeError: as :func:`esvae.training.train`.
    """
    config = fine_tuning(run.config, bits)

    def report(step: int, steps: int, mse: float) -> None:
        if progress is not None:
            progress(step / steps, f"fine-tuning with {bits} bits, reconstruction MSE {mse:.4f}")

    images = load_images(config.data, data_root)
    return str(out), train(config, out, initial=run, images=images, resume=True, samples_every=0, progress=report)
