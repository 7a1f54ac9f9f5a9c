"""A generator with no host: its prior as a circuit of neurons, before the decoder."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np

from esvae.errors import ConfigError, DataError
from export.circuit.gates import GATE, WEIGHT_STEP
from export.circuit.source import drive_synapses, latent_synapses, source_circuit
from export.circuit.tables import TableOptions, prior_tables
from export.ir import CircuitLayout, CircuitPrior, Dense, Network, Prior, RecurrentDense, SpikeReadout
from export.ir.circuit import as_written

__all__ = [
    "CircuitOptions",
    "circuit_prior",
    "with_circuit",
]


@dataclass(frozen=True)
class CircuitOptions:
    """What can be chosen of a circuit.

    Attributes:
        seed: that the register starts from; a part of the file, as there is no host to give one.
        tables: how the prior is rounded.
    """

    seed: int = 0
    tables: TableOptions = field(default_factory=TableOptions)


def circuit_prior(
    prior: Prior, steps: int, options: CircuitOptions = CircuitOptions(), told: SpikeReadout | None = None
) -> CircuitPrior:
    """A prior as neurons.

    Args:
        prior: rates in floats.
        steps: the window.
        options: seed and sizes.
        told: how pixels tell their potentials by spikes; then its drives stand behind the latents.

    Raises:
        ConfigError: a window below 2 steps, a seed out of range, or too many random bits a step.
        HardwareRangeError: logits that no weights hold.
    """
    if prior.sampler != "poisson" or prior.levels is not None:
        raise ConfigError(
            "a circuit draws each spike anew from rates as they are: it has neither the systematic sampler nor snapped "
            "rates; draw on the host, or train with sampler: poisson and prior.snap: false"
        )
    tables = prior_tables(prior, options.tables)
    source = source_circuit(tables, steps, options.seed, 0 if told is None else told.steps)
    weight, bias = latent_synapses(source, tables)
    if told is not None:
        more, level = drive_synapses(source, told.drives)
        weight, bias = np.concatenate([weight, more]), np.concatenate([bias, level])
    circuit = source.circuit
    # netx needs an input and would have its weights not all zero. A spike there sets the register's oldest bit.
    entering = np.zeros((len(circuit), 1), np.int16)
    entering[circuit.names.index(f"relay.{source.feedback.p}")] = WEIGHT_STEP
    groups = tuple((name, len(list(found))) for name, found in groupby(n.split(".")[0] for n in circuit.names))
    layout = CircuitLayout(
        start=source.first - 2,  # the source is the first layer, and the latents work a step after it, counted from 1
        seed=options.seed,
        feedback=(source.feedback.p, source.feedback.q),
        noise=len(source.noise),
        groups=groups,
    )
    recurrent = circuit.recurrent().astype(np.int16)
    return CircuitPrior(
        RecurrentDense(entering, recurrent, circuit.bias(), GATE),
        Dense(weight.astype(np.int16), bias, GATE),
        layout,
    )


def with_circuit(network: Network, options: CircuitOptions = CircuitOptions()) -> Network:
    """The generator with its prior as neurons; twice gives the same.

    Raises:
        DataError: it has no prior in floats, or no window.
    """
    if not isinstance(network.prior, Prior) or network.time_steps is None:
        raise DataError("only a network with a prior and a window can draw for itself; export it from its run")
    provenance = {**network.provenance, "generator": f"chip, seed {options.seed}"}
    prior = circuit_prior(network.prior, network.time_steps, options, network.spike_readout)
    return as_written(replace(network, prior=prior, provenance=provenance))
