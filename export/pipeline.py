"""From a trained run to a ``.net`` file: the passes in order, on one screen."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from esvae.run import Run
from export.frontends import from_run
from export.ir import ConvTranspose, Network
from export.netx_write import write_netx
from export.passes import LayerQuantization, LayerRange, check_ranges, fold_norm, lower_dense, quantize

__all__ = ["Exported", "Lowering", "export_run", "integer_network"]

#: ``none`` keeps the layers as trained; ``dense`` unrolls them; ``auto`` unrolls only what netx cannot load; ``native``
#: keeps them and writes a file that stock netx refuses but our own loader takes (``--loader native``).
Lowering: TypeAlias = Literal["auto", "none", "dense", "native"]


@dataclass(frozen=True, eq=False)
class Exported:
    """A written file, the network in it, and what the passes report layer by layer."""

    path: Path
    network: Network
    lowering: Lowering
    quantization: list[LayerQuantization]
    ranges: list[LayerRange]


def integer_network(
    run: Run, *, weight_bits: int = 8, lowering: Lowering = "auto"
) -> tuple[Network, Lowering, list[LayerQuantization]]:
    """The integer decoder of a run; the run is left as it is, and twice gives the same network."""
    folded = fold_norm(from_run(run))
    network, report = quantize(folded, weight_bits)
    if lowering == "auto":
        lowering = "dense" if any(isinstance(layer, ConvTranspose) for layer in network.layers) else "none"
    if lowering == "dense":
        network = lower_dense(network)
    return network, lowering, report


def export_run(
    run: Run, target: str | os.PathLike[str], *, weight_bits: int = 8, lowering: Lowering = "auto"
) -> Exported:
    """Folds, quantizes, lowers, checks and writes.

    Args:
        run: a trained run.
        target: the ``.net`` file.
        weight_bits: 2 to 8, sign included.
        lowering: see :data:`Lowering`.

    Raises:
        HardwareRangeError: a register would not hold what the network needs.
        UnsupportedLayerError: netx cannot load a layer that was not lowered.
        EsvaeError: the file cannot be written.
    """
    network, lowering, report = integer_network(run, weight_bits=weight_bits, lowering=lowering)
    ranges = check_ranges(network)
    path = write_netx(network, target, stock=lowering != "native")
    return Exported(path, network, lowering, report, ranges)
