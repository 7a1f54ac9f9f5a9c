"""Where a training writes: into its run directory, or, to replace a finished run, beside it until the end."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from esvae.errors import CheckpointError, EsvaeError
from esvae.machine.distributed import rank
from esvae.run import holds_run, is_finished
from esvae.shipped import RUN_FILES
from esvae.training.finish import FOLDER
from esvae.training.fit import CHECKPOINT

__all__ = ["Place", "check_place", "training_place"]

#: What belongs to a run and goes with it; anything else in its directory is somebody's and stays.
_OWN = {*RUN_FILES, CHECKPOINT, FOLDER, "metrics.csv", "samples", "tensorboard"}


@dataclass(frozen=True)
class Place:
    """A training's directory.

    Attributes:
        directory: the run directory that was asked for.
        work: where the training writes; another folder beside it while a finished run stands in ``directory``.
    """

    directory: Path
    work: Path

    def finish(self) -> None:
        """Puts the finished run where it was asked for; what stood there is replaced, files that are no run's stay.

        Raises:
            EsvaeError: a folder cannot be moved; both runs are still there.
        """
        if self.work == self.directory or rank() != 0:
            return
        replaced, real = self.work.with_suffix(".replaced"), Path(os.path.realpath(self.directory))
        try:
            for entry in real.iterdir():
                if entry.name not in _OWN and not (self.work / entry.name).exists():
                    entry.rename(self.work / entry.name)
            real.rename(replaced)
            self.work.rename(real)
        except OSError as error:
            raise EsvaeError(
                f"cannot replace {self.directory}: {error.strerror}; the new run is in {self.work}"
            ) from error
        shutil.rmtree(replaced, ignore_errors=True)


def check_place(directory: str | os.PathLike[str], *, resume: bool, overwrite: bool) -> None:
    """Checks that a training may write there, before any work is done.

    Raises:
        CheckpointError: the directory holds a run that neither is to be continued nor may be replaced.
    """
    directory = Path(directory)
    held = holds_run(directory) or (directory / CHECKPOINT).exists()
    if resume or overwrite or not held:
        return
    what, instead = "an unfinished run", "continue it with --resume"
    if is_finished(directory):
        what, instead = "a finished run", "train into another folder"
    raise CheckpointError(f"{directory}: holds {what}; {instead}, or replace it with --overwrite")


def training_place(directory: str | os.PathLike[str], *, resume: bool, overwrite: bool) -> Place:
    """Decides where a training writes, and makes room there.

    A finished run is replaced once the new one is finished, so that a training that is killed loses nothing.

    Raises:
        CheckpointError: as :func:`check_place`.
    """
    check_place(directory, resume=resume, overwrite=overwrite)
    directory = Path(directory)
    if resume and not overwrite:
        return Place(directory, directory)
    real = Path(os.path.realpath(directory))  # where a link leads, so that the link stays
    work = real.with_name(f".{real.name}.new") if is_finished(directory) else directory
    if rank() == 0 and not resume:
        if work != directory and work.exists():
            shutil.rmtree(work)
        (work / CHECKPOINT).unlink(missing_ok=True)
        shutil.rmtree(work / FOLDER, ignore_errors=True)
    return Place(directory, work)
