"""One LIF neuron in the terms of this project, of Norse and of Lava-DL, and the ways between them."""

from esvae.neurons.cuba import Cuba, run_cuba
from esvae.neurons.norse import NorseCell, neuron_from_norse, run_norse, to_norse
from esvae.neurons.slayer import SlayerNeuron, neuron_from_slayer, run_slayer, to_slayer

__all__ = [
    "Cuba",
    "NorseCell",
    "SlayerNeuron",
    "neuron_from_norse",
    "neuron_from_slayer",
    "run_cuba",
    "run_norse",
    "run_slayer",
    "to_norse",
    "to_slayer",
]
