"""The runs of a sweep with ``--qat``: the run trained further in the chip's integers, once for each number of bits."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from deploy.backends import Progress
from deploy.sweep.types import Failed, SweepProtocol
from esvae.errors import EsvaeError
from esvae.run import Run

__all__ = ["FineTuned", "fine_tuned_runs"]

#: Directory of a fine-tuned run, and the run.
FineTuned: TypeAlias = tuple[str, Run]


def fine_tuned_runs(
    trained: Run, all_bits: Sequence[int], folder: Path, protocol: SweepProtocol, progress: Progress
) -> dict[int, FineTuned | Failed]:
    """The runs that were fine-tuned for so many bits, one after the other, kept below ``SWEEP/qat``, or why not."""
    found: dict[int, FineTuned | Failed] = {}
    for bits in all_bits:
        out = folder.resolve() / "qat" / f"{trained.weights_hash[:16]}-{bits}bit"
        try:
            found[bits] = _fine_tuned(trained, bits, out, protocol.data_root, progress)
        except EsvaeError as error:
            found[bits] = Failed("fine-tuning: " + " ".join(str(error).split()))
    return found


def _fine_tuned(
    run: Run, bits: int, out: Path, data_root: str | os.PathLike[str] | None, progress: Progress | None = None
) -> FineTuned:
    """Trains a run further in integers, as ``esvae train --qat --from RUN`` does, into the directory ``out``.

    Returns at once where that is finished, goes on where it was interrupted.
    """
    from esvae.training import Machine, TrainingCallbacks, fine_tuning, train  # seconds, and a sweep rarely trains

    config = fine_tuning(run.config, bits)

    def report(share: float, text: str) -> None:
        if progress is not None:
            progress(share, f"fine-tuning with {bits} bits, {text}")

    return str(out), train(
        config,
        out,
        initial=run,
        resume=True,
        machine=Machine(samples_every=0, data_root=data_root),
        callbacks=TrainingCallbacks(
            lambda step, steps, mse, epoch: report(step / steps, f"reconstruction MSE {mse:.4f}"),
            lambda text: report(0.0, text),
        ),
    )
