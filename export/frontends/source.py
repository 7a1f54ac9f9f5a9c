"""What ``esvae export`` was given: told apart by what lies there, not by its name alone."""

from __future__ import annotations

import os
from pathlib import Path

import h5py

from esvae.errors import CheckpointError
from esvae.run import load_run
from export.frontends.esvae_run import from_run
from export.frontends.netx_file import from_netx
from export.frontends.nir import from_nir, is_nir
from export.frontends.official import from_official
from export.ir.floats import FloatNetwork

__all__ = ["is_netx", "load_source"]

_STATE_DICTS = (".pth", ".pt", ".ckpt")
_NETX = ".net"
_EXPECTED = "a run directory, pretrained:NAME, an official state dict (.pth), a NIR graph (.nir), or a .net file"


def is_netx(source: str | os.PathLike[str]) -> bool:
    """Whether ``source`` is a ``.net`` file, by its name or by its content."""
    path = Path(source)
    if path.is_file() and h5py.is_hdf5(path):
        return not is_nir(path)
    return path.suffix == _NETX


def load_source(source: str | os.PathLike[str]) -> FloatNetwork:
    """The float description of a run, ``pretrained:NAME``, an official state dict, a NIR graph or a ``.net`` file.

    What a NIR graph leaves open is guessed; :func:`~export.frontends.nir.source.read_nir` takes it, and says what was.

    Raises:
        CheckpointError: none of these, or one that is damaged.
        NetFileError: a ``.net`` or ``.nir`` file that cannot be read.
        UnsupportedLayerError: a NIR graph that has no counterpart.
    """
    path = Path(source)
    if is_nir(path):
        return from_nir(path)
    if is_netx(path):
        return from_netx(path)
    if path.suffix in _STATE_DICTS:
        return from_official(path)
    if path.is_file():
        raise CheckpointError(f"{path}: what is it? expected {_EXPECTED}")
    return from_run(load_run(source))
