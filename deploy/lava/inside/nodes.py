"""Builds a Lava graph from the project's own nodes, with no netx and no dense array.

``graph.py``, on the other side, says what the nodes hold. Arrays lie in ``.npy`` files, in Lava's axis order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .built import Built, BuiltLayer
from .messages import (
    ConvSynapse,
    CounterNode,
    CurrentsNode,
    GraphWork,
    ImageNode,
    LayerNode,
    Node,
    SourceNode,
    SparseSynapse,
)
from .reporter import Reporter
from .sources import source

__all__ = ["build_graph"]

SECONDS_PER_SYNAPSE = 1e-6  # patience while building and compiling, per synapse
# Spikes are 0 or 1; told of message bits, Lava multiplies by the matrix instead of picking columns out of it, which
# gives the same integers sooner. With one weight bit more than the chip has for both signs, odd weights stay odd.
SIMULATED_SYNAPSE = {"num_message_bits": 1, "num_weight_bits": 9}


def build_graph(work: GraphWork, reporter: Reporter, board: Any = None) -> Built:
    """The chain of processes that the nodes list, each fed by the one before it.

    Args:
        work: what is to be run.
        reporter: told how patient the parent must be.
        board: the module ``loihi2.py`` where the layers are to be on a board, else None.

    Raises:
        LatentsError: spikes that do not fit.
    """
    reporter.be_patient(work.synapses * SECONDS_PER_SYNAPSE)
    chain = _Chain(work, board)
    for node in work.nodes:
        chain.add(node)
    return Built(chain.processes[-1], chain.layers, chain.labels, work.total, work.steps, chain.processes)


class _Chain:
    """The processes so far, and the port that the last of them sends from."""

    def __init__(self, work: GraphWork, board: Any) -> None:
        self.work = work
        self.board = board
        self.processes: list[Any] = []
        self.layers: list[BuiltLayer] = []
        self.labels: dict[int, str] = {}
        self.out: Any = None

    def add(self, node: Node) -> None:
        """Appends the process of one node."""
        if isinstance(node, SourceNode):
            self._add_source(node)
        elif isinstance(node, CurrentsNode):
            self._add_currents(node)
        elif isinstance(node, CounterNode):
            self._add_counter(node)
        elif isinstance(node, LayerNode):
            self._add_layer(node)
        else:
            raise TypeError(f"a {type(node).__name__} is no node of a graph")

    def _keep(self, process: Any, label: str, out: Any) -> None:
        self.processes.append(process)
        self.labels[id(process)] = label
        self.out = out

    def _add_source(self, node: SourceNode) -> None:
        process, label = source(self.work, node.shape, self.work.total, first=node.first, counted=node.counted)
        if self.out is not None:
            self.out.connect(process.rate_in)
        if node.name:
            self.layers.append(BuiltLayer(node.name, process, node.first))
        self._keep(process, label, process.s_out if self.board is None else self.board.onto_chip(process.s_out))

    def _add_currents(self, node: CurrentsNode) -> None:
        from .processes.currents import CurrentSource

        process = CurrentSource(currents=self._array(node.currents), steps=self.work.steps, first=node.first)
        self._keep(process, "current source", process.a_out)

    def _add_counter(self, node: CounterNode) -> None:
        from .processes.counter import RateCounter

        process = RateCounter(shape=node.shape, steps=self.work.steps, rate_bits=node.rate_bits, first=node.first)
        _flat(self.out).connect(process.s_in)
        self._keep(process, "spike counter", process.rate_out)

    def _add_layer(self, node: LayerNode) -> None:
        """Synapses, and the LIF neurons behind them; the neurons are what counts."""
        neuron = self._neurons(node)
        if node.synapse is None:
            if self.out is not None:
                self.out.connect(neuron.a_in)
        else:
            synapse = self._synapse(node.synapse)
            self.labels[id(synapse)] = f"{node.title} synapse"
            synapse.a_out.connect(neuron.a_in)
        self.layers.append(BuiltLayer(node.name, neuron, node.first))
        self._keep(neuron, f"{node.title} neuron", neuron.s_out)

    def _neurons(self, node: LayerNode) -> Any:
        """Lava's LIF neurons, reset at the start of each window."""
        given = {
            "shape": node.shape,
            "du": self._array(node.current_decay)[()] - 1,  # Lava's model takes one part in 4096 more than it is told
            "dv": self._array(node.voltage_decay)[()],
            "vth": node.threshold,
            "bias_exp": node.bias_exp,
        }
        bias = self._array(node.bias)
        if isinstance(node, ImageNode):
            from .processes.image_neurons import ImageNeurons

            return ImageNeurons(pixels=bias, steps=self.work.steps, first=node.first, **given)
        from lava.proc.lif.process import LIFReset

        resets = {"reset_interval": self.work.steps, "reset_offset": node.first % self.work.steps}
        return LIFReset(bias_mant=bias, **resets, **given)

    def _synapse(self, given: ConvSynapse | SparseSynapse) -> Any:
        """Connected to what comes before."""
        if isinstance(given, ConvSynapse):
            from lava.proc.conv.process import Conv

            synapse = Conv(
                weight=self._array(given.weight),
                input_shape=given.input_shape,
                padding=given.padding,
                stride=given.stride,
                dilation=given.dilation,
                groups=given.groups,
            )
            _as_map(self.out, given.input_shape).connect(synapse.s_in)
            return synapse
        from lava.proc.sparse.process import Sparse
        from lava.utils.weightutils import SignMode
        from scipy.sparse import csr_matrix

        parts = tuple(self._array(name) for name in (given.data, given.indices, given.indptr))
        bits = SIMULATED_SYNAPSE if self.board is None else self.board.BOARD_SYNAPSE
        synapse = Sparse(weights=csr_matrix(parts, shape=given.shape), sign_mode=SignMode.MIXED, **bits)
        _flat(self.out).connect(synapse.s_in)
        return synapse

    def _array(self, name: str) -> Any:
        import numpy as np

        return np.load(Path(self.work.folder, name))


def _flat(out: Any) -> Any:
    """An output port with its values in flat ``CHW`` order."""
    return out.transpose((2, 1, 0)).flatten() if len(out.shape) == 3 else out


def _as_map(out: Any, shape: tuple[int, ...]) -> Any:
    """An output port with its values as a map ``(W, H, C)`` of ``shape``."""
    if len(out.shape) == 3:
        return out
    return out.reshape(tuple(reversed(shape))).transpose((2, 1, 0))
