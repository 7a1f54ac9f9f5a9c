"""Functions for a notebook, which ``import esvae`` offers too::

import esvae

network = esvae.load("decoder.net")
network.generate(n=64, seed=0)
"""

from __future__ import annotations

import os
from typing import Any

from deploy.cost import Cost
from deploy.loaded import LoadedNetwork
from deploy.notebook import show_in_notebooks
from deploy.traces import Traces
from export.frontends import load_source
from export.ir import FloatNetwork
from export.pipeline import Exported, export_network

__all__ = ["energy", "export", "load", "simulate"]

show_in_notebooks()


def load(source: str | os.PathLike[str]) -> LoadedNetwork:
    """Reads a network.

    Args:
        source: a ``.net`` file; a run directory or ``pretrained:NAME``, which is exported once and kept in the cache.

    Raises:
        NetFileError: missing, damaged or not understood.
        CheckpointError: no such run.

    Example:
        >>> import esvae
        >>> esvae.load("pretrained:fashion_mnist_fast").plan(n=2).total
        18
    """
    return LoadedNetwork(source)


def export(source: FloatNetwork | str | os.PathLike[str], target: str | os.PathLike[str], **options: Any) -> Exported:
    """Quantizes a network and writes it as a Lava-DL netx file.

    Args:
        source: what a frontend such as ``esvae.from_norse`` gives; a run directory, ``pretrained:NAME``, an official
            state dict, a NIR graph or a ``.net`` file.
        target: the ``.net`` file.
        options: of :func:`export.pipeline.export_network`: ``weight_bits``, ``lowering``, ``calibration``, ``spikes``,
            ``circuit``.

    Raises:
        EsvaeError: the source cannot be read, or the chip's registers do not hold the network.
    """
    return export_network(source if isinstance(source, FloatNetwork) else load_source(source), target, **options)


def simulate(source: str | os.PathLike[str], n: int = 4, seed: int = 0, **given: Any) -> Traces:
    """Loads a network and records every step; arguments as of :meth:`deploy.loaded.LoadedNetwork.trace`."""
    return load(source).trace(n, seed, **given)


def energy(source: str | os.PathLike[str], n: int = 64, seed: int = 0, **given: Any) -> Cost:
    """Loads a network and counts its operations; arguments as of :meth:`deploy.loaded.LoadedNetwork.energy`."""
    return load(source).energy(n, seed, **given)
