"""One LIF neuron in the terms of this project, of Norse and of Lava-DL, and the ways between them."""

from esvae.neurons.cuba import Cuba, simulate
from esvae.neurons.norse import NorseCell, from_norse, run_norse, to_norse
from esvae.neurons.slayer import SlayerNeuron, from_slayer, run_slayer, to_slayer

__all__ = [
    "Cuba",
    "NorseCell",
    "SlayerNeuron",
    "from_norse",
    "from_slayer",
    "run_norse",
    "run_slayer",
    "simulate",
    "to_norse",
    "to_slayer",
]
