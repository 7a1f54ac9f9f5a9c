"""Every width, range and constant of the chip's integer neuron, in one place, each with its source.

Sources: the registers are those that Lava's ``PyLifModelBitAcc`` (lava-nc 0.10.0, ``lava/proc/lif/models.py``) names
and mirrors from Loihi; weights and delays those of lava-dl 0.6.0's netx loader.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from esvae.errors import HardwareRangeError

__all__ = [
    "ACCUMULATOR_BITS",
    "BIAS",
    "DECAY",
    "DECAY_SHIFT",
    "DECAY_UNITY",
    "DEFAULT_RATE_BITS",
    "DELAY",
    "FRAME",
    "MAX_RATE_BITS",
    "MESSAGE_BITS",
    "MESSAGE_EXP",
    "REGISTER_BITS",
    "SIGMA_EXP",
    "SIGMA_THRESHOLD",
    "STATE_LIMIT",
    "STATE_SHIFT",
    "STATE_WRAP",
    "THRESHOLD",
    "WEIGHT",
    "IntFormat",
    "SpikeLaw",
]


@dataclass(frozen=True)
class IntFormat:
    """A whole-number register: its name and its smallest and largest value."""

    name: str
    min: int
    max: int

    def __contains__(self, value: int) -> bool:
        return self.min <= int(value) <= self.max

    def check(self, values: np.ndarray | int, where: str, remedy: str) -> None:
        """Raises HardwareRangeError, naming the first value that does not fit, unless all do."""
        array = np.asarray(values)
        if array.dtype.kind not in "iu":
            raise HardwareRangeError(f"{where}: {self.name} is {array.dtype}, expected whole numbers; {remedy}")
        if array.size and (array.min() < self.min or array.max() > self.max):
            outside = array[(array < self.min) | (array > self.max)]
            raise HardwareRangeError(f"{where}: {self.name} {outside[0]} outside [{self.min}, {self.max}]; {remedy}")


#: Fixed point of the decays: a state keeps ``4096 - decay`` parts in 4096 each step (``decay_shift``).
DECAY_SHIFT = 12
DECAY_UNITY = 1 << DECAY_SHIFT

#: Left shift that aligns sums of weights, biases and thresholds with the states (``act_shift``, ``vth_shift``,
#: ``bias_exp``).
STATE_SHIFT = 6

#: Current and membrane potential are 24 bit wide (``uv_bitwidth``): the potential saturates at +-(2^23 - 1), the
#: current wraps by 2^24.
STATE_LIMIT = 1 << 23
STATE_WRAP = 1 << 24

#: Width to which Lava's convolution wraps the sum of weights (``PyConvModelFixed.clamp_precision``).
ACCUMULATOR_BITS = 24

WEIGHT = IntFormat("weight", -256, 255)
BIAS = IntFormat("bias", -4096, 4095)
THRESHOLD = IntFormat("threshold", 0, 131_071)
DECAY = IntFormat("decay", 0, DECAY_UNITY)
DELAY = IntFormat("delay", 0, 62)

#: Width of the integers in which Lava's models hold a state, a message or a sum on its way into a narrower register.
REGISTER_BITS = 32

#: Sigma-delta neurons, as netx makes them (``netx/hdf5.py: get_neuron_params``): their messages have 6 fractional bits
#: beside the file's units (``spike_exp``), their states 6 more (``state_exp``).
MESSAGE_EXP = 6
SIGMA_EXP = MESSAGE_EXP + 6

#: Bits of a message that netx asks for (``num_message_bits``); Lava's models hold messages in 32.
MESSAGE_BITS = 16

#: What, shifted left by :data:`SIGMA_EXP`, a 32 bit state still holds: thresholds of sigma-delta neurons, and the
#: numbers of a frame that enters a delta encoder.
SIGMA_THRESHOLD = IntFormat("threshold", 0, (1 << (REGISTER_BITS - 1 - SIGMA_EXP)) - 1)
FRAME = IntFormat("frame value", -(1 << (REGISTER_BITS - 1 - SIGMA_EXP)), (1 << (REGISTER_BITS - 1 - SIGMA_EXP)) - 1)

#: Fractional bits of a rate code where nobody says otherwise: the sampler compares so many bits of its shift register.
DEFAULT_RATE_BITS = 8
#: At most: the register has 32 bits.
MAX_RATE_BITS = 16

#: How a rate code becomes the spikes of a window; ``sim.sampler`` defines both.
SpikeLaw = Literal["poisson", "systematic"]
