"""One small job of every kind that Lava runs, each with a first layer of 3 neurons behind 4 inputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from deploy.lava.graph import Graph, generator_graph
from deploy.lava.inside.messages import CounterNode, CurrentsNode
from deploy.lava.jobs import GraphJob, LavaJob, SamplesJob, WindowsJob
from deploy.lava.rates import Rates
from deploy.plan import plan
from export.ir import INPUT_LABEL, Dense, Lif, Network
from sim.sampler import initial_states
from sim.stimulus import Stimulus, Timing

__all__ = ["KINDS", "NETX", "Kind", "break_model", "write_dense"]

WEIGHT = np.arange(-12, 12, 2).reshape(3, 4)
WINDOW = 100  # of the autoencoder, which counts each image's spikes
Kind = Callable[[Path, int], LavaJob]


def write_dense(path: Path, **changes: Any) -> Path:
    """A ``.net`` file of one dense layer of 3 neurons; ``changes`` replace its data sets."""
    values = {"shape": 3, "weight": WEIGHT, "bias": np.zeros(3, int)}
    values |= {"neuron/iDecay": 4096, "neuron/vDecay": 819, "neuron/vThMant": 131071, "neuron/gradedSpike": 0}
    types = {"type": changes.pop("type", b"dense"), "neuron/type": changes.pop("neuron_type", b"CUBA")}
    with h5py.File(path, "w") as file:
        file.create_dataset("layer/0/type", (1,), "S10", [b"input"])
        file.create_dataset("layer/0/shape", data=[4])
        for name, value in types.items():
            file.create_dataset(f"layer/1/{name}", (1,), "S10", [value])
        for name, value in (values | changes).items():
            file.create_dataset(f"layer/1/{name}", data=value)
    return path


def network(steps: int) -> Network:
    return Network((4,), (Dense(WEIGHT, None, Lif(4096, 819, 131071)),), time_steps=steps)


def rates(steps: int, images: int = 1) -> Rates:
    return Rates(np.full((images, 4), 100), initial_states(0, np.arange(images), 4), steps, 8)


def windows(folder: Path, steps: int) -> WindowsJob:
    return WindowsJob(write_dense(folder / "dense.net"), np.ones((1, steps, 4), np.uint8))


def windows_with_sampler(folder: Path, steps: int) -> WindowsJob:
    return WindowsJob(write_dense(folder / "dense.net"), rates(steps))


def samples(folder: Path, steps: int) -> SamplesJob:
    spikes = np.ones((1, steps, 4), np.uint8)
    return SamplesJob(write_dense(folder / "dense.net"), Stimulus(spikes, None, steps, Timing(5, 1, True)))


def graph(folder: Path, steps: int) -> GraphJob:
    return GraphJob(generator_graph(network(steps), rates(steps)))


def autoencoder(folder: Path, steps: int) -> GraphJob:
    """Currents, neurons, counter, sampler, layer."""
    window = min(steps, WINDOW)
    images, decoder = steps // window, network(window)
    made = Graph(images, window, sampler=Rates(None, rates(window, images).states, window, 8))
    made.nodes.append(CurrentsNode(1, made.add_array("currents", np.full((images, 4), 200))))
    made.add_neurons(Lif(4096, 819, 100), (4,), f"encoder {INPUT_LABEL}", 1)
    made.nodes.append(CounterNode(1, (4,), 8))
    decoding = plan(decoder, images, steps=window, start=1 + window)
    made.add_source(decoder, decoding.start, counted=True, name="sampled")
    made.add_layers(decoder, decoding)
    made.total = decoding.total
    return GraphJob(made)


#: By name: makes the job, with its file, if any, in a folder; the time steps that it is to run, a hundred's multiple.
KINDS: dict[str, Kind] = {kind.__name__: kind for kind in (windows, windows_with_sampler, samples, graph, autoencoder)}
#: Those that netx builds.
NETX = ("windows", "windows_with_sampler", "samples")


def break_model(job: LavaJob) -> None:
    """Makes Lava's model of the first layer's neurons raise a ValueError."""
    if isinstance(job, GraphJob):
        job.graph.arrays["layer1.bias.npy"] = np.zeros(5, np.int32)
    else:
        write_dense(job.about, **{"neuron/vThMant": np.array([1, 2, 3, 4, 5])})
