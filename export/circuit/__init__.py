"""Circuits out of stock neurons: a generator that draws its own random bits, components and latent spikes."""

from export.circuit.generator import CircuitOptions, with_circuit
from export.circuit.tables import TableOptions

__all__ = ["CircuitOptions", "TableOptions", "with_circuit"]
