"""The source of a generator: random bits, a window, a component and its factors, out of gates alone.

Time from power-on, in steps counted from 1, with a window of T (ring neuron i fires at ``2 + i``, then every T)::

    1   start        the pulse that seeds the register and sets off the ring
    2   ring.0       says: load the number U
    3   choice       U is held
    4   ring.2       says: load the factor bits;  below.k = [U < edge_k]
    5   component    one-hot;  the factor bits are held
    6   mean, term   the one-hot a step later;  component.k and factor.j
    7   latents      first step of the first image

Where all components share one factor there are no terms: the held bits go to the latents, and are loaded a step later.
With one component there is no choice, and the first image begins at step 4.

Where pixels fire, the ring is longer by the read phase (:mod:`export.readout`). All through it the ``read`` neurons
fire, so many that they hold the latents still whatever the others say, and the drives behind them fire instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from esvae.arrays import Int32, Int64
from esvae.chip.formats import WEIGHT
from export.circuit.choice import CHOICE_DELAY, one_hot_choice
from export.circuit.gates import WEIGHT_STEP, Circuit, Signal, and_gate, or_gate, relay
from export.circuit.register import Trinomial, register_for, seed_bits, shift_register
from export.circuit.tables import PriorTables
from export.circuit.window import held_bit, power_on, ring

__all__ = ["CircuitSource", "drive_synapses", "latent_synapses", "source_circuit"]

#: What one spike takes from a latent at most.
_INHIBITS = -WEIGHT.min


@dataclass(frozen=True, eq=False)
class CircuitSource:
    """Gates, and which of their signals the latents read.

    Attributes:
        circuit: all neurons.
        lanes: all lanes of the register: noise first, then those that are held, and some that nobody reads.
        noise: fresh bits at every step.
        held: factor bits, where all components share them.
        means: of each component, one at a time; empty where there is one component.
        terms: by component and factor bit; empty where the factor is shared.
        reads: fire while the latents are to be silent.
        first: step, from 1, at which the latents work on the first step of the first image.
        feedback: of the register.
    """

    circuit: Circuit
    lanes: list[Signal]
    noise: list[Signal]
    held: list[Signal]
    means: list[Signal]
    terms: list[list[Signal]]
    reads: list[Signal]
    first: int
    feedback: Trinomial


def source_circuit(tables: PriorTables, steps: int, seed: int = 0, read_steps: int = 0) -> CircuitSource:
    """Wires a source for windows of ``steps``, of which the last ``read_steps`` are a read phase.

    No lane that is held for the next image is read as noise: the last steps of an image would know the next one. Nor
    do two held bits decide one that is (:func:`~export.circuit.register.register_for`).

    Raises:
        ConfigError: a window below 2 steps, a seed out of range, or more random bits a step than a register makes.
    """
    circuit = Circuit()
    bits, factors = len(tables.noise), tables.factor.shape[1]
    choice_bits = tables.choice_bits if tables.components > 1 else 0
    held_from, lanes = bits + choice_bits, bits + choice_bits + factors
    loaded = 0  # phase of the ring at which the factors are loaded
    if tables.components > 1:
        loaded = CHOICE_DELAY if tables.shared else CHOICE_DELAY - 1
    taken = [(0, range(bits, held_from)), (loaded % steps, range(held_from, lanes))]
    feedback, made = register_for(lanes, taken, steps)
    start = power_on(circuit)
    phases = ring(circuit, steps, start)
    register = shift_register(circuit, made, feedback, seed_bits(seed, feedback), start)
    noise, choice, drawn = register[:bits], register[bits:held_from], register[held_from:lanes]
    components: list[Signal] = []
    if tables.components > 1:
        components = one_hot_choice(circuit, choice, tables.edge.tolist(), phases[0])
    held = [held_bit(circuit, f"factor.{j}", bit, phases[loaded % steps]) for j, bit in enumerate(drawn)]
    means = [relay(circuit, f"mean.{k}", component) for k, component in enumerate(components)]
    terms = []
    if not tables.shared:
        terms = [
            [and_gate(circuit, f"term.{k}.{j}", (component, bit)) for j, bit in enumerate(held)]
            for k, component in enumerate(components)
        ]
        held = []
    # Ring neuron 0 fires at step 2; held bits are there a step after their load, and read a step after that.
    first = 2 + loaded + (2 if tables.shared else 3)
    # What the latents read at step t fires at t - 1, and is told by a ring neuron that fires at t - 2.
    reading = [phases[(first - 4 + at) % steps] for at in range(steps - read_steps, steps)]
    silencing = -(-int(_largest_sum(tables).max()) // _INHIBITS) if reading else 0
    reads = [or_gate(circuit, f"read.{k}", reading) for k in range(silencing)]
    return CircuitSource(circuit, register, noise, held, means, terms, reads, first, feedback)


def _largest_sum(tables: PriorTables) -> Int64[np.ndarray, " latents"]:
    """What no latent receives more than, as one component fires at a time: all its signs the latent's own."""
    signs = np.abs(tables.factor).sum(axis=1)  # (components or 1, latents)
    largest: np.ndarray = (tables.mean + signs).max(axis=0) + np.abs(tables.noise).sum(axis=0)
    return largest


def latent_synapses(
    source: CircuitSource, tables: PriorTables
) -> tuple[Int32[np.ndarray, "latents neurons"], Int32[np.ndarray, " latents"]]:
    """Weights and biases of the latents: gates that fire where logits and noise are above 0.

    A sign is ``2 b - 1``: the bit has twice its weight, and what the signs take away goes to the means or, where all
    components share it, to the bias.
    """
    taken = -tables.noise.sum(axis=0) - tables.factor.sum(axis=1)  # (components or 1, latents)
    base = tables.mean + taken
    middle = (base.max(axis=0) + base.min(axis=0)) // 2
    bias = middle + (base[0] - middle) % WEIGHT_STEP  # of the parity of all of them
    weight = np.zeros((tables.latents, len(source.circuit)), np.int64)
    for bit, sizes in zip(source.noise, tables.noise, strict=True):
        _add(weight, bit, WEIGHT_STEP * sizes)
    for mean, sizes in zip(source.means, base - bias, strict=False):
        _add(weight, mean, sizes)
    for bits, factors in zip(source.terms or [source.held], tables.factor, strict=True):
        for bit, sizes in zip(bits, factors, strict=True):
            _add(weight, bit, WEIGHT_STEP * sizes)
    for read in source.reads:
        _add(weight, read, np.full(tables.latents, -_INHIBITS))
    return weight.astype(np.int32), bias.astype(np.int32)


def drive_synapses(
    source: CircuitSource, drives: int
) -> tuple[Int32[np.ndarray, "drives neurons"], Int32[np.ndarray, " drives"]]:
    """Weights and biases of the drives, which stand beside the latents and fire while these are silent."""
    weight = np.zeros((drives, len(source.circuit)), np.int32)
    (read,) = source.reads[0].terms
    weight[:, read] = WEIGHT_STEP
    return weight, np.full(drives, -1, np.int32)


def _add(weight: np.ndarray, signal: Signal, sizes: np.ndarray) -> None:
    for neuron, coefficient in signal.terms.items():
        weight[:, neuron] += coefficient * sizes
