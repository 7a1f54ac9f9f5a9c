"""The first images on other backends: do they compute what the twin does?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deploy.backends import BACKENDS, Progress, run_backend
from deploy.compare.types import CrossCheck
from esvae.errors import ConfigError, EsvaeError
from export.ir import Network

__all__ = ["check_backends", "cross_checks"]


def check_backends(names: Sequence[str]) -> tuple[str, ...]:
    """The names, each a backend of this project other than the twin.

    Raises:
        ConfigError: one that is not.
    """
    others = [name for name in BACKENDS if name != "twin"]
    for name in names:
        if name not in others:
            raise ConfigError(f"backend '{name}' is not here to compare with; choose of {', '.join(others)}")
    return tuple(names)


def cross_checks(
    file: Path, network: Network, latents: np.ndarray, backends: Sequence[str], progress: Progress | None = None
) -> tuple[CrossCheck, ...]:
    """The readout's potentials of latent spikes ``(images, steps, latents)`` on each backend, against the twin's.

    A backend that is not installed, or does not take the file, is skipped with the reason.
    """
    entering = latents.reshape(*latents.shape[:2], *network.input_shape)
    twin = run_backend("twin", file, network, entering).potentials
    found = []
    for name in check_backends(backends):
        started = time.perf_counter()
        try:
            other = run_backend(name, file, network, entering, progress=progress)  # type: ignore[arg-type]
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
