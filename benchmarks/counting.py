"""What counting costs beside the engine alone, and the memory it takes over many images.

    python -m benchmarks.counting [F.net ...] [--images 2048] [--rounds 15] [--memory 10000] [--out counting.json]

Without files it runs two random decoders: the sub-pixel one (latent 32, 64 channels at 8x8, 16 steps) and the paper's
for CIFAR-10. The engine alone and with counts take turns; each round gives a ratio, of which the median and quartiles
are told: a machine whose clock drifts slows both of a round. What counting makes once for a network is in it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.memory import peak_mib
from export.ir import Conv, ConvTranspose, Lif, Network
from export.netx import read_netx
from sim.counts.ops import Counter
from sim.twin.engine import Engine

_NEURON, _READOUT = Lif(4096, 3072, 300), Lif(4096, 819, 131_071)
_CHUNK = 64


def _weight(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return (rng.integers(1, 100, shape) * rng.choice([-2, 2], shape)).astype(np.int32)


def subpixel(rng: np.random.Generator) -> Network:
    layers = [Conv(_weight(rng, 64, 32, 8, 8), None, _NEURON, padding=(7, 7))]
    layers += [Conv(_weight(rng, 64, 64, 3, 3), None, _NEURON, padding=(1, 1)) for _ in range(3)]
    layers.append(Conv(_weight(rng, 16, 64, 3, 3), None, _READOUT, padding=(1, 1)))
    return Network((32, 1, 1), tuple(layers), time_steps=16)


def cifar10(rng: np.random.Generator) -> Network:
    layers: list[Conv | ConvTranspose] = [ConvTranspose(_weight(rng, 128, 256, 2, 2), None, _NEURON)]
    for a, b in ((256, 128), (128, 64), (64, 32), (32, 32)):
        layers.append(ConvTranspose(_weight(rng, a, b, 3, 3), None, _NEURON, (2, 2), (1, 1), (1, 1), (1, 1)))
    layers.append(Conv(_weight(rng, 3, 32, 3, 3), None, _READOUT, padding=(1, 1)))
    return Network((128, 1, 1), tuple(layers), time_steps=16)


def overhead(network: Network, images: int, rounds: int) -> dict[str, float]:
    """Seconds of the engine alone, and with counts, wall clock and processor: medians over the rounds, and quartiles of
    what counts add to a round."""
    rng = np.random.default_rng(0)
    spikes = (rng.random((images, network.time_steps or 16, *network.input_shape)) < 0.3).astype(np.uint8)
    engine = Engine(network)

    def alone() -> None:
        for _ in engine.over(lambda layers, _: [None for _ in layers], spikes):
            pass

    def counted() -> None:
        counter = Counter(network)
        for _ in engine.over(lambda layers, images: counter.add(layers, images.start), spikes, tallies=counter.tallies):
            pass

    took = np.empty((rounds + 1, 2, 2))
    for turn in took:
        for who, run in enumerate((alone, counted)):
            begun = time.perf_counter(), time.process_time()
            run()
            turn[who] = np.subtract((time.perf_counter(), time.process_time()), begun)
    took = took[1:]  # the first compiles
    found = {}
    for k, clock in enumerate(("s", "cpu_s")):
        engine, counted_s = np.median(took[:, :, k], axis=0)
        low, middle, high = np.quantile(took[:, 1, k] / took[:, 0, k] - 1, (0.25, 0.5, 0.75))
        found |= {f"engine_{clock}": engine, f"counted_{clock}": counted_s, f"extra_{clock}": middle}
        found |= {f"extra_{clock}_low": low, f"extra_{clock}_high": high}
    return {name: float(value) for name, value in found.items()}


def memory(network: Network, images: int) -> dict[str, float]:
    """Peak resident memory after the first chunks, and after all images."""
    engine, counter = Engine(network), Counter(network)
    shape = (_CHUNK, network.time_steps or 16, *network.input_shape)
    early = 0.0
    for start in range(0, images, _CHUNK):
        spikes = (np.random.default_rng(start).random(shape) < 0.3).astype(np.uint8)
        for layers in engine.run(spikes[: images - start]):
            counter.add(layers)
        if start == 3 * _CHUNK:
            early = peak_mib()
    return {"images": counter.result().images, "peak_mib_after_256": early, "peak_mib": peak_mib()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--memory", type=int, default=10_000, help="images to count for the memory; 0 skips it")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    networks = {str(path): read_netx(path) for path in options.files}
    if not networks:
        networks = {"subpixel, 64 channels at 8x8": subpixel(rng), "the paper's CIFAR-10 decoder": cifar10(rng)}
    results: dict[str, Any] = {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        "threads": torch.get_num_threads(),
        "networks": {},
    }
    if options.memory:
        name, network = next(iter(networks.items()))
        results["memory"] = {"network": name, **memory(network, options.memory)}
        print(f"memory: {results['memory']}")
    for name, network in networks.items():
        found = overhead(network, options.images, options.rounds)
        results["networks"][name] = found
        print(
            f"{name}: engine {found['engine_s']:.3f} s, with counts {found['counted_s']:.3f} s: "
            f"{found['extra_s']:.1%} extra ({found['extra_s_low']:.1%} to {found['extra_s_high']:.1%}), "
            f"{found['extra_cpu_s']:.1%} of the processor's time"
        )
    if options.out is not None:
        options.out.write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
