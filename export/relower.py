"""Lowers the layers of a ``.net`` file as it is: no float in between, every integer that a neuron sees unchanged.

What slayer writes with ``convT``, which stock netx refuses, becomes a file that it loads.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from esvae.chip.rounding import MAX_WEIGHT_BITS
from export.ir import Network
from export.ir.circuit import as_written
from export.ir.layer_ranges import layer_ranges
from export.netx import read_netx
from export.passes import check_ranges
from export.pipeline import Compiled, Exported, Lowering, lowered

__all__ = ["relower_file"]


def relower_file(
    path: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    lowering: Lowering = "auto",
    before_writing: Callable[[Network, Network], None] | None = None,
) -> Exported:
    """Reads ``path``, lowers it, and writes ``target``.

    Args:
        path, target: the ``.net`` files.
        lowering: see :data:`~export.pipeline.Lowering`.
        before_writing: called with the network, lowered and as it was; what it raises leaves no file behind.

    Returns:
        What was written; its quantization is empty, as there was none.

    Raises:
        NetFileError, HardwareRangeError, UnsupportedLayerError: as reading, lowering and writing do.
    """
    plain = read_netx(path)
    network, lowering, costs = lowered(plain, lowering)
    network = as_written(network)
    ranges = check_ranges(network) if network.readout is not None else layer_ranges(network)
    return Compiled(network, plain, lowering, MAX_WEIGHT_BITS, costs, [], ranges, []).written(target, before_writing)
