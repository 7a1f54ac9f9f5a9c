"""One sample after the other, each from rest: any file, spikes, images or frames, any resets, on either clock.

Between two samples all states and what the synapses hold back are set to zero. Staggered, all layers start at the first
time step and run on their biases until a spike arrives. Aligned, layer k must be at rest when the sample reaches it, so
its bias is set at that very time step.
"""

from __future__ import annotations

import itertools
from typing import Any

from . import netx
from .built import Built, BuiltLayer
from .messages import Image, SamplesWork
from .record import exact
from .reporter import Reporter
from .sources import fitted
from .windows import Pace

__all__ = ["Samples"]


class Samples:
    """Builds and runs one piece of work."""

    def __init__(self, work: SamplesWork) -> None:
        import numpy as np

        self.work = work
        self.given = np.load(work.entering)
        self.layers: list[Any] = []
        self.drives: list[list[Any]] = []

    def build(self, reporter: Reporter) -> Built:
        """netx's network, with its resets where the work wants them.

        Raises:
            NetError, UnsupportedError, LatentsError: the file, a layer, or the spikes.
        """
        import numpy as np

        work = self.work
        known = netx.look_at(work, work.layers)
        reporter.be_patient(known.patience)
        # Aligned by sample, netx's clock for resets is a step ahead of the first layer where spikes enter by a synapse.
        shift = 0 if work.stagger or work.driven else 1
        network = netx.load_network(
            work,
            known,
            self.given.shape[1 if work.driven and not work.framed else 2 :],
            num_layers=work.layers,
            reset_interval=work.reset_interval,
            reset_offset=work.reset_offset + shift,
        )
        self.layers = network.layers
        leads = [0 if work.stagger else k + (not work.driven) for k in range(len(self.layers))]
        period = work.steps + max(leads)
        period += -period % (work.reset_interval or 1)  # so that every sample meets the resets at the same steps
        pictures = self.given.transpose(0, *range(self.given.ndim - 1, 0, -1))
        for k, layer in enumerate(self.layers):
            bias = _bias(layer)
            if bias is None:
                self.drives.append([])
                continue
            pixels = work.driven and not work.framed and k == 0
            self.drives.append(list(pictures) if pixels else [_spread(bias)] * work.images)
            bias.init = np.broadcast_to(self.drives[k][0] if leads[k] == 0 else 0, bias.shape)
        built = Built(network, [], {}, work.images * period, period)
        if work.framed or not work.driven:
            raster = np.zeros((work.images, period, *self.given.shape[2:]), self.given.dtype)
            raster[:, : work.steps] = self.given
            port = self.layers[0].neuron.a_in if work.framed else network.inp
            built.kept.append(_recording(fitted(raster, port.shape), port, built.labels))
        for label, name, lead, layer in zip(known.labels, known.names, leads, self.layers, strict=True):
            built.labels |= netx.process_labels(label, layer)
            built.layers.append(BuiltLayer(name, layer.neuron, lead + 1))
        return built

    def run(self, built: Built, reporter: Reporter) -> Any:
        """Runs to the end; gives v of the last layer as each sample ends, ``(samples, *layer shape)``."""
        import numpy as np

        leads = [layer.first - 1 for layer in built.layers]
        last = built.layers[-1]
        ends = last.first - 1 + self.work.steps
        marks = sorted({0, *leads, ends, built.period})
        pace, readout = Pace(built.main, reporter), []
        for sample in range(self.work.images):
            if sample:
                for variable in itertools.chain.from_iterable(map(_held_back, self.layers)):
                    _put(variable, 0)
                    pace.is_working()
            for begin, end in itertools.pairwise(marks):
                if pace.done:  # the first were put in before Lava started
                    for layer, lead, drives in zip(self.layers, leads, self.drives, strict=True):
                        if drives and (begin == 0 or begin == lead):
                            _put(_bias(layer), drives[sample] if lead <= begin else 0)
                            pace.is_working()
                until = sample * built.period + end
                pace.run_to(until, until)
                if end == ends:
                    readout.append(exact(last.potential.get(), "readout").transpose())
            reporter.tell(Image, done=sample + 1)
        return np.stack(readout)


def _recording(data: Any, port: Any, labels: dict[int, str]) -> Any:
    """A process that sends ``data`` into a port."""
    from lava.proc.io.source import RingBuffer

    process = RingBuffer(data=data)
    process.s_out.connect(port)
    labels[id(process)] = "spike source"
    return process


def _spread(variable: Any) -> Any:
    """The values with which a variable starts, one for each element, as Lava's builder assigns them."""
    import numpy as np

    values = np.empty(variable.shape, np.int32)
    values[...] = variable.init
    return values


def _bias(layer: Any) -> Any:
    """The variable that holds the biases of a layer's neurons; None where they have none, as Delta and Sigma."""
    return getattr(layer.neuron, "bias_mant", getattr(layer.neuron, "bias", None))


def _held_back(layer: Any) -> list[Any]:
    """The variables of a layer that carry something from one step to the next."""
    holders = [(layer.neuron, name) for name in ("u", "v", "sigma", "act", "residue")]
    synapses = [getattr(layer, name, None) for name in ("synapse", "synapse_rec")]
    holders += [(synapse, name) for synapse in synapses for name in ("a_buf", "a_buff")]
    found = [getattr(holder, name, None) for holder, name in holders]
    return [variable for variable in found if variable is not None]


def _put(variable: Any, values: Any) -> None:
    """Sets a variable of a paused run, and reads it back, since setting alone does not wait until it is done.

    Each costs 15 microseconds a number: seconds for a large layer.
    """
    import numpy as np

    variable.set(np.ascontiguousarray(np.broadcast_to(values, variable.shape)))
    variable.get()
