"""The source and the latents behind it, held at every step against a plain model of the same generator."""

from __future__ import annotations

import numpy as np
import pytest
from threshold_gates import gate_spikes, values_of

from export.circuit.choice import one_hot_choice
from export.circuit.gates import Circuit, Signal
from export.circuit.register import seed_bits
from export.circuit.source import CircuitSource, latent_synapses, source_circuit
from export.circuit.tables import PriorTables, TableOptions, prior_tables
from export.circuit.window import power_on
from export.ir import Prior


def made_up(components: int, latents: int) -> Prior:
    generator = np.random.default_rng(components)
    weight = generator.normal(0, 1.5 / np.sqrt(latents), (components, latents, latents)).astype("f4")
    bias = generator.uniform(-2.5, 2.5, (components, latents)).astype("f4")
    share = generator.uniform(0.5, 2, components)
    return Prior(weight, bias, (share / share.sum()).astype("f4"))


def plain_latents(tables: PriorTables, source: CircuitSource, seed: int, images: int, steps: int) -> np.ndarray:
    """What the circuit means: bits of the register's definition, a component, its logits, and noise at every step.

    Its two facts of time, when bits are loaded and when noise is read, are written out here, not asked of the circuit.
    """
    p, q, lanes = source.feedback.p, source.feedback.q, len(source.lanes)
    bits = seed_bits(seed, source.feedback).tolist()
    while len(bits) < p + (images * steps + 10) * lanes:
        bits.append(bits[-p] ^ bits[-q])
    made = np.array(bits[p - lanes :])  # from step 2, which the seed fills

    def lanes_at(step: int) -> np.ndarray:
        return made[(step - 2) * lanes : (step - 1) * lanes]

    noise, chosen = len(tables.noise), tables.choice_bits if tables.components > 1 else 0
    load, first = (0, 4) if tables.components == 1 else (3, 7) if tables.shared else (2, 7)
    spikes = np.zeros((images, steps, tables.latents), bool)
    for image in range(images):
        at = 2 + image * steps
        number = lanes_at(at)[noise : noise + chosen] @ (1 << np.arange(chosen))
        component = tables.component(np.array([number]))
        [logits] = tables.logits(component, lanes_at(at + load)[None, noise + chosen :][:, : tables.factor.shape[1]])
        for step in range(steps):
            signs = 2 * lanes_at(first + image * steps + step - 1)[:noise] - 1
            spikes[image, step] = logits + signs @ tables.noise > 0
    return spikes


@pytest.mark.parametrize(
    ("components", "latents", "steps", "options"),
    [
        (5, 12, 8, TableOptions(noise_bits=16)),
        (5, 12, 2, TableOptions(noise_bits=16)),
        (5, 12, 3, TableOptions(noise_bits=16, shared=True)),
        (1, 10, 5, TableOptions(noise_bits=24)),
        (7, 20, 16, TableOptions(noise_bits=16, factors=6, choice_bits=6)),
        (32, 32, 8, TableOptions()),
    ],
)
def test_the_circuit_is_the_plain_generator(components: int, latents: int, steps: int, options: TableOptions) -> None:
    seed, images = 3, 25
    tables = prior_tables(made_up(components, latents), options)
    source = source_circuit(tables, steps, seed)
    weight, bias = latent_synapses(source, tables)
    spikes = gate_spikes(source.circuit, source.first + images * steps)
    fired = spikes @ weight.T.astype(np.int64) + bias > 0  # row i: at step i + 2
    found = fired[source.first - 2 :][: images * steps].reshape(images, steps, -1)
    np.testing.assert_array_equal(found, plain_latents(tables, source, seed, images, steps))
    assert 0.2 < found.mean() < 0.8
    for matrix in (weight, source.circuit.recurrent()):
        assert not (matrix % 2).any()
        assert matrix.min() >= -256
        assert matrix.max() <= 254
    assert (bias % 2 == 1).all()


def test_exactly_one_component_fires_from_the_first_image_on() -> None:
    tables = prior_tables(made_up(9, 8), TableOptions(noise_bits=16))
    source = source_circuit(tables, 4)
    spikes = gate_spikes(source.circuit, 400)
    hot = np.stack([values_of(mean, spikes) for mean in source.means], axis=1)
    assert (hot[source.first - 2 :].sum(axis=1) == 1).all()
    assert (hot.sum(axis=0) > 0).sum() >= 7


def test_no_lane_is_held_and_read_as_noise() -> None:
    """Else the last steps of an image would know the next one."""
    tables = prior_tables(made_up(9, 8), TableOptions(noise_bits=16))
    source = source_circuit(tables, 4)
    fresh = {neuron for bit in source.noise for neuron in bit.terms}
    takers = [n for n, name in enumerate(source.circuit.names) if name.endswith(".take")]
    read = {int(neuron) for taker in takers for neuron in np.flatnonzero(source.circuit.recurrent()[taker])}
    assert len(takers) == 8 + 2 + 4 + 8  # ten places, the two highest in copies, and eight factors
    assert not fresh & read


@pytest.mark.parametrize("number", [0, 1, 5, 511, 512, 700, 1023])
@pytest.mark.parametrize("edges", [[1], [5, 6, 512, 700], [1, 1, 1023], [0, 1024]])
def test_choices_of_every_range(number: int, edges: list[int]) -> None:
    circuit = Circuit()
    start = power_on(circuit)
    bits = [circuit.gate(f"bit.{place}", Signal(), 1 - (number >> place & 1)) for place in range(10)]
    chosen = one_hot_choice(circuit, bits, edges, start)
    spikes = gate_spikes(circuit, 12)
    hot = np.stack([values_of(component, spikes) for component in chosen], axis=1)
    wanted = int(np.searchsorted(edges, number, side="right"))
    # loaded at step 1, held at 2, compared at 3, one-hot at 4
    np.testing.assert_array_equal(hot[3:], np.tile(np.eye(len(edges) + 1, dtype=int)[wanted], (9, 1)))
