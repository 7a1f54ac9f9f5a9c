"""One small job of every kind that Lava runs, each with a dense layer 1 of 3 neurons behind 4 inputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from deploy.lava.find import find_lava_python
from deploy.lava.graph import generator_graph, image_graph
from deploy.lava.jobs import GraphJob, LavaJob, PowerOn, SamplesJob, WindowsJob
from deploy.lava.rates import Rates
from export.ir import Conv, Delta, Dense, InputNeurons, Lif, Network, SigmaDelta
from export.netx.write import write_netx
from sim.sampler import initial_states
from sim.stimulus import Stimulus, Timing

__all__ = ["KINDS", "NETX", "Kind", "break_model", "patched_python", "write_dense"]

WEIGHT = np.arange(-12, 12, 2).reshape(3, 4)
HIDDEN, LAST = Lif(4096, 819, 100), Lif(4096, 819, 131071)
WINDOW = 100  # of the autoencoder, which counts each image's spikes
Kind = Callable[[Path, int], LavaJob]


def write_dense(path: Path, *, driven: bool = False, **changes: Any) -> Path:
    """A ``.net`` file of one dense layer of 3 neurons; ``changes`` replace its data sets.

    Args:
        path: the file.
        driven: whether its input layer has neurons, which images drive.
        changes: by name within the layer.
    """
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
        if driven:
            file["layer/0/weight"], file["layer/0/bias"] = 64, 0
            file.copy("layer/1/neuron", file["layer/0"])
    return path


def network(steps: int, input_neurons: InputNeurons | None = None) -> Network:
    return Network((4,), (Dense(WEIGHT, None, LAST),), steps, input_neurons=input_neurons)


def rates(steps: int) -> Rates:
    return Rates(np.full((1, 4), 100), initial_states(0, np.arange(1), 4), steps, 8)


def windows(folder: Path, steps: int) -> WindowsJob:
    return WindowsJob(write_dense(folder / "dense.net"), np.ones((1, steps, 4), np.uint8))


def windows_with_sampler(folder: Path, steps: int) -> WindowsJob:
    return WindowsJob(write_dense(folder / "dense.net"), rates(steps))


def windows_from_power_on(folder: Path, steps: int) -> WindowsJob:
    """Nothing enters: the layer fires of itself."""
    path = write_dense(folder / "dense.net", bias=np.arange(30, 33), **{"neuron/vThMant": 100})
    return WindowsJob(path, PowerOn(1, steps, 3))


def samples(folder: Path, steps: int) -> SamplesJob:
    spikes = np.ones((1, steps, 4), np.uint8)
    return SamplesJob(write_dense(folder / "dense.net"), Stimulus(spikes, None, steps, Timing(5, 1, True)))


def samples_of_images(folder: Path, steps: int) -> SamplesJob:
    path = write_dense(folder / "dense.net", driven=True)
    return SamplesJob(path, Stimulus(None, np.full((1, 4), 200), steps, Timing(5, 1, True)))


def samples_of_frames(folder: Path, steps: int) -> SamplesJob:
    """Another frame at every step, to sigma-delta neurons."""
    frames = np.arange(steps * 4).reshape(1, steps, 4) * 7 % 100
    sigma_delta = Network((4,), (Dense(WEIGHT, None, SigmaDelta(1)),), steps, input_neurons=InputNeurons(Delta(1)))
    path = write_netx(sigma_delta, folder / "dense.net")
    return SamplesJob(path, Stimulus(None, frames, steps))


def graph(folder: Path, steps: int) -> GraphJob:
    return GraphJob(generator_graph(network(steps), np.ones((1, steps, 4), np.uint8)))


def graph_with_sampler(folder: Path, steps: int) -> GraphJob:
    return GraphJob(generator_graph(network(steps), rates(steps)))


def graph_of_images(folder: Path, steps: int) -> GraphJob:
    return GraphJob(image_graph(network(steps, InputNeurons(HIDDEN)), np.full((1, 4), 200), steps))


def autoencoder(folder: Path, steps: int) -> GraphJob:
    """The dense layer is the decoder's; as many images as fill the time steps."""
    from deploy.lava.autoencoder import autoencoder_graph  # imports torch, which the other kinds need not
    from export.encoder import DirectCoding, IntegerEncoder

    window = min(steps, WINDOW)
    coding = DirectCoding(
        np.full((1, 1, 1, 1), 1 << 12), np.zeros(1, np.int64), (1, 1), (0, 0), 12, HIDDEN, (1, 2, 2), (1, 2, 2), 255.0
    )
    kernels = np.eye(4, dtype=np.int64).reshape(4, 1, 2, 2) * 100
    encoder = Network((1, 2, 2), (Conv(kernels, None, HIDDEN),), window)
    images = np.full((steps // window, 1, 2, 2), 0.8)
    return GraphJob(autoencoder_graph(IntegerEncoder(coding, encoder, []), network(window), images))


_JOBS = (windows, windows_with_sampler, windows_from_power_on, samples, samples_of_images, samples_of_frames)
_GRAPHS = (graph, graph_with_sampler, graph_of_images, autoencoder)
#: By name: makes the job, with its file, if any, in a folder; the time steps that it is to run, a hundred's multiple.
KINDS: dict[str, Kind] = {kind.__name__: kind for kind in (*_JOBS, *_GRAPHS)}
#: Those that netx builds.
NETX = tuple(kind.__name__ for kind in _JOBS)


def break_model(job: LavaJob) -> None:
    """Makes Lava's model of the dense layer's neurons raise a ValueError."""
    if isinstance(job, GraphJob):
        job.graph.arrays[f"{job.graph.last}.bias.npy"] = np.zeros(5, np.int32)
        return
    with h5py.File(job.about, "r+") as file:
        del file["layer/1/neuron/vThMant"]
        file["layer/1/neuron/vThMant"] = np.array([1, 2, 3, 4, 5])


def patched_python(folder: Path, patch: str) -> Path:
    """Lava's interpreter, which carries out ``patch`` before the script that it is given."""
    script, python = folder / "patched.py", folder / "python"
    run = "import runpy, sys\nsys.argv = sys.argv[1:]\nrunpy.run_path(sys.argv[0], run_name='__main__')\n"
    script.write_text(f"{patch}\n{run}", encoding="utf-8")
    python.write_text(f'#!/bin/sh\nexec {find_lava_python()} {script} "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    return python
