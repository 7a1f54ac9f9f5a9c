"""Describes a Lava graph, node by node, for ``inside/nodes.py`` to build.

The one place where axis orders change between ours and Lava's processes:

==============  ============================  =======================================================
                ours                          Lava
==============  ============================  =======================================================
map             ``(C, H, W)``                 ``(W, H, C)``
conv kernel     ``O I/groups kh kw``          ``O kw kh I/groups``, flipped in both directions of space
pairs           ``(y, x)``                    ``(x, y)``
sparse layer    features, channels outermost  the same
==============  ============================  =======================================================
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from deploy.lava.inside.messages import (
    ConvSynapse,
    GraphWork,
    ImageNode,
    LayerNode,
    Node,
    SourceNode,
    SparseSynapse,
)
from deploy.lava.rates import Rates
from deploy.lava.unroll import unrolled
from deploy.plan import Plan, plan
from esvae.arrays import Integer, UInt8
from esvae.chip.formats import STATE_SHIFT
from esvae.errors import UnsupportedLayerError
from export.ir import INPUT_LABEL, Conv, FloatLif, Lif, Network, Shape, Synapse
from export.ir.labels import array_name
from sim.stimulus import Stimulus, as_stimulus, check_spikes

__all__ = ["UNROLL_BELOW", "Graph", "generator_graph", "graph_name", "image_graph"]

#: On a CPU: 8 million synapses take 64 MB and some 10 ms a step.
UNROLL_BELOW = 1 << 23


def graph_name(title: str) -> str:
    """What a layer is called in traces and the names of files, by its title in messages.

    >>> graph_name("layer 3 (conv)"), graph_name("encoder layer 3 (conv)")
    ('layer3', 'encoder3')
    """
    return array_name(title.replace(" layer ", " "))


@dataclass
class Graph:
    """What ``inside/nodes.py`` builds.

    Attributes:
        nodes: in the order in which spikes pass through them; arrays by the name of their file.
        arrays: by file name.
        shapes: ours, of what is recorded, by name.
        images, steps, total: images, window, and time steps to run.
        synapses: how many weights are stored.
        sampler: first states, codes and more of a sampler in the graph, or None.
        latents: spikes that enter instead, ``(images, steps, features)``, or None.
        unroll_below: convolutions with fewer synapses than this, once unrolled, become sparse matrices; 0 keeps all.
            Lava's convolution calls scipy once for each pair of channels and step, which a sparse product outruns by
            far; the chip would rather share its kernels.
    """

    images: int
    steps: int
    total: int = 0
    nodes: list[Node] = field(default_factory=list)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    synapses: int = 0
    sampler: Rates | None = None
    latents: UInt8[np.ndarray, "images steps *input"] | None = None
    unroll_below: int = UNROLL_BELOW

    def add_array(self, name: str, values: np.ndarray) -> str:
        """Keeps an array under ``name.npy`` and gives that."""
        self.arrays[f"{name}.npy"] = values
        return f"{name}.npy"

    def add_layers(self, network: Network, made: Plan, within: str = "") -> None:
        """Appends the network's layers, on the plan's clock, under their labels; ``within`` says of which network they
        are, where the graph holds several."""
        clocks = made.layers[network.input_neurons is not None :]
        for called, clock, (layer, before, after) in zip(network.labels, clocks, network.synapses(), strict=False):
            self.add_layer(layer, before, after, f"{within} {called}".strip(), clock.first)

    def add_layer(self, layer: Synapse, before: Shape, after: Shape, title: str, first: int) -> None:
        """Appends one layer: synapses, and LIF neurons that are reset at time step ``first`` and every window later."""
        as_map, name = self.keeps(layer, after), graph_name(title)
        if as_map and isinstance(layer, Conv):
            synapse: ConvSynapse | SparseSynapse = self._conv(layer, before, name)
        else:
            synapse = self._sparse(layer, before, name)
        self.add_neurons(layer.neuron, after, title, first, as_map=as_map, bias=layer.bias, synapse=synapse)

    def _conv(self, layer: Conv, before: Shape, name: str) -> ConvSynapse:
        kernel = layer.weight.astype(np.int32).transpose(0, 3, 2, 1)[:, ::-1, ::-1]
        self.synapses += layer.weight.size
        return ConvSynapse(
            self.add_array(f"{name}.weight", np.ascontiguousarray(kernel)),
            input_shape=before[::-1],
            stride=layer.stride[::-1],
            padding=layer.padding[::-1],
            dilation=layer.dilation[::-1],
            groups=layer.groups,
        )

    def _sparse(self, layer: Synapse, before: Shape, name: str) -> SparseSynapse:
        matrix = unrolled(layer, before)
        self.synapses += matrix.nnz
        data, indices, indptr = (
            self.add_array(f"{name}.{part}", getattr(matrix, part)) for part in ("data", "indices", "indptr")
        )
        return SparseSynapse(data, indices, indptr, matrix.shape)

    def keeps(self, layer: Synapse, after: Shape) -> bool:
        """Whether a layer stays a convolution in the graph: its neurons then form a map."""
        if not isinstance(layer, Conv):
            return False
        return math.prod(after) * math.prod(layer.weight.shape[1:]) >= self.unroll_below

    def add_neurons(
        self,
        neuron: Lif | FloatLif,
        shape: Shape,
        title: str,
        first: int,
        *,
        as_map: bool = False,
        bias: Integer[np.ndarray, " ..."] | None = None,
        synapse: ConvSynapse | SparseSynapse | None = None,
    ) -> None:
        """Appends neurons, behind synapses, fed directly by what comes before, or driven by images.

        Args:
            neuron: what they are.
            shape: ours.
            title, first: as in :meth:`add_layer`.
            as_map: whether they form a map in the graph.
            bias: one by channel or by neuron, or None; of input neurons images, ``(images, *shape)``.
            synapse: that they are behind.

        Raises:
            UnsupportedLayerError: neurons other than LIF.
        """
        if not isinstance(neuron, Lif):
            raise UnsupportedLayerError(f"{title} has {type(neuron).__name__} neurons, expected Lif")
        name = graph_name(title)
        driven = bias is not None and bias.ndim > len(shape)
        # of a map, channels are Lava's last axis, along which one decay for each spreads
        current, voltage = (neuron if as_map else neuron.spread(shape)).decays
        node = (ImageNode if driven else LayerNode)(
            first,
            name=name,
            title=title,
            shape=shape[::-1] if as_map else (math.prod(shape),),
            bias=self.add_array(f"{name}.bias", _biases(bias, shape, as_map=as_map)),
            bias_exp=STATE_SHIFT,
            current_decay=self.add_array(f"{name}.current_decay", current),
            voltage_decay=self.add_array(f"{name}.voltage_decay", voltage),
            threshold=neuron.threshold,
            synapse=synapse,
        )
        self.nodes.append(node)
        self.shapes[name] = shape

    def add_source(self, network: Network, start: int, *, counted: bool = False, name: str = "") -> None:
        """Appends what sends spikes into the network's first layer: the sampler where there is one, else a source."""
        layer, _, after = next(network.synapses())
        shape = network.input_shape
        as_map = self.keeps(layer, after)
        node_shape = shape[::-1] if as_map else (math.prod(shape),)
        self.nodes.append(SourceNode(start, node_shape, counted, name))
        if name:
            self.shapes[name] = shape if as_map else (math.prod(shape),)

    @property
    def last(self) -> str:
        """Name of the last layer, which is read out."""
        return next(reversed(self.shapes))

    def write(self, folder: Path, *, trace: bool, target: str) -> GraphWork:
        """Writes the arrays into a folder, and says what is to be done with them."""
        for name, values in self.arrays.items():
            np.save(folder / name, values)
        spikes = None
        if self.latents is not None:
            spikes = str(folder / "latents.npy")
            np.save(spikes, self.latents.reshape(*self.latents.shape[:2], -1))
        return GraphWork(
            str(folder),
            self.images,
            self.steps,
            trace,
            nodes=tuple(self.nodes),
            total=self.total,
            synapses=self.synapses,
            target=target,
            spikes=spikes,
            sampler=None if self.sampler is None else self.sampler.write(folder),
        )


def _biases(bias: np.ndarray | None, shape: Shape, *, as_map: bool) -> np.ndarray:
    """Biases in Lava's axis order, one for each neuron; of images as many times."""
    full = np.zeros((len(bias), *shape) if bias is not None and bias.ndim > len(shape) else shape, np.int32)
    if bias is not None:
        full += (bias if bias.ndim >= len(shape) else bias[:, None, None]).astype(np.int32)
    several = full.ndim - len(shape)
    if as_map:
        return np.ascontiguousarray(full.transpose(*range(several), *range(full.ndim - 1, several - 1, -1)))
    return full.reshape(*full.shape[:several], -1)


def image_graph(network: Network, images: np.ndarray, steps: int, *, unroll_below: int = UNROLL_BELOW) -> Graph:
    """Input neurons that images drive, each for a window, then the network's layers.

    Args:
        network: an integer network with input neurons, without delays.
        images: the biases of the input neurons, ``(images, *input shape)``.
        steps: window of an image.
        unroll_below: see :class:`Graph`.

    Raises:
        DataError: no images, no steps, or images that do not fit.
        UnsupportedLayerError: synapses with delays, or no input neurons.
    """
    neuron = None if network.input_neurons is None else network.input_neurons.neuron
    if not isinstance(neuron, Lif):
        raise UnsupportedLayerError(
            "the input layer has no integrate-and-fire neurons that images could drive; give spikes, or use "
            "--loader stock"
        )
    pixels = as_stimulus(network, Stimulus(None, images, steps)).values
    graph = Graph(len(pixels), steps, unroll_below=unroll_below)
    made = plan(network, graph.images, steps=steps)
    graph.total = made.total
    layer, _, after = next(network.synapses())
    as_map = graph.keeps(layer, after)
    graph.add_neurons(neuron, network.input_shape, INPUT_LABEL, made.layers[0].first, as_map=as_map, bias=pixels)
    graph.add_layers(network, made)
    return graph


def generator_graph(network: Network, entering: np.ndarray | Rates, *, unroll_below: int = UNROLL_BELOW) -> Graph:
    """Source or sampler, then the network's layers.

    Args:
        network: an integer network without delays.
        entering: spikes ``(images, steps, *input shape)``, or what the sampler needs to draw them.
        unroll_below: see :class:`Graph`.

    Raises:
        DataError: no images, no steps, or spikes that do not fit.
        UnsupportedLayerError: synapses with delays, or input neurons.
    """
    if network.input_neurons is not None:
        raise UnsupportedLayerError("the input layer has neurons, which images drive: give them to image_graph")
    if isinstance(entering, Rates):
        graph = Graph(entering.images, entering.steps, sampler=entering, unroll_below=unroll_below)
    else:
        latents = check_spikes(network, entering)
        images, steps = latents.shape[:2]
        graph = Graph(images, steps, latents=latents, unroll_below=unroll_below)
    made = plan(network, graph.images, steps=graph.steps)
    graph.total = made.total
    graph.add_source(network, made.start, name="" if graph.sampler is None else "latent")
    graph.add_layers(network, made)
    return graph
