"""From a float network to a ``.net`` file: the passes in order, on one screen.

Each pass requires what the ones before it ensured and returns the state with its own part added; an error names the
pass. :data:`PASSES` is the whole of it, writing aside.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np

from esvae.chip.rounding import MAX_WEIGHT_BITS
from esvae.errors import EsvaeError, HardwareRangeError
from esvae.run import Run
from export.frontends import from_run
from export.ir import ConvTranspose, Network
from export.ir.bounds import LayerRange
from export.ir.floats import FloatNetwork
from export.netx.write import write_netx
from export.passes import (
    Calibration,
    LayerQuantization,
    LoweringCost,
    calibrate,
    check_ranges,
    fold_norm,
    lower_dense,
    lower_subpixel,
    lowering_costs,
    quantize,
)

__all__ = [
    "DEFAULT_CALIBRATION",
    "LOWERINGS",
    "PASSES",
    "Exported",
    "Lowering",
    "Options",
    "Pass",
    "State",
    "compiled",
    "export_network",
    "export_run",
    "integer_network",
    "lowered",
]

#: ``none`` keeps the layers as trained; ``subpixel`` puts transposed convolutions on the coarse grid; ``dense`` unrolls
#: all layers; ``auto`` takes the cheaper of these two where netx cannot load a layer; ``native`` keeps the layers and
#: writes a file that stock netx refuses but our own loader takes (``--loader native``).
Lowering: TypeAlias = Literal["auto", "none", "subpixel", "dense", "native"]
LOWERINGS: tuple[str, ...] = get_args(Lowering)

DEFAULT_CALIBRATION: Calibration = "mse"


@dataclass(frozen=True)
class Options:
    """What can be chosen.

    Attributes:
        weight_bits: 2 to 8, sign included; None for those that the network was trained with, else 8.
        lowering: see :data:`Lowering`.
        calibration: how scales are chosen (see :mod:`export.passes.calibrate`), of layers that bring none.
        spikes: to calibrate with, ``(images, steps, *input shape)``; drawn from the prior where None.
    """

    weight_bits: int | None = None
    lowering: Lowering = "auto"
    calibration: Calibration = DEFAULT_CALIBRATION
    spikes: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class State:
    """What the passes have come to.

    Attributes:
        network: in floats.
        folded: the same before calibration moved a weight, to tell rounding errors from.
        bits: of the weights.
        plain: in integers, with the layers as trained, once quantized.
        integer: the same, lowered.
        lowering: what ``auto`` came to.
        quantization, costs, ranges: what the passes report layer by layer.
    """

    network: FloatNetwork
    folded: FloatNetwork
    bits: int
    plain: Network | None = None
    integer: Network | None = None
    lowering: Lowering = "auto"
    quantization: list[LayerQuantization] = field(default_factory=list)
    costs: list[LoweringCost] = field(default_factory=list)
    ranges: list[LayerRange] = field(default_factory=list)


@dataclass(frozen=True)
class Pass:
    """One step: its name, what it does, and what holds afterwards."""

    name: str
    run: Callable[[State, Options], State]
    ensures: Callable[[State], bool]


def _fold_norm(state: State, options: Options) -> State:
    folded = fold_norm(state.network)
    return replace(state, network=folded, folded=folded)


def _calibrate(state: State, options: Options) -> State:
    network = state.network
    if state.bits != (network.weight_bits or MAX_WEIGHT_BITS):  # scales of another grid
        layers = (replace(layer, scale=None) if layer in network.synapses else layer for layer in network.layers)
        network = replace(network, layers=tuple(layers), weight_bits=None)
    return replace(state, network=calibrate(network, state.bits, options.calibration, options.spikes))


def _quantize(state: State, options: Options) -> State:
    plain, report = quantize(state.network, state.bits, before=state.folded)
    return replace(state, plain=plain, quantization=report)


def _lower(state: State, options: Options) -> State:
    assert state.plain is not None
    integer, lowering, costs = lowered(state.plain, options.lowering)
    return replace(state, integer=integer, lowering=lowering, costs=costs)


def _check_ranges(state: State, options: Options) -> State:
    assert state.integer is not None
    return replace(state, ranges=check_ranges(state.integer))


def _loadable(state: State) -> bool:
    assert state.integer is not None
    kept = state.lowering in ("native", "none")
    return kept or not any(isinstance(layer, ConvTranspose) for layer in state.integer.layers)


PASSES: tuple[Pass, ...] = (
    Pass("fold_norm", _fold_norm, lambda state: all(layer.norm is None for layer in state.network.synapses)),
    Pass("calibrate", _calibrate, lambda state: True),
    Pass("quantize", _quantize, lambda state: state.plain is not None),
    Pass("lower", _lower, _loadable),
    Pass("check_ranges", _check_ranges, lambda state: all(bounds.u_share < 1 for bounds in state.ranges)),
)


def compiled(
    network: FloatNetwork,
    options: Options = Options(),
    progress: Callable[[float, str], None] | None = None,
) -> State:
    """Runs all passes; the network that is given is left as it is, and twice gives the same.

    Raises:
        EsvaeError: a pass refused; its name comes first.
    """
    state = State(network, network, options.weight_bits or network.weight_bits or MAX_WEIGHT_BITS)
    for number, each in enumerate(PASSES):
        if progress is not None:
            progress(number / len(PASSES), each.name)
        try:
            state = each.run(state, options)
        except EsvaeError as error:
            raise type(error)(f"{each.name}: {error}") from None
        if not each.ensures(state):
            raise AssertionError(f"pass {each.name} did not ensure what it promises")
    return state


def lowered(network: Network, lowering: Lowering) -> tuple[Network, Lowering, list[LoweringCost]]:
    """The network with its layers as ``lowering`` says, what ``auto`` came to, and what each way costs, best first."""
    costs = lowering_costs(network)
    if lowering == "auto":
        # Where nothing fits, unrolling says what is too large and what to do.
        lowering = "dense" if costs[0].refused else costs[0].lowering  # type: ignore[assignment]
        if lowering == "subpixel":
            try:
                return lower_subpixel(network), lowering, costs
            except HardwareRangeError as error:
                reason = str(error).split("; use --lowering")[0]
                costs = [replace(c, refused=reason) if c.lowering == "subpixel" else c for c in costs]
                lowering = "dense"
    if lowering == "dense":
        network = lower_dense(network)
    elif lowering == "subpixel":
        network = lower_subpixel(network)
    return network, lowering, costs


@dataclass(frozen=True, eq=False)
class Exported:
    """A written file, the network in it, and what the passes report layer by layer.

    Attributes:
        path, network, lowering: the file, what is in it, and how its layers were lowered.
        plain: the same network with its layers as trained.
        bits: of the weights.
        costs, quantization, ranges: see :class:`State`.
    """

    path: Path
    network: Network
    plain: Network
    lowering: Lowering
    bits: int
    costs: list[LoweringCost]
    quantization: list[LayerQuantization]
    ranges: list[LayerRange]


def integer_network(
    run: Run,
    *,
    weight_bits: int | None = None,
    lowering: Lowering = "auto",
    calibration: Calibration = DEFAULT_CALIBRATION,
) -> tuple[Network, Lowering, list[LayerQuantization]]:
    """The integer decoder of a run; the run is left as it is, and twice gives the same network."""
    state = compiled(from_run(run), Options(weight_bits, lowering, calibration))
    assert state.integer is not None
    return state.integer, state.lowering, state.quantization


def export_run(
    run: Run,
    target: str | os.PathLike[str],
    *,
    weight_bits: int | None = None,
    lowering: Lowering = "auto",
    calibration: Calibration = DEFAULT_CALIBRATION,
) -> Exported:
    """:func:`export_network` of a trained run."""
    return export_network(from_run(run), target, weight_bits=weight_bits, lowering=lowering, calibration=calibration)


def export_network(
    network: FloatNetwork,
    target: str | os.PathLike[str],
    *,
    weight_bits: int | None = None,
    lowering: Lowering = "auto",
    calibration: Calibration = DEFAULT_CALIBRATION,
    spikes: np.ndarray | None = None,
    before_writing: Callable[[Network], None] | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> Exported:
    """Runs the passes and writes the file.

    Args:
        network: what a frontend made of a trained model (see :mod:`export.frontends`).
        target: the ``.net`` file.
        weight_bits, lowering, calibration, spikes: see :class:`Options`.
        before_writing: called with the integer network; what it raises leaves no file behind.
        progress: called with the share done, 0 to 1, and the name of the pass.

    Raises:
        HardwareRangeError: a register would not hold what the network needs.
        UnsupportedLayerError: netx cannot load a layer that was not lowered.
        EsvaeError: the file cannot be written.
    """
    state = compiled(network, Options(weight_bits, lowering, calibration, spikes), progress)
    assert state.plain is not None
    assert state.integer is not None
    if before_writing is not None:
        before_writing(state.integer)
    path = write_netx(state.integer, target, stock=state.lowering != "native")
    return Exported(
        path,
        state.integer,
        state.plain,
        state.lowering,
        state.bits,
        state.costs,
        state.quantization,
        state.ranges,
    )
