"""Holds the energy model against what was measured on chips, where the published networks are at hand."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deploy.backends import Progress
from esvae.errors import DataError, EsvaeError
from export.ir import Network
from export.netx import read_netx
from sim.counts.ops import count
from sim.energy.validation import Case, Comparison, compare_with_case, shipped_cases
from sim.stimulus import Stimulus
from sim.twin.engine import Engine

__all__ = ["CaseResult", "validate_model"]


@dataclass(frozen=True)
class CaseResult:
    """One measured case.

    Attributes:
        case: with its sources.
        file: that was taken for its network, or None where the folder has none.
        comparisons: the model beside each measured figure; empty where the file is missing.
    """

    case: Case
    file: Path | None
    comparisons: tuple[Comparison, ...]


def validate_model(folder: str | os.PathLike[str], *, progress: Progress | None = None) -> list[CaseResult]:
    """Runs every measured case whose network lies anywhere below a folder.

    Args:
        folder: with published ``.net`` files, such as lava-dl's own test folder.
        progress: called with the share done.

    Raises:
        DataError: no such folder, or none of the cases' networks in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"--validate {folder}: no such folder")
    cases = shipped_cases()
    results = []
    for number, case in enumerate(cases):
        if progress is not None:
            progress(number / len(cases), case.name)
        results.append(_validated(case, folder))
    if not any(result.comparisons for result in results):
        wanted = ", ".join(case.network.file for case in cases)
        raise DataError(f"--validate {folder}: holds none of the measured networks ({wanted})")
    return results


def _validated(case: Case, folder: Path) -> CaseResult:
    for file in sorted(folder.rglob(Path(case.network.file).name)):
        network = _network(file)
        if network is not None and network.content_hash() == case.network.content_hash:
            image = np.zeros((1, *network.input_shape), np.int32)
            stimulus = Stimulus(None, image, case.steps)
            counts = count(network, Engine(network).run(stimulus))
            return CaseResult(case, file, tuple(compare_with_case(case, network, counts)))
    return CaseResult(case, None, ())


def _network(file: Path) -> Network | None:
    """What is in a file, or None where it is not one of ours to read: the folder may hold any files."""
    try:
        return read_netx(file)
    except EsvaeError:
        return None
