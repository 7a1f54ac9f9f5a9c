"""What the integer ONNX writer makes of messages: their products with weights, and the neurons that send them.

1. ONNX Runtime multiplies integers of 8 bits, and messages have 32. A sum is kept modulo ``2^bits`` alone (see
   :mod:`sim.reference`), and modulo that a message is the number of its lowest ``bits`` bits: 3 or 4 bytes, each a
   product of its own (:func:`message_bytes`), whose sums are added up in 64 bit and wrapped.
2. Lava wraps every product of a delayed synapse, to fewer bits than their sum. That is no sum of products modulo
   anything; such layers are refused where their weights are so small that the two differ (:func:`check_delays`).
3. The neurons compute in 64 bit, wrapped to 32 where a register is written (:func:`send`). ``x >> 6`` is
   ``(x - x mod 64) / 64``, as ONNX's division rounds towards zero.
"""

from __future__ import annotations

import numpy as np

from esvae.chip.formats import ACCUMULATOR_BITS, MESSAGE_EXP, REGISTER_BITS, SIGMA_EXP
from esvae.errors import UnsupportedLayerError
from export.ir import Dense, GradedNeuron, Sigma, SigmaDelta, Synapse
from export.netx.rules import filling_shift
from export.onnx.graph import OnnxGraph
from export.onnx.sums import wrapped

__all__ = ["check_delays", "message_bytes", "send", "state_names", "sum_bits"]

_BYTE = 8


def sum_bits(layer: Synapse) -> int:
    """Width to which the sums of a layer that messages enter are wrapped."""
    if not isinstance(layer, Dense):
        return ACCUMULATOR_BITS
    return REGISTER_BITS if layer.delay is not None else REGISTER_BITS - filling_shift(layer.weight)


def check_delays(layer: Synapse, where: str) -> None:
    """Passes a layer that messages enter and whose sums wrapping products does not change.

    Raises:
        UnsupportedLayerError: delays, and weights so small that netx shifts them.
    """
    if isinstance(layer, Dense) and layer.delay is not None and filling_shift(layer.weight):
        raise UnsupportedLayerError(
            f"{where}: delays behind messages, and weights of at most {int(abs(layer.weight).max())}: Lava wraps each "
            "product, which no ONNX operator does; run it with --backend twin"
        )


def message_bytes(graph: OnnxGraph, raster: str, bits: int) -> list[tuple[str, int]]:
    """Messages, int32, as uint8 values, and by what each counts; right modulo ``2^bits``."""
    whole = graph.op("Mod", graph.cast(raster, np.int64), graph.constant(1 << bits, np.int64))
    found = []
    for low in range(0, bits, _BYTE):
        part = graph.op("Div", whole, graph.constant(1 << low, np.int64)) if low else whole
        found.append((graph.cast(graph.op("Mod", part, graph.constant(1 << _BYTE, np.int64)), np.uint8), 1 << low))
    return found


def state_names(neuron: GradedNeuron) -> tuple[str, ...]:
    """The states that a neuron keeps from one step to the next, what is read out last."""
    if isinstance(neuron, Sigma):
        return ("sigma",)
    return ("sigma", "residue", "act") if isinstance(neuron, SigmaDelta) else ("residue", "act")


def send(
    body: OnnxGraph, neuron: GradedNeuron, states: dict[str, str], sums: str | None, level: str | None
) -> tuple[dict[str, str], str]:
    """One step, as :func:`esvae.chip.sigma_delta.sigma_delta_step` defines it; all values int64.

    Args:
        body: gets the operators.
        neuron: which.
        states: before the step, by name.
        sums: ``a``, None where nothing arrives.
        level: bias or frame ``<< 12``, or None.

    Returns:
        The states after the step, by name, and the messages.
    """
    zero, after = body.constant(0, np.int64), {}
    new = zero
    if sums is not None:
        new = after["sigma"] = wrapped(body, body.op("Add", states["sigma"], sums), REGISTER_BITS)
    if isinstance(neuron, Sigma):
        return after, new
    if level is not None:
        new = wrapped(body, body.op("Add", new, level), REGISTER_BITS)
    if isinstance(neuron, SigmaDelta):
        new = body.op("Max", new, zero)
    change = body.op("Add", body.op("Sub", new, states["act"]), states["residue"])
    delta = wrapped(body, change, REGISTER_BITS)
    size = wrapped(body, body.op("Abs", delta), REGISTER_BITS)
    sends = body.op("GreaterOrEqual", size, body.constant(neuron.threshold << SIGMA_EXP, np.int64))
    sent = body.op("Where", sends, delta, zero)
    after |= {"act": new, "residue": body.op("Sub", delta, sent)}
    unit = body.constant(1 << MESSAGE_EXP, np.int64)
    return after, body.op("Div", body.op("Sub", sent, body.op("Mod", sent, unit)), unit)
