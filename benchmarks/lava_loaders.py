"""Loads and runs networks in Lava with stock netx and with the native loader: seconds, memory, the same integers.

    python benchmarks/lava_loaders.py [--images 2] [--out benchmarks/lava_loaders.json] [--skip-stock-paper]

Networks: the shipped digits decoders with random weights, and the paper's MNIST decoder (dense 32 -> 1024, four
stride-2 transposed 3x3 convolutions 256-128-64-32-32 from 2x2 up to 32x32, a last 3x3 to one channel, T = 16). For
stock netx transposed layers are unrolled into dense ones first. Weights are random, thresholds such that layers fire
like trained ones. Memory is the largest sum of the proportional set sizes of the worker and all of Lava's processes,
looked at every 0.2 s; it does not include the parent.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import tempfile
import threading
import time
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from deploy.lava.graph import generator_graph
from deploy.lava.inside.cleanup import living_members
from deploy.lava.jobs import GraphJob, LavaJob, WindowsJob
from deploy.lava.results import LavaProgress
from deploy.lava.run import run_lava
from esvae.machine.files import write_text
from export.ir import Conv, ConvTranspose, Dense, Lif, Network
from export.netx.write import write_netx
from sim.twin.engine import Engine

LIF, READOUT = Lif(4096, 3072, 300), Lif(4096, 819, 131071)


def weights(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Even whole numbers around zero."""
    return np.clip(np.rint(rng.normal(0, 40, shape)), -127, 127).astype(np.int32) * 2


def subpixel() -> Network:
    """As configs/digits.yaml."""
    rng = np.random.default_rng(0)
    layers = (
        Conv(weights(rng, 48, 32, 8, 8), None, LIF, padding=(7, 7)),
        Conv(weights(rng, 48, 48, 3, 3), None, LIF, padding=(1, 1)),
        Conv(weights(rng, 4, 48, 3, 3), None, READOUT, padding=(1, 1)),
    )
    return tuned(Network((32, 1, 1), layers, time_steps=8))


def transposed(channels: list[int], latents: int, steps: int) -> Network:
    """The paper's family from a 2x2 base."""
    rng = np.random.default_rng(0)
    layers: list[Any] = [Conv(weights(rng, channels[0], latents, 2, 2), None, LIF, padding=(1, 1))]
    for before, after in itertools.pairwise(channels):
        layers.append(ConvTranspose(weights(rng, before, after, 3, 3), None, LIF, (2, 2), (1, 1), (1, 1), (1, 1)))
    layers.append(Conv(weights(rng, 1, channels[-1], 3, 3), None, READOUT, padding=(1, 1)))
    return tuned(Network((latents, 1, 1), tuple(layers), time_steps=steps))


def tuned(network: Network) -> Network:
    """Thresholds at which about an eighth of each layer's neurons fire at each step."""
    layers = list(network.layers)
    for k in range(len(layers) - 1):
        for threshold in (50, 100, 200, 400, 800, 1600, 3200):
            layers[k] = replace(layers[k], neuron=replace(LIF, threshold=threshold))  # type: ignore[type-var]
            tried = Network(network.input_shape, tuple(layers), network.time_steps)
            activity = next(iter(Engine(tried).run(spikes(tried, 2))))
            if float(activity[k].spikes.float().mean()) < 0.125:
                break
    return Network(network.input_shape, tuple(layers), network.time_steps)


def spikes(network: Network, images: int) -> np.ndarray:
    """Latents that fire at four steps in ten."""
    rng = np.random.default_rng(1)
    return (rng.random((images, network.time_steps or 1, *network.input_shape)) < 0.4).astype(np.uint8)


def unrolled(network: Network) -> Network:
    """All layers dense, for stock netx, however large."""
    from deploy.lava.unroll import unrolled as matrix

    layers = []
    for layer, before, after in network.synapses():
        bias = None if layer.bias is None else np.broadcast_to(layer.bias[:, None, None], after).reshape(-1)
        layers.append(Dense(matrix(layer, before).toarray().astype(np.int16), bias, layer.neuron))
    return Network((int(np.prod(network.input_shape)),), tuple(layers), network.time_steps)


class Memory(threading.Thread):
    """The largest sum of proportional set sizes of the sessions that were told to it, in bytes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.largest, self.over = 0, threading.Event()
        self.parent = os.getpid()

    def run(self) -> None:
        while not self.over.wait(0.2):
            total = sum(self.size(pid) for child in self.children() for pid in living_members(child))
            self.largest = max(self.largest, total)

    def children(self) -> list[int]:
        """Workers of this process; each leads its own session."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (OSError, ValueError):
                continue
            if entry.name.isdigit() and int(fields[1]) == self.parent and fields[3] == entry.name:
                found.append(int(entry.name))
        return found

    @staticmethod
    def size(pid: int) -> int:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            return 0
        return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) << 10


def measure(job: LavaJob, images: int) -> tuple[dict[str, float], np.ndarray]:
    """Seconds until the first time step, seconds an image, gigabytes."""
    memory = Memory()
    memory.start()
    began: list[float] = []

    def at(now: LavaProgress) -> None:
        if now.stage == "running" and not began:
            began.append(time.perf_counter())

    started = time.perf_counter()
    done = run_lava(job, progress=at)
    memory.over.set()
    figures = {
        "load_seconds": round(began[0] - started, 2),
        "seconds_an_image": round(done.seconds["running"] / images, 3),
        "gigabytes": round(memory.largest / 1e9, 2),
    }
    return figures, done.readout


def compare(name: str, network: Network, images: int, stock: bool) -> dict[str, Any]:
    """One network on both loaders."""
    entering = spikes(network, images)
    expected = Engine(network).final_potentials(entering).reshape(images, -1)
    entry: dict[str, Any] = {"network": name, "images": images, "steps": network.time_steps, "twin": {}}
    activity = next(iter(Engine(network).run(entering)))
    entry["firing"] = [round(float(layer.spikes.float().mean()), 3) for layer in activity[:-1]]
    started = time.perf_counter()
    Engine(network).final_potentials(entering)
    entry["twin"] = {"seconds_an_image": round((time.perf_counter() - started) / images, 4)}
    ways: dict[str, LavaJob] = {
        "native": GraphJob(generator_graph(network, entering)),
        "native, shared kernels": GraphJob(generator_graph(network, entering, unroll_below=0)),
    }
    with tempfile.TemporaryDirectory() as folder:
        if stock:
            lowered = any(isinstance(layer, ConvTranspose) for layer in network.layers)
            written = unrolled(network) if lowered else network
            path = write_netx(written, Path(folder) / "stock.net")
            shaped = entering.reshape(*entering.shape[:2], -1) if lowered else entering
            del written
            ways["stock"] = WindowsJob(path, shaped, sparse=lowered)
        for way, job in ways.items():
            figures, readout = measure(job, images)
            entry[way] = {**figures, "equal_to_twin": bool(np.array_equal(readout.reshape(images, -1), expected))}
            print(name, way, entry[way], flush=True)
    return entry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("lava_loaders.json"))
    parser.add_argument("--skip-stock-paper", action="store_true", help="it takes ten gigabytes")
    options = parser.parse_args()
    results = [
        compare("digits, subpixel", subpixel(), options.images, True),
        compare("digits, transposed", transposed([128, 64, 32, 32], 32, 8), options.images, True),
        compare(
            "paper's MNIST decoder",
            transposed([256, 128, 64, 32, 32], 32, 16),
            options.images,
            not options.skip_stock_paper,
        ),
    ]
    about = {
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
    }
    write_text(options.out, json.dumps({"about": about, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
