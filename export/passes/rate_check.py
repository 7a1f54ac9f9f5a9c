"""Refuses a network of which a layer died in integers, and says what helps: an outlier to clip, a calibration to take.

What is judged, and when a layer counts as dead, is :mod:`export.passes.fidelity`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from esvae.arrays import Shaped
from esvae.errors import EsvaeError, HardwareRangeError
from export.ir import all_weights
from export.ir.floats import FloatNetwork
from export.passes.calibrate import Calibration, calibrate
from export.passes.fidelity import LayerFidelity, layer_fidelity
from export.passes.quantize import quantize

__all__ = ["best_calibration", "check_rates", "departures", "remedy"]

#: A largest weight of so many times the median magnitude is an outlier; of a Gaussian million it is 7 times that, of
#: long-tailed trained layers some tens.
_OUTLIER = 100.0

#: Calibrations that are tried in place of another: those that look at weights alone, as the others take up to a minute.
_TRIED: tuple[Calibration, ...] = ("percentile", "mse", "max")


def departures(judged: Sequence[LayerFidelity]) -> list[str]:
    """A sentence for each layer that did not keep its rates, in order; without a remedy."""
    return [_sentence(layer) for layer in judged if layer.verdict != "kept"]


def check_rates(
    network: FloatNetwork,
    bits: int,
    method: Calibration,
    spikes: Shaped[np.ndarray, "images steps *input"],
    judged: Sequence[LayerFidelity],
) -> None:
    """Passes where every layer still hands something on.

    Args:
        network: folded, not yet calibrated.
        bits, method: of its export.
        spikes: that it was judged on.
        judged: what came of that.

    Raises:
        HardwareRangeError: a layer is silent or saturated in integers. The first layer that departs comes first, as
            those behind it may only follow.
    """
    lost = next((layer for layer in judged if layer.lost), None)
    if lost is None:
        return
    first = next(layer for layer in judged if layer.verdict != "kept")
    follows = "" if first is lost else f", and behind it {_sentence(lost)}"
    raise HardwareRangeError(f"{_sentence(first)}{follows}; {remedy(network, bits, method, spikes, judged)}")


def remedy(
    network: FloatNetwork,
    bits: int,
    method: Calibration,
    spikes: Shaped[np.ndarray, "images steps *input"],
    judged: Sequence[LayerFidelity],
) -> str:
    """What to do about the first layer that departs; the other calibrations are tried. Arguments as above."""
    index = next(k for k, layer in enumerate(judged) if layer.verdict != "kept")
    magnitudes = np.abs(all_weights(network.synapses[index].synapse))
    usual = float(np.median(magnitudes[magnitudes > 0]))
    times = float(magnitudes.max()) / usual
    helps = best_calibration(network, bits, method, spikes)
    asked = [] if helps is None else [f"--calibration {helps} keeps the rates"]
    if times > _OUTLIER:
        asked.append(f"clip or retrain its outlier weight, {times:,.0f} times the median of the others")
    elif helps is None:
        asked.append("use more --weight-bits, or train it in integers (esvae train --qat)")
    return "; or ".join(asked)


def best_calibration(
    network: FloatNetwork, bits: int, method: Calibration, spikes: Shaped[np.ndarray, "images steps *input"]
) -> Calibration | None:
    """Of those tried that keep all layers, the calibration whose worst layer departs least; None where none does.

    Arguments as above. A layer that brings its scale is calibrated by none.
    """
    if all(layer.scale is not None for layer in network.synapses):
        return None
    best: Calibration | None = None
    least = float("inf")
    for other in _TRIED:
        if other == method:
            continue
        try:
            plain, _ = quantize(calibrate(network, bits, other), bits)
        except EsvaeError:
            continue
        judged = layer_fidelity(network, plain, spikes)
        worst = max(layer.departure for layer in judged)
        if worst < least and all(layer.verdict == "kept" for layer in judged):
            best, least = other, worst
    return best


def _sentence(layer: LayerFidelity) -> str:
    if layer.picture_error is not None:
        if layer.verdict == "silent":
            return f"{layer.layer}: its pictures are all alike in integers, in floats they differ"
        times = f"{layer.picture_error:.2g} times"
        return (
            f"{layer.layer}: its pictures in integers are off by {times} what those in floats differ among themselves"
        )
    how = {"silent": "is silent", "saturated": "fires all the time", "changed": "fires otherwise"}[layer.verdict]
    return (
        f"{layer.layer}: {how} in integers, at {layer.rate_integer:.2g} spikes a step and neuron, in floats "
        f"at {layer.rate_float:.2g}"
    )
