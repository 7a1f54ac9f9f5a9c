"""Windows back to back, without a pause: stock netx's network with such resets, and the run of any such graph.

When each layer works on each image is said in ``deploy/plan.py``.
"""

from __future__ import annotations

import time
from typing import Any

from . import netx
from .built import Built, BuiltLayer
from .messages import Image, LavaWork, Step, UnsupportedError, WindowsWork
from .record import exact, read_out
from .reporter import Reporter
from .sources import source

__all__ = ["Pace", "build_windows", "run"]

SLICE_SECONDS = 0.25  # aim for the time between two progress events while running


class Pace:
    """Runs a graph in slices, with an event after each, that grow as long as they stay short.

    Args:
        main: the process to run.
        reporter: told of each slice.
    """

    def __init__(self, main: Any, reporter: Reporter) -> None:
        self.done = 0
        self._main = main
        self._reporter = reporter
        self._count = 1

    def run_to(self, end: int, limit: int) -> None:
        """Runs until at least ``end`` time steps are done, and at most ``limit``."""
        while self.done < end:
            self._run(min(self._count, limit - self.done))

    def is_working(self) -> None:
        """Says that the work goes on between two time steps."""
        self._reporter.tell(Step, done=self.done)

    def _run(self, count: int) -> None:
        from lava.magma.core.run_conditions import RunSteps

        since = time.perf_counter()
        self._main.run(RunSteps(count))
        self.done += count
        self.is_working()
        self._count = max(1, int(count * min(8.0, SLICE_SECONDS / (time.perf_counter() - since))))


def build_windows(work: WindowsWork, reporter: Reporter) -> Built:
    """netx's network, its source connected; where the network draws by itself, nothing is.

    Raises:
        NetError, UnsupportedError, LatentsError: the file, a layer, or the spikes.
    """
    known = netx.look_at(work)
    reporter.be_patient(known.patience)
    if known.input_neuron:
        entry = work.label.format(number=0, kind="input")
        raise UnsupportedError(f"{entry} has a neuron, which netx drives by its bias: spikes cannot go in")
    offset = 1 if work.start is None else work.start
    network = netx.load_network(work, known, work.sample, reset_interval=work.steps, reset_offset=offset)
    total = offset - 1 + work.images * work.steps + len(network.layers)
    labels: dict[int, str] = {}
    if work.start is None:
        entering, label = source(work, network.inp.shape, total)
        entering.s_out.connect(network.inp)
        labels[id(entering)] = label
    layers = [BuiltLayer("latent", entering, 1)] if work.sampler is not None else []
    called = zip(known.labels, known.names, network.layers, strict=True)
    for first, (label, name, layer) in enumerate(called, offset + 1):
        labels |= netx.process_labels(label, layer)
        layers.append(BuiltLayer(name, layer.neuron, first))
    return Built(network, layers, labels, total, work.steps, from_power_on=work.start is not None)


def run(built: Built, work: LavaWork, reporter: Reporter) -> Any:
    """Runs to the end; gives v of the last layer as each image's window closes, ``(images, *layer shape)``."""
    import numpy as np

    last, pace, readout = built.layers[-1], Pace(built.main, reporter), []
    for image in range(work.images):
        end = (image + 1) * work.steps + last.first - 1
        # Without a readout process Lava has to stop where each image ends, for its potential to be read
        pace.run_to(end, built.total if work.read_by_process else end)
        if not work.read_by_process:
            readout.append(exact(last.process.v.get(), "readout").transpose())
        reporter.tell(Image, done=image + 1)
    return read_out(work) if work.read_by_process else np.stack(readout)
