"""Functions for a notebook, which ``import esvae`` offers too::

import esvae

network = esvae.load("decoder.net")
network.generate(n=64, seed=0)
"""

from __future__ import annotations

import os
from typing import Any

from deploy.compare import Comparison
from deploy.cost import Cost
from deploy.loaded import LoadedNetwork, in_own_words
from deploy.notebook import show_in_notebooks
from deploy.traces import Traces
from deploy.verify import Verdict
from esvae.machine.outputs import output_file
from esvae.machine.progress import Progress
from esvae.training.train import train as run_training
from export.frontends import load_source
from export.ir import FloatNetwork
from export.pipeline import Exported, Options, export_network

__all__ = ["compare", "energy", "export", "load", "simulate", "train", "verify"]

show_in_notebooks()


#: :func:`esvae.training.train.train`, with errors in a caller's words.
train = in_own_words(run_training)


def load(source: str | os.PathLike[str] | LoadedNetwork) -> LoadedNetwork:
    """Reads a network.

    Args:
        source: a ``.net`` file; a run directory or ``pretrained:NAME``, which is exported once and kept in the cache;
            what was loaded stays as it is.

    Raises:
        NetFileError: missing, damaged or not understood.
        CheckpointError: no such run.

    Example:
        >>> import esvae
        >>> esvae.load("pretrained:fashion_mnist_fast").plan(n=2).total
        18
    """
    return source if isinstance(source, LoadedNetwork) else LoadedNetwork(source)


@in_own_words
def export(
    source: FloatNetwork | str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
    **options: Any,
) -> Exported:
    """Quantizes a network and writes it as a Lava-DL netx file.

    Args:
        source: what a frontend such as ``esvae.from_norse`` gives; a run directory, ``pretrained:NAME``, an official
            state dict, a NIR graph or a ``.net`` file.
        target: the ``.net`` file.
        progress: called with the share done, 0 to 1, and the name of the pass.
        options: those of :class:`export.pipeline.Options`: ``weight_bits``, ``lowering``, ``calibration``, ``spikes``,
            ``circuit``, ``read_steps``.

    Raises:
        DataError: a source that is none of these, or spikes that do not fit it.
        EsvaeError: the source cannot be read, or the chip's registers do not hold the network.
    """
    output_file(target, ".net", option="target")
    network = load_source(source) if isinstance(source, str | os.PathLike) else source
    return export_network(network, target, Options(**options), progress=progress)


def simulate(source: str | os.PathLike[str] | LoadedNetwork, n: int = 4, seed: int = 0, **given: Any) -> Traces:
    """Loads a network and records every step; arguments as of :meth:`deploy.loaded.LoadedNetwork.trace`."""
    return load(source).trace(n, seed, **given)


def verify(source: str | os.PathLike[str] | LoadedNetwork, n: int = 4, seed: int = 0, **given: Any) -> Verdict:
    """Loads a network and compares every integer across backends; arguments as of
    :meth:`deploy.loaded.LoadedNetwork.verify`."""
    return load(source).verify(n, seed, **given)


def compare(
    run: str | os.PathLike[str],
    source: str | os.PathLike[str] | LoadedNetwork,
    n: int = 5000,
    seed: int = 0,
    **given: Any,
) -> Comparison:
    """Loads a network and sets it beside the run that it was made of; arguments as of
    :meth:`deploy.loaded.LoadedNetwork.compare`."""
    return load(source).compare(n, seed, run=run, **given)


def energy(source: str | os.PathLike[str] | LoadedNetwork, n: int = 64, seed: int = 0, **given: Any) -> Cost:
    """Loads a network and counts its operations; arguments as of :meth:`deploy.loaded.LoadedNetwork.energy`."""
    return load(source).energy(n, seed, **given)
