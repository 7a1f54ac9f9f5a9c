"""From a float network to a ``.net`` file: the passes in order, on one screen.

Each pass says which parts it requires, adds its own to them, and says what holds then; an error names the pass.
:data:`PASSES` is the whole of it, writing aside.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from esvae.chip.rounding import MAX_WEIGHT_BITS
from esvae.errors import HardwareRangeError
from esvae.machine.arguments import path_argument
from esvae.machine.progress import Progress
from esvae.run import Run
from export.circuit.generator import with_circuit
from export.frontends import from_run
from export.ir import ConvTranspose, Network, all_weights
from export.ir.bounds import LayerRange
from export.ir.circuit import as_written
from export.ir.floats import FloatNetwork
from export.ir.labels import names_in
from export.netx.write import write_netx
from export.options import DEFAULT_CALIBRATION, LOWERINGS, Lowering, Options, fitting
from export.passes import (
    Calibration,
    LayerFidelity,
    LayerQuantization,
    LoweringCost,
    calibrate,
    calibration_spikes,
    check_ranges,
    check_rates,
    departures,
    fidelity_spikes,
    fold_norm,
    layer_fidelity,
    lower_dense,
    lower_subpixel,
    lowering_costs,
    quantize,
    remedy,
)
from export.passes.stages import Part, Pass, State
from export.readout import with_spike_readout

__all__ = [
    "DEFAULT_CALIBRATION",
    "LOWERINGS",
    "PASSES",
    "Compiled",
    "Exported",
    "Lowering",
    "Options",
    "compiled",
    "export_network",
    "export_run",
    "integer_network",
    "lowered",
    "warnings_of",
]

OPTIONS: Part[Options] = Part("options")
BITS: Part[int] = Part("weight bits")
SOURCE: Part[FloatNetwork] = Part("float network")
#: Without norms and map shapes; errors are told from it, as calibration may move weights.
FOLDED: Part[FloatNetwork] = Part("folded network")
#: With a scale in every layer.
SCALED: Part[FloatNetwork] = Part("calibrated network")
#: In integers, with the layers as trained; then lowered, and from then on numbered as in the file.
PLAIN: Part[Network] = Part("integer network")
INTEGER: Part[Network] = Part("lowered network")
#: With pixels that fire, where that is wanted.
READ: Part[Network] = Part("network with its readout")
#: That is written: its prior as neurons where that is wanted.
FINAL: Part[Network] = Part("network to be written")
#: What ``auto`` came to.
LOWERED_BY: Part[Lowering] = Part("way of lowering")
#: What the passes report, layer by layer.
QUANTIZATION: Part[list[LayerQuantization]] = Part("report of quantizing")
COSTS: Part[list[LoweringCost]] = Part("costs of lowering")
RANGES: Part[list[LayerRange]] = Part("ranges of the registers")
#: Empty of a network without a prior, where no spikes are given either.
FIDELITY: Part[list[LayerFidelity]] = Part("rates in floats and in integers")


_Report = TypeVar("_Report", LayerQuantization, LayerRange, LayerFidelity)


def _called(report: Sequence[_Report], trained: Sequence[str], held: Sequence[str]) -> list[_Report]:
    """What is said of the layers, where anything is, under the names of the file that has the labels ``held``."""
    names = names_in(trained, held) if report else ()
    return [replace(entry, layer=name) for entry, name in zip(report, names, strict=True)]


def _calibrate(state: State) -> dict[Part[Any], Any]:
    options = state[OPTIONS]
    network = _of_bits(state[FOLDED], state[BITS])
    return {SCALED: calibrate(network, state[BITS], options.calibration, options.spikes)}


def _of_bits(network: FloatNetwork, bits: int) -> FloatNetwork:
    """The network, without the scales of another grid."""
    if bits == (network.weight_bits or MAX_WEIGHT_BITS):
        return network
    layers = (replace(layer, scale=None) if layer in network.synapses else layer for layer in network.layers)
    return replace(network, layers=tuple(layers), weight_bits=None)


def _quantize(state: State) -> dict[Part[Any], Any]:
    plain, report = quantize(state[SCALED], state[BITS], before=state[FOLDED])
    return {PLAIN: plain, QUANTIZATION: report}


def _lower(state: State) -> dict[Part[Any], Any]:
    integer, lowering, costs = lowered(state[PLAIN], state[OPTIONS].lowering)
    integer = as_written(integer, drawn=state[OPTIONS].circuit is not None)
    return {INTEGER: integer, LOWERED_BY: lowering, COSTS: costs}


def _read_out(state: State) -> dict[Part[Any], Any]:
    integer, options = state[INTEGER], state[OPTIONS]
    if options.read_steps is None:
        return {READ: integer}
    spikes = calibration_spikes(state[FOLDED]) if options.spikes is None else options.spikes
    return {READ: with_spike_readout(integer, options.read_steps, spikes)}


def _draw(state: State) -> dict[Part[Any], Any]:
    circuit = state[OPTIONS].circuit
    return {FINAL: state[READ] if circuit is None else with_circuit(state[READ], circuit)}


def _check_rates(state: State) -> dict[Part[Any], Any]:
    folded, bits, options = state[FOLDED], state[BITS], state[OPTIONS]
    spikes = fidelity_spikes(folded, options.spikes)
    if spikes is None:
        return {FIDELITY: []}
    judged = _called(layer_fidelity(folded, state[PLAIN], spikes), folded.labels, state[INTEGER].labels)
    check_rates(_of_bits(folded, bits), bits, options.calibration, spikes, judged)
    return {FIDELITY: judged}


def _is_folded(state: State) -> bool:
    return all(layer.norm is None and layer.map_shape is None for layer in state[FOLDED].synapses)


def _is_scaled(state: State) -> bool:
    # Quantizing says what is wrong with a layer that has no weights to scale.
    return all(layer.scale is not None or not all_weights(layer.synapse).any() for layer in state[SCALED].synapses)


def _is_loadable(state: State) -> bool:
    kept = state[LOWERED_BY] in ("native", "none")
    return kept or not any(isinstance(layer, ConvTranspose) for layer in state[INTEGER].layers)


def _is_read_out(state: State) -> bool:
    return (state[READ].spike_readout is None) == (state[OPTIONS].read_steps is None)


PASSES: tuple[Pass, ...] = (
    Pass("fold_norm", (SOURCE,), lambda state: {FOLDED: fold_norm(state[SOURCE])}, _is_folded),
    Pass("calibrate", (FOLDED, BITS, OPTIONS), _calibrate, _is_scaled),
    Pass("quantize", (SCALED, FOLDED, BITS), _quantize, lambda state: state[PLAIN].labels == state[SCALED].labels),
    Pass("lower", (PLAIN, OPTIONS), _lower, _is_loadable),
    Pass(
        "check_ranges",
        (INTEGER,),
        lambda state: {RANGES: check_ranges(state[INTEGER])},
        lambda state: all(bounds.u_share < 1 for bounds in state[RANGES]),
    ),
    # Behind the ranges, as currents that wrap say nothing about rates.
    Pass(
        "check_rates",
        (FOLDED, PLAIN, INTEGER, RANGES, BITS, OPTIONS),
        _check_rates,
        lambda state: not any(layer.lost for layer in state[FIDELITY]),
    ),
    # Of a network that was judged.
    Pass("read_out", (INTEGER, FOLDED, FIDELITY, OPTIONS), _read_out, _is_read_out),
    Pass("draw", (READ, OPTIONS), _draw, lambda state: state[FINAL].layers == state[READ].layers),
)


@dataclass(frozen=True, eq=False)
class Compiled:
    """An integer network, and what the passes report layer by layer.

    Attributes:
        network: in integers, its layers lowered.
        plain: the same network with its layers as trained.
        lowering: how they were lowered; what ``auto`` came to.
        bits: of the weights.
        costs, quantization, ranges, fidelity: what the passes report, each layer under the label that the network's
            file has for it; ``quantization`` is empty where nothing was rounded, ``fidelity`` too, and where no spikes
            were at hand to judge with.
    """

    network: Network
    plain: Network
    lowering: Lowering
    bits: int
    costs: list[LoweringCost]
    quantization: list[LayerQuantization]
    ranges: list[LayerRange]
    fidelity: list[LayerFidelity]

    def called_as(self, held: Sequence[str]) -> Compiled:
        """The same, its reports calling layers as the file does that has these labels."""
        trained = self.plain.labels
        return replace(
            self,
            quantization=_called(self.quantization, trained, held),
            ranges=_called(self.ranges, trained, held),
            fidelity=_called(self.fidelity, trained, held),
        )

    def written(
        self, target: str | os.PathLike[str], before: Callable[[Network, Network], None] | None = None
    ) -> Exported:
        """Writes the network; what ``before``, called with it and the plain one, raises leaves no file behind."""
        if before is not None:
            before(self.network, self.plain)
        return Exported(**vars(self), path=write_netx(self.network, target, stock=self.lowering != "native"))


@dataclass(frozen=True, eq=False)
class Exported(Compiled):
    """What was compiled, and the file that it was written to."""

    path: Path

    def __repr__(self) -> str:
        return f"Exported({str(self.path)!r}: {self.network.summary}, {self.bits} bit, lowering {self.lowering})"


def compiled(
    network: FloatNetwork,
    options: Options = Options(),
    progress: Progress | None = None,
) -> Compiled:
    """Runs all passes; the network that is given is left as it is, and twice gives the same.

    Raises:
        DataError: no float network, or spikes that do not fit it.
        EsvaeError: a pass refused; its name comes first.
    """
    options = fitting(options, network)
    bits = options.weight_bits or network.weight_bits or MAX_WEIGHT_BITS
    state = State({SOURCE: network, OPTIONS: options, BITS: bits})
    for number, each in enumerate(PASSES):
        if progress is not None:
            progress(number / len(PASSES), each.name)
        state = each(state)
    done = Compiled(
        network=state[FINAL],
        plain=state[PLAIN],
        lowering=state[LOWERED_BY],
        bits=bits,
        costs=state[COSTS],
        quantization=state[QUANTIZATION],
        ranges=state[RANGES],
        fidelity=state[FIDELITY],
    )
    return done.called_as(done.network.labels)


def warnings_of(done: Compiled, network: FloatNetwork, options: Options = Options()) -> list[str]:
    """A sentence for each layer that fires otherwise in integers, and what to do; other calibrations are tried then.

    Args:
        done: what was made of ``network`` with ``options``.
    """
    found, folded = departures(done.fidelity), fold_norm(network)
    options = fitting(options, network)
    spikes = fidelity_spikes(folded, options.spikes)
    if not found or spikes is None:
        return found
    found[0] += f"; {remedy(_of_bits(folded, done.bits), done.bits, options.calibration, spikes, done.fidelity)}"
    return found


def lowered(network: Network, lowering: Lowering) -> tuple[Network, Lowering, list[LoweringCost]]:
    """The network with its layers as ``lowering`` says, what ``auto`` came to, and what each way costs, best first."""
    costs = lowering_costs(network)
    if lowering == "auto":
        if all(cost.refused for cost in costs):
            reasons = "; ".join(f"{cost.lowering}: {cost.refused}" for cost in costs if cost.lowering != "native")
            raise HardwareRangeError(
                f"no way of lowering gives a file that stock netx loads ({reasons}); use --lowering native, whose file "
                "our own loader takes (--loader native), or train a decoder of kind subpixel"
            )
        lowering = costs[0].lowering  # type: ignore[assignment]
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


def integer_network(
    run: Run,
    *,
    weight_bits: int | None = None,
    lowering: Lowering = "auto",
    calibration: Calibration = DEFAULT_CALIBRATION,
) -> tuple[Network, Lowering, list[LayerQuantization]]:
    """The integer decoder of a run; the run is left as it is, and twice gives the same network."""
    done = compiled(from_run(run), Options(weight_bits, lowering, calibration))
    return done.network, done.lowering, done.quantization


def export_run(
    run: Run,
    target: str | os.PathLike[str],
    *,
    weight_bits: int | None = None,
    lowering: Lowering = "auto",
    calibration: Calibration = DEFAULT_CALIBRATION,
) -> Exported:
    """:func:`export_network` of a trained run."""
    return export_network(from_run(run), target, Options(weight_bits, lowering, calibration))


def export_network(
    network: FloatNetwork,
    target: str | os.PathLike[str],
    options: Options = Options(),
    *,
    before_writing: Callable[[Network, Network], None] | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Runs the passes and writes the file.

    Args:
        network: what a frontend made of a trained model (see :mod:`export.frontends`).
        target: the ``.net`` file.
        options: what can be chosen, ``Options(weight_bits=4)``.
        before_writing: called with the integer network, lowered and as trained; what it raises leaves no file behind.
        progress: called with the share done, 0 to 1, and the name of the pass.

    Raises:
        ConfigError: a target that is no name of a file.
        DataError: no float network, or spikes that do not fit it.
        HardwareRangeError: a register would not hold what the network needs.
        UnsupportedLayerError: netx cannot load a layer that was not lowered.
        EsvaeError: the file cannot be written.
    """
    path = path_argument(target, "target", "a name that ends in .net")
    return compiled(network, options, progress).written(path, before_writing)
