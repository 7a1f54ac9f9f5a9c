"""What counting costs beside the engine alone, and the memory it takes over many images.

    python -m benchmarks.counting [F.net ...] [--images 2048] [--rounds 7] [--memory 10000] [--out counting.json]

Without files it runs two random decoders: the sub-pixel one (latent 32, 64 channels at 8x8, 16 steps) and the paper's
for CIFAR-10. The engine alone and with counts take turns, each in a process of its own, as what one leaves in memory
decides where the other's sums lie; a process tells the median of its runs, and of these medians the median and the
quartiles are told. What counting makes once for a network is in it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.memory import peak_mib
from benchmarks.networks import signed_weights
from export.ir import Conv, ConvTranspose, Lif, Network
from export.netx import read_netx
from sim.counts.ops import Counter
from sim.twin.engine import Engine

_NEURON, _READOUT = Lif(4096, 3072, 300), Lif(4096, 819, 131_071)
_CHUNK = 64
#: Of one process.
_RUNS = 7


def subpixel(rng: np.random.Generator) -> Network:
    layers = [Conv(signed_weights(rng, 64, 32, 8, 8), None, _NEURON, padding=(7, 7))]
    layers += [Conv(signed_weights(rng, 64, 64, 3, 3), None, _NEURON, padding=(1, 1)) for _ in range(3)]
    layers.append(Conv(signed_weights(rng, 16, 64, 3, 3), None, _READOUT, padding=(1, 1)))
    return Network((32, 1, 1), tuple(layers), time_steps=16)


def cifar10(rng: np.random.Generator) -> Network:
    layers: list[Conv | ConvTranspose] = [ConvTranspose(signed_weights(rng, 128, 256, 2, 2), None, _NEURON)]
    for a, b in ((256, 128), (128, 64), (64, 32), (32, 32)):
        layers.append(ConvTranspose(signed_weights(rng, a, b, 3, 3), None, _NEURON, (2, 2), (1, 1), (1, 1), (1, 1)))
    layers.append(Conv(signed_weights(rng, 3, 32, 3, 3), None, _READOUT, padding=(1, 1)))
    return Network((128, 1, 1), tuple(layers), time_steps=16)


def measure(network: Network, images: int, *, counted: bool) -> dict[str, float]:
    """Seconds of the engine alone, or with counts, wall clock and processor: medians over runs in this process."""
    rng = np.random.default_rng(0)
    spikes = (rng.random((images, network.time_steps or 16, *network.input_shape)) < 0.3).astype(np.uint8)
    engine, took = Engine(network), []
    for _ in range(_RUNS + 1):
        begun = time.perf_counter(), time.process_time()
        if counted:
            counter = Counter(network)
            add = lambda layers, images, counter=counter: counter.add(layers, images.start)  # noqa: E731
            parts = engine.over(add, spikes, tallies=counter.tallies)
        else:
            parts = engine.over(lambda layers, _: [None for _ in layers], spikes)
        for _ in parts:
            pass
        took.append(np.subtract((time.perf_counter(), time.process_time()), begun))
    return dict(zip(("s", "cpu_s"), np.median(took[1:], axis=0).tolist(), strict=True))  # the first compiles


def overhead(words: list[str], rounds: int) -> dict[str, float]:
    """What processes of their own measure, by turns; ``words`` are what they take of the command line."""
    took: dict[str, list[dict[str, float]]] = {"engine": [], "counted": []}
    for _ in range(rounds):
        for who, found in took.items():
            command = [sys.executable, "-m", "benchmarks.counting", *words, "--only", who]
            found.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    result: dict[str, float] = {}
    for clock in ("s", "cpu_s"):
        engine, counted = (np.array([each[clock] for each in took[who]]) for who in took)
        low, middle, high = np.quantile(counted / engine - 1, (0.25, 0.5, 0.75))
        result |= {f"engine_{clock}": np.median(engine), f"counted_{clock}": np.median(counted)}
        result |= {f"extra_{clock}": middle, f"extra_{clock}_low": low, f"extra_{clock}_high": high}
    return {name: float(value) for name, value in result.items()}


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
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", choices=("engine", "counted"), help="one measurement of one network, as JSON")
    parser.add_argument("--network", help="which of them")
    parser.add_argument("--memory", type=int, default=10_000, help="images to count for the memory; 0 skips it")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    networks = {str(path): read_netx(path) for path in options.files}
    if not networks:
        networks = {"subpixel, 64 channels at 8x8": subpixel(rng), "the paper's CIFAR-10 decoder": cifar10(rng)}
    if options.only is not None:
        found = measure(networks[options.network], options.images, counted=options.only == "counted")
        print(json.dumps(found))
        return 0
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
    for name in networks:
        words = [*map(str, options.files), "--images", str(options.images), "--network", name]
        found = overhead(words, options.rounds)
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
