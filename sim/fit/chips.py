"""What one core and one chip can hold, one frozen object a chip, each figure with its unit and source."""

from __future__ import annotations

from dataclasses import dataclass

from esvae.errors import ConfigError

__all__ = ["CHIPS", "LOIHI1", "LOIHI2", "Chip", "chip_named"]


@dataclass(frozen=True)
class Chip:
    """Capacities that decide whether a network fits.

    Attributes:
        name: as the command line has it.
        title: for people.
        cores: neuron cores on the chip.
        usable_cores: of them left for a network when drivers and input have taken theirs.
        neurons: a core, at most.
        memory_words: a core's synaptic memory, in words.
        word_bits: in such a word.
        input_axons: a core: distinct neurons whose spikes it can receive.
        groups: a core: sets of neuron parameters.
        cores_per_tile, mesh_width: the mesh of routers, tiles to a row; cores are filled in order, to and fro.
        index_bits, header_bits: beside the weights: of each weight of an unrolled layer, and of each list of weights.
        source: where the figures come from.
    """

    name: str
    title: str
    cores: int
    usable_cores: int
    neurons: int
    memory_words: int
    word_bits: int
    input_axons: int
    groups: int
    cores_per_tile: int
    mesh_width: int
    index_bits: int
    header_bits: int
    source: str

    def shared_words(self, outputs: int, bits: int) -> int:
        """Words that one kernel position of one input channel takes for ``outputs`` channels on the core."""
        return self._words(outputs * bits)

    def unrolled_words(self, synapses: int, bits: int) -> int:
        """Words that the list of one input axon with so many synapses on the core takes."""
        return self._words(synapses * (bits + self.index_bits))

    def _words(self, bits: int) -> int:
        return -(-(bits + self.header_bits) // self.word_bits)


LOIHI2 = Chip(
    name="loihi2",
    title="Loihi 2",
    cores=128,
    usable_cores=120,
    neurons=4095,
    memory_words=12_000,
    word_bits=64,
    input_axons=16_000,
    groups=8,
    cores_per_tile=4,
    mesh_width=8,
    index_bits=11,
    header_bits=17,
    source=(
        "cores, neurons: Intel, Taking Neuromorphic Computing with Loihi 2 to the Next Level (technology brief, 2021); "
        "words, axons, groups and the formats of the lists: worked out from the chip's published compiler limits, "
        "approximate; tiles: assumed as on Loihi 1"
    ),
)

LOIHI1 = Chip(
    name="loihi1",
    title="Loihi",
    cores=128,
    usable_cores=128,
    neurons=1024,
    memory_words=16_384,
    word_bits=64,
    input_axons=4096,
    groups=8,
    cores_per_tile=4,
    mesh_width=8,
    index_bits=11,
    header_bits=17,
    source=(
        "cores, neurons, mesh: Davies et al., IEEE Micro 38(1), 2018; words (1,048,576 bits) and axons: "
        "nengo-loihi 1.0, nengo_loihi/block.py; groups and the formats of the lists: assumed as on Loihi 2"
    ),
)

CHIPS = {chip.name: chip for chip in (LOIHI2, LOIHI1)}


def chip_named(name: str) -> Chip:
    """The chip of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in CHIPS:
        raise ConfigError(f"--chip {name}: expected {' or '.join(CHIPS)}")
    return CHIPS[name]
