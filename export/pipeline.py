"""From a trained run to a ``.net`` file: the passes in order, on one screen."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from esvae.run import Run
from export.float_network import FloatNetwork
from export.frontends import from_run
from export.ir import Network
from export.netx_write import write_netx
from export.passes import (
    LayerQuantization,
    LayerRange,
    LoweringCost,
    check_ranges,
    fold_norm,
    lower_dense,
    lower_subpixel,
    lowering_costs,
    quantize,
)

__all__ = ["LOWERINGS", "Exported", "Lowering", "export_network", "export_run", "integer_network", "lowered"]

#: ``none`` keeps the layers as trained; ``subpixel`` puts transposed convolutions on the coarse grid; ``dense`` unrolls
#: all layers; ``auto`` takes the cheaper of these two where netx cannot load a layer; ``native`` keeps the layers and
#: writes a file that stock netx refuses but our own loader takes (``--loader native``).
Lowering: TypeAlias = Literal["auto", "none", "subpixel", "dense", "native"]
LOWERINGS: tuple[str, ...] = get_args(Lowering)


@dataclass(frozen=True, eq=False)
class Exported:
    """A written file, the network in it (and before lowering), and what the passes report layer by layer."""

    path: Path
    network: Network
    lowering: Lowering
    costs: list[LoweringCost]
    quantization: list[LayerQuantization]
    ranges: list[LayerRange]
    plain: Network


def integer_network(
    run: Run, *, weight_bits: int = 8, lowering: Lowering = "auto"
) -> tuple[Network, Lowering, list[LayerQuantization]]:
    """The integer decoder of a run; the run is left as it is, and twice gives the same network."""
    folded = fold_norm(from_run(run))
    network, report = quantize(folded, weight_bits)
    return *lowered(network, lowering), report


def lowered(network: Network, lowering: Lowering) -> tuple[Network, Lowering]:
    """The network with its layers as ``lowering`` says, and what ``auto`` came to."""
    if lowering == "auto":
        best = lowering_costs(network)[0]
        # Where nothing fits, unrolling says what is too large and what to do.
        lowering = "dense" if best.refused else best.lowering  # type: ignore[assignment]
    if lowering == "dense":
        network = lower_dense(network)
    elif lowering == "subpixel":
        network = lower_subpixel(network)
    return network, lowering


def export_run(
    run: Run, target: str | os.PathLike[str], *, weight_bits: int = 8, lowering: Lowering = "auto"
) -> Exported:
    """:func:`export_network` of a trained run."""
    return export_network(from_run(run), target, weight_bits=weight_bits, lowering=lowering)


def export_network(
    network: FloatNetwork, target: str | os.PathLike[str], *, weight_bits: int = 8, lowering: Lowering = "auto"
) -> Exported:
    """Folds, quantizes, lowers, checks and writes.

    Args:
        network: what a frontend made of a trained model (see :mod:`export.frontends`).
        target: the ``.net`` file.
        weight_bits: 2 to 8, sign included.
        lowering: see :data:`Lowering`.

    Raises:
        HardwareRangeError: a register would not hold what the network needs.
        UnsupportedLayerError: netx cannot load a layer that was not lowered.
        EsvaeError: the file cannot be written.
    """
    plain, report = quantize(fold_norm(network), weight_bits)
    integer, lowering = lowered(plain, lowering)
    ranges = check_ranges(integer)
    path = write_netx(integer, target, stock=lowering != "native")
    return Exported(path, integer, lowering, lowering_costs(plain), report, ranges, plain)
