"""What a user would otherwise take to run a decoder: images a second of each, and whether its integers are the chip's.

    python -m benchmarks.alternatives [--images 32] [--rounds 5] [--out benchmarks/alternatives.json]

One network, the chip-native decoder with random weights and no biases (Lava-DL's slayer has none), and the same latent
spikes for all. Each is written as its own documentation does: slayer's blocks and Norse's and snnTorch's cells hold
``w / 64`` for the file's ``w``, in float32. All take turns on one thread, without loading; Lava runs once, on fewer
images. Spikes and potentials are compared before anything is timed. Norse, snnTorch (which the project does not depend
on) and Lava are left out, and said so, where they are not installed. The part of ``docs/benchmarks.md`` between the
marks is written anew.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.networks import latents, subpixel_decoder
from benchmarks.report import replace_part, table
from benchmarks.simulate import bare_convolutions, machine, turns, use_threads
from deploy.lava.jobs import WindowsJob
from deploy.lava.run import run_lava
from esvae.errors import EsvaeError
from export.ir import Conv, Network
from export.netx.write import write_netx
from export.onnx.integer import integer_model
from sim.twin.engine import Engine
from sim.twin.int8 import ByteSums, int8_parts

ROOT = Path(__file__).resolve().parents[1]
#: What slayer takes a weight of 1 for (its ``scale``).
_SCALE = 64
_IN_LAVA = 2


@dataclass(frozen=True)
class Contestant:
    """One way to run the decoder.

    Attributes:
        name: of the software.
        call: runs all images once; gives spikes ``(images, steps, neurons)`` of the last hidden layer, potentials of
            the readout ``(images, neurons)``, or None where it computes neither.
    """

    name: str
    call: Callable[[], np.ndarray | None]


def network_without_biases() -> Network:
    """The chip-native decoder with odd thresholds: of even weights no sum is one, so that no float falls on a tie."""
    layers = []
    for layer in subpixel_decoder().layers:
        assert isinstance(layer, Conv)
        layers.append(replace(layer, bias=None, neuron=replace(layer.neuron, threshold=layer.neuron.threshold | 1)))
    return replace(subpixel_decoder(), layers=tuple(layers))


def convolutions(network: Network) -> list[tuple[Conv, nn.Conv2d]]:
    """Each layer, and torch's with the same weights by 64."""
    found = []
    for layer, _, _ in network.synapses():
        assert isinstance(layer, Conv)
        out, into, *kernel = layer.weight.shape
        conv = nn.Conv2d(into, out, (kernel[0], kernel[1]), padding=layer.padding, bias=False)
        conv.weight.data = torch.from_numpy(layer.weight / _SCALE).float()
        found.append((layer, conv.requires_grad_(False)))
    return found


def slayer(network: Network, spikes: np.ndarray) -> Contestant:
    """Lava-DL's slayer, the framework that netx files come from."""
    from lava.lib.dl.slayer.block import cuba

    blocks = []
    for layer, conv in convolutions(network):
        decays = {
            "current_decay": layer.neuron.current_decay / 4096,
            "voltage_decay": layer.neuron.voltage_decay / 4096,
        }
        neuron = {**decays, "threshold": layer.neuron.threshold / _SCALE}
        block = cuba.Conv(
            neuron, conv.in_channels, conv.out_channels, conv.kernel_size, padding=layer.padding, delay_shift=False
        )
        block.synapse.weight.data = conv.weight.data[..., None].clone()
        blocks.append(block.eval())
    x = torch.from_numpy(spikes).float().movedim(1, -1).contiguous()

    def call() -> np.ndarray:
        y = x
        for block in blocks:
            hidden, y = y, block(y)
        return hidden.movedim(-1, 1).flatten(2).numpy()

    return Contestant("Lava-DL slayer, torch forward", call)


def norse(network: Network, spikes: np.ndarray) -> Contestant:
    """Norse's ``SequentialState`` of convolutions and ``LIFBoxCell``, step by step."""
    import norse.torch as snn

    modules: list[nn.Module] = []
    for layer, conv in convolutions(network):
        leak = layer.neuron.voltage_decay / 4096
        parameters = snn.LIFBoxParameters(
            tau_mem_inv=torch.as_tensor(leak / 0.001), v_th=torch.as_tensor(layer.neuron.threshold / _SCALE)
        )
        conv.weight.data /= leak  # its gain is bound to its leak
        modules += [conv, snn.LIFBoxCell(parameters, dt=0.001)]
    whole = snn.SequentialState(*modules[:-2])
    last = snn.SequentialState(*modules[-2:])
    x = torch.from_numpy(spikes).float()

    def call() -> np.ndarray:
        states, end, hidden = None, None, []
        for step in range(x.shape[1]):
            z, states = whole(x[:, step], states)
            _, end = last(z, end)
            hidden.append(z.flatten(1))
        return torch.stack(hidden, 1).numpy()

    return Contestant("Norse", call)


def snntorch(network: Network, spikes: np.ndarray) -> Contestant:
    """snnTorch's convolutions and ``Leaky``, step by step."""
    import snntorch as snn

    layers = [
        (
            conv,
            snn.Leaky(1 - layer.neuron.voltage_decay / 4096, layer.neuron.threshold / _SCALE, reset_mechanism="zero"),
        )
        for layer, conv in convolutions(network)
    ]
    x = torch.from_numpy(spikes).float()

    def call() -> np.ndarray:
        states, hidden = [leaky.init_leaky() for _, leaky in layers], []
        for step in range(x.shape[1]):
            z = x[:, step]
            for k, (conv, leaky) in enumerate(layers):
                before, (z, states[k]) = z, leaky(conv(z), states[k])
            hidden.append(before.flatten(1))
        return torch.stack(hidden, 1).numpy()

    return Contestant("snnTorch", call)


def onnx_runtime(network: Network, spikes: np.ndarray) -> Contestant:
    """Our integer ONNX file in ONNX Runtime."""
    from deploy.backends.onnx import session

    ready = session(integer_model(network))
    return Contestant("ONNX Runtime, our ONNX file", lambda: ready.run(["potentials"], {"spikes": spikes})[0])


def bytes_alone(network: Network, spikes: np.ndarray) -> Contestant:
    """The layers' convolutions alone, by 8-bit integer products."""
    calls = []
    for layer, before, after in network.synapses():
        assert isinstance(layer, Conv)
        parts = int8_parts(layer.weight)
        assert parts is not None
        x = (torch.rand(network.time_steps or 1, len(spikes), int(np.prod(before))) < 0.2).to(torch.uint8)
        calls.append((ByteSums(layer, parts, before, after), x))
    return Contestant("bare convolutions, 8 bit", lambda: [sums(x) for sums, x in calls] and None)


def contestants(network: Network, spikes: np.ndarray) -> tuple[list[Contestant], list[str]]:
    """Those that can run here, and what is left out, with why."""
    engine = Engine(network)
    bare = bare_convolutions(network, len(spikes), first_as_matrix=False)
    made = [Contestant("twin", lambda: engine.final_potentials(spikes)), onnx_runtime(network, spikes)]
    left_out = []
    for make in (bytes_alone, slayer, norse, snntorch):
        try:
            made.append(make(network, spikes))
        except (ImportError, AttributeError) as error:
            left_out.append(f"{make.__name__}: {error}")
    return [*made, Contestant("bare convolutions, float32", lambda: bare() and None)], left_out


def agreement(found: np.ndarray | None, potentials: np.ndarray, hidden: np.ndarray) -> str:
    """How what was computed compares with the integers of the chip."""
    if found is None:
        return "no neurons"
    if found.ndim == 2 or found.shape == potentials.shape:
        return "equal" if np.array_equal(found.reshape(potentials.shape), potentials) else "not equal"
    different = float((found != hidden).mean())
    return "spikes equal" if different == 0 else f"{different:.2%} of spikes differ"


def measure(images: int, rounds: int) -> list[dict[str, Any]]:
    """Milliseconds an image of each, best of its rounds, and what its results are worth."""
    network = network_without_biases()
    spikes = latents(network, images)
    potentials = Engine(network).final_potentials(spikes)
    *_, before_last, _ = Engine(network).traces(spikes)
    hidden = before_last.s.reshape(images, spikes.shape[1], -1)
    taking_part, left_out = contestants(network, spikes)
    for line in left_out:
        sys.stderr.write(f"left out: {line}\n")
    with torch.inference_mode():
        worth = [agreement(each.call(), potentials, hidden) for each in taking_part]
        times = turns(*(each.call for each in taking_part), repeats=rounds).min(axis=0) / images * 1e3
    rows = [
        {"name": each.name, "ms": ms, "integers": how} for each, ms, how in zip(taking_part, times, worth, strict=True)
    ]
    try:
        with tempfile.TemporaryDirectory() as folder:
            run = run_lava(WindowsJob(write_netx(network, Path(folder) / "decoder.net"), spikes[:_IN_LAVA]))
    except EsvaeError as error:
        sys.stderr.write(f"left out: Lava: {error}\n")
    else:
        how = agreement(run.readout, potentials[:_IN_LAVA], hidden)
        rows.append({"name": "Lava CPU, stock netx", "ms": run.seconds["running"] / _IN_LAVA * 1e3, "integers": how})
    return sorted(rows, key=lambda row: row["ms"])


def report(found: dict[str, Any]) -> list[str]:
    """The part of the page."""
    about, rows = found["machine"], found["result"]
    own = next(row["ms"] for row in rows if row["name"] == "twin")
    cells = [
        [row["name"], f"{row['ms']:,.2f}", f"{1e3 / row['ms']:,.1f}", f"{row['ms'] / own:,.1f}", row["integers"]]
        for row in rows
    ]
    before, after = about["load before, after"]
    return [
        "## What you would otherwise use",
        "",
        "Made by `python -m benchmarks.alternatives`; figures in `benchmarks/alternatives.json`. One chip-native",
        "decoder with random weights, the same latent spikes, one thread, without loading. Spikes are the last hidden",
        "layer's: through random weights a spike that differs makes others differ.",
        "",
        f"Measured on {about['cores']} cores of {about['processor']}, Python {about['python']}, "
        f"torch {about['torch']}, {about['date']}, load {before:.1f} before, {after:.1f} after.",
        "",
        *table(["", "ms an image", "images a second", "times the twin's", "against the chip's integers"], cells),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "alternatives.json")
    options = parser.parse_args()
    use_threads(1)
    load = os.getloadavg()[0]
    rows = measure(options.images, options.rounds)
    found = {"machine": machine() | {"load before, after": [load, os.getloadavg()[0]]}, "result": rows}
    options.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    replace_part("alternatives", report(found), ROOT / "docs" / "benchmarks.md")
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
