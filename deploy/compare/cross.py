"""The first images on other backends: do they compute what the twin does?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deploy.backends import BackendJob, Progress, other_backends, run_backend
from deploy.compare.types import CrossCheck
from deploy.entering import at_hand
from esvae.arrays import Integer
from esvae.errors import EsvaeError
from export.ir import Network

__all__ = ["cross_checks"]


def cross_checks(
    file: Path,
    network: Network,
    latents: Integer[np.ndarray, "images steps latents"],
    backends: Sequence[str],
    progress: Progress | None = None,
) -> tuple[CrossCheck, ...]:
    """The readout's potentials of latent spikes ``(images, steps, latents)`` on each backend, against the twin's.

    A backend that is not installed, or does not take the file, is skipped with the reason.
    """
    job = BackendJob(file, at_hand(network, latents), progress=progress)
    twin = run_backend("twin", job).potentials
    found = []
    for name in other_backends(backends, "--backends"):
        started = time.perf_counter()
        try:
            other = run_backend(name, job)
        except EsvaeError as error:
            found.append(CrossCheck(name, len(latents), None, skipped=str(error)))
            continue
        seconds = round(time.perf_counter() - started, 2)
        wrong = np.argwhere(twin != other.potentials)
        difference = None
        if len(wrong):
            at = tuple(int(i) for i in wrong[0])
            difference = f"image {at[0]}, neuron {at[1:]}: twin {twin[at]}, {name} {other.potentials[at]}"
        found.append(CrossCheck(name, len(latents), not len(wrong), difference, seconds=seconds))
    return tuple(found)
