"""The chip's integers: what its registers hold, and how floats become them."""

from esvae.chip.formats import (
    ACCUMULATOR_BITS,
    BIAS,
    DECAY,
    DECAY_SHIFT,
    DECAY_UNITY,
    DEFAULT_RATE_BITS,
    DELAY,
    STATE_LIMIT,
    STATE_SHIFT,
    STATE_WRAP,
    THRESHOLD,
    WEIGHT,
    IntFormat,
)

__all__ = [
    "ACCUMULATOR_BITS",
    "BIAS",
    "DECAY",
    "DECAY_SHIFT",
    "DECAY_UNITY",
    "DEFAULT_RATE_BITS",
    "DELAY",
    "STATE_LIMIT",
    "STATE_SHIFT",
    "STATE_WRAP",
    "THRESHOLD",
    "WEIGHT",
    "IntFormat",
]
