"""A run with another window than the one that it was trained with.

Rates and weights are per step, so a decoder runs with any window. What depends on its length is the readout alone: it
sums ``sum_t keep^(T-1-t) x_t``, whose weights add up to ``S(T) = (1 - keep^T) / (1 - keep)``. With a window of T' steps
the readout's weights are multiplied by ``S(T) / S(T')``, so that inputs that are constant in time draw the same picture
whatever the window. On the chip no integer changes by that: a layer's scale takes it up, and the host divides the
potential by another unit; a scale that was learned is divided by the same gain. A shorter window is still a poorer
picture: rates are drawn with fewer spikes, and the layers have less time to settle after they begin at rest.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from esvae.config import Config
from esvae.model import ESVAE
from esvae.run import Run

__all__ = ["readout_gain", "with_window"]


def readout_gain(keep: float, trained: int, steps: int) -> float:
    """``S(trained) / S(steps)``: 1 at the window of the training, above 1 for shorter ones.

    >>> round(readout_gain(0.5, 2, 1), 3)
    1.5
    """
    whole, part = (sum(keep**t for t in range(n)) for n in (trained, steps))
    return whole / part


def with_window(run: Run, steps: int) -> Run:
    """The run with a window of ``steps``, encoder included; the same run where that is its own already.

    Args:
        run: left as it is.
        steps: at least 1.
    """
    config = run.config
    trained = config.model.time_steps
    if steps == trained:
        return run
    model = ESVAE(_changed(config, steps))
    model.load_state_dict(run.model.state_dict())
    gain = readout_gain(run.model.decoder.readout_lif.floats.keep, trained, steps)
    with torch.no_grad():
        for parameter in model.decoder.readout.parameters():
            parameter.mul_(gain)
        if model.decoder.readout_rounding is not None:
            model.decoder.readout_rounding.log_scale.sub_(math.log(gain))
    return replace(run, model=model.eval())


def _changed(config: Config, steps: int) -> Config:
    return config.model_copy(update={"model": config.model.model_copy(update={"time_steps": steps})})
