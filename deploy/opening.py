"""A network from what the command line is given: a file of any origin, or a run directory."""

from __future__ import annotations

import os
from pathlib import Path

from export.ir import Network
from export.netx import read_netx

__all__ = ["open_network"]


def open_network(path: str | os.PathLike[str]) -> Network:
    """The network of a ``.net`` file, or the integer decoder of a run directory before any lowering.

    Raises:
        EsvaeError: neither, or not sound.
    """
    if Path(path).is_dir():  # what trains a model is imported for a run alone: a file is read at once
        from esvae.run import load_run
        from export.pipeline import integer_network

        return integer_network(load_run(Path(path)), lowering="none")[0]
    return read_netx(path)
