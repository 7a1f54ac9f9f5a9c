"""Exporting a generator that draws on the chip: its options, and what the file of a convolutional decoder needs too.

netx connects no convolution behind a dense layer. There the circuit is a file of its own beside the decoder's, and a
script of stock netx's own calls connects the two.
"""

from __future__ import annotations

from pathlib import Path

from esvae.errors import ConfigError
from esvae.machine.files import write_text
from export.circuit.generator import CircuitOptions
from export.circuit.tables import TableOptions
from export.ir import CircuitPrior, Network
from export.ir.circuit import circuit_of, is_chained, source_network
from export.netx.write import write_netx

__all__ = ["GENERATORS", "circuit_options", "print_circuit", "wiring_script", "write_beside"]

#: Who draws the latent spikes.
GENERATORS = ("host", "chip")


def circuit_options(
    generator: str, seed: int, factors: int | None, shared: bool, components: int | None
) -> CircuitOptions | None:
    """The options of a generator on the chip; None for one on the host.

    Raises:
        ConfigError: another generator, or options of the chip's for the host's.
    """
    if generator not in GENERATORS:
        raise ConfigError(f"--generator {generator}: expected {' or '.join(GENERATORS)}")
    if generator == "chip":
        return CircuitOptions(seed, TableOptions(factors, shared, components=components))
    if seed or factors is not None or shared or components is not None:
        raise ConfigError("--generator-seed, --factors, --shared-factor and --components need --generator chip")
    return None


def write_beside(network: Network, target: Path) -> tuple[Path, ...]:
    """Writes what a generator's file needs beside it: nothing where it is one chain, else the circuit and a script."""
    circuit = circuit_of(network)
    if circuit is None or is_chained(network):
        return ()
    source, script = target.with_suffix(".source.net"), target.with_suffix(".wire.py")
    write_netx(source_network(circuit), source)
    write_text(script, wiring_script(network, circuit, source.name, target.name))
    return source, script


def print_circuit(network: Network, beside: tuple[Path, ...]) -> None:
    """Says what draws, and what lies beside the file."""
    from deploy.view.console import say

    circuit = circuit_of(network)
    if circuit is None:
        return
    synapses = sum(int((weight != 0).sum()) for weight in (circuit.source.recurrent, circuit.latents.weight))
    neurons = f"{circuit.source.outputs:,} neurons and {circuit.latents.outputs} latents, {synapses:,} synapses"
    start = f"the first image begins after {circuit.layout.start} time steps"
    say(f"drawn on the chip, seed {circuit.layout.seed}: {neurons}; {start}")
    if beside:
        say(f"beside it for stock netx: {' and '.join(map(str, beside))}")


def wiring_script(network: Network, circuit: CircuitPrior, source: str, decoder: str) -> str:
    """A script that connects two files on stock netx and prints the potentials that the first image ends with.

    Where pixels fire, it prints their spikes at each step of the window instead.

    Args:
        network: the decoder, with a window.
        circuit: that draws for it.
        source, decoder: names of their files, beside the script.
    """
    steps, start = network.time_steps or 0, circuit.layout.start
    imports, tap, printed = ("", "", _POTENTIALS) if network.spike_readout is None else (_SINK, _TAP, _SPIKES)
    return (_HEAD + imports + _WIRES + tap + _RUN).format(
        printed=printed.format(steps=steps),
        what="picture" if network.spike_readout is None else "picture in spikes",
        source=source,
        decoder=decoder,
        steps=steps,
        start=start,
        behind=start + 2,
        total=start - 1 + steps + 2 + network.depth,
    )


_HEAD = '''\
"""Draws one {what} with nothing fed in, on stock lava-dl: connects the circuit's file to the decoder's."""
from lava.lib.dl.netx.hdf5 import Network
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
'''
_WIRES = """
source = Network("{source}", reset_interval={steps}, reset_offset={start}, sparse_fc_layer=True)
decoder = Network("{decoder}", reset_interval={steps}, reset_offset={behind})
source.out.reshape(decoder.inp.shape).connect(decoder.inp)
"""
_RUN = """\
source.run(RunSteps({total}), Loihi2SimCfg(select_tag="fixed_pt"))  # {steps} more for each further picture
print({printed})
source.stop()
"""
#: What reads the picture.
_POTENTIALS = "decoder.layers[-1].neuron.v.get().T.astype(int).ravel().tolist()"
_SINK = "from lava.proc.io.sink import RingBuffer\n"
_TAP = """\
sink = RingBuffer(shape=decoder.out.shape, buffer={total})
decoder.out.connect(sink.a_in)
"""
_SPIKES = "sink.data.get()[..., -{steps}:].T.astype(int).tolist()"
