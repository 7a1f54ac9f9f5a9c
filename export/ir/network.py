"""The network between PyTorch and the chip: frozen nodes that hold arrays in torch's axis order.

A :class:`Network` is integer: every weight, bias, threshold and decay is what the chip's registers hold. It is checked
once, when it is made, so that the writers and the simulator can rely on it. The same nodes with float arrays and
a :class:`FloatLif` make up a :class:`~export.ir.floats.FloatNetwork`, from which the passes produce it.

Axis order is torch's everywhere: ``C H W`` for maps, ``O I/groups kh kw`` for kernels, ``(y, x)`` for pairs.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property

import numpy as np

from esvae.chip.formats import (
    BIAS,
    DECAY,
    DEFAULT_RATE_BITS,
    DELAY,
    SIGMA_THRESHOLD,
    STATE_LIMIT,
    THRESHOLD,
    WEIGHT,
    SpikeLaw,
)
from esvae.chip.neuron import INTEGRATOR, NEVER_FIRES, Lif
from esvae.chip.sigma_delta import Delta, Sigma, SigmaDelta
from esvae.errors import HardwareRangeError, NetFileError, UnsupportedLayerError
from export.ir import limits
from export.ir.bounds import largest_sum
from export.ir.checks import check_bias, check_entry, shape_behind
from export.ir.generator import (
    CircuitPrior,
    ImageReadout,
    Prior,
    SpikeReadout,
    check_circuit,
    check_prior,
    check_readout,
    check_spike_readout,
)
from export.ir.labels import FIRST_GROUP, INPUT_LABEL, array_name, in_short, layer_labels
from export.ir.nodes import (
    UNHASHED_DEFAULT,
    Dense,
    Flatten,
    InputNeurons,
    Layer,
    Neuron,
    RecurrentDense,
    Shape,
    Synapse,
    all_weights,
    is_graded,
)

#: Numbers of a large array that are widened at a time.
_BLOCK = 1 << 20

__all__ = ["Network"]


@dataclass(frozen=True, eq=False)
class Network:
    """An integer spiking network, checked when made.

    Attributes:
        input_shape: ``(C, H, W)`` or ``(features,)`` of the spikes that enter at each step.
        layers: in the order in which spikes pass through them.
        time_steps: the window of one image, in steps; None where the file does not say.
        prior, readout: what makes a generator of it, or None.
        spike_readout: how its pixels tell their potentials by spikes; None where these are read.
        provenance: free text by key: versions, hashes, config. Not part of the content hash.
        input_neurons: neurons of the input layer, which take images instead of spikes, or None.
        first_group: number of the file's group that the first layer is; 0 where a file has no input group. Labels
            depend on it, not what the network computes.
        beside: how many of the first layers the file holds beside its own, as a circuit; the groups count behind them.

    Raises:
        NetFileError: shapes that do not fit together.
        HardwareRangeError: a number that the chip's registers do not hold.
        UnsupportedLayerError: messages through recurrent synapses.
    """

    input_shape: Shape
    layers: tuple[Layer[Neuron], ...]
    time_steps: int | None = None
    prior: Prior | CircuitPrior | None = None
    readout: ImageReadout | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
    input_neurons: InputNeurons | None = None
    first_group: int = FIRST_GROUP
    spike_readout: SpikeReadout | None = None
    beside: int = 0

    def __post_init__(self) -> None:
        check_entry(self.input_shape, self.time_steps)
        if self.depth == 0:
            raise NetFileError("the network has no layer with neurons")
        if self.input_neurons is not None:
            _check_neuron(self.input_neurons.neuron, INPUT_LABEL)
        shape, behind = self.input_shape, None
        for where, layer in zip(self.all_labels, self.layers, strict=True):
            before = shape
            shape = shape_behind(layer, before, where)
            if not isinstance(layer, Flatten):
                if (problem := limits.layer_problem(layer, before, shape)) is not None:
                    raise NetFileError(f"{where}: {problem}")
                _check_synapse(layer, shape, behind, where)
                behind = layer.neuron
        if self.time_steps is not None:
            problem = self.window_problem(self.time_steps)
            if problem is not None:
                raise NetFileError(problem)
        if self.spike_readout is not None:
            if self.readout is None:
                raise NetFileError("spike readout: the network has no readout, whose pictures its spikes would be")
            check_spike_readout(self.spike_readout, math.prod(self.input_shape), shape, self.time_steps or 0)
        if isinstance(self.prior, CircuitPrior):
            check_circuit(self.prior, self.input_shape)
            drawing: tuple[Synapse[Neuron], ...] = self.prior.synapses
            beside = 0 if self.follows_dense else len(drawing)
            for where, synapse in zip(layer_labels(drawing, beside=beside), drawing, strict=True):
                _check_synapse(synapse, (synapse.outputs,), synapse.neuron, where)
        elif self.prior is not None:
            check_prior(self.prior, self.latents)
        if self.readout is not None:
            check_readout(self.readout, shape)

    def window_problem(self, steps: int) -> str | None:
        """What is too large about a run of so many steps, or None."""
        if (problem := limits.window_problem(None, (), self.input_shape, steps)) is not None:
            return f"{INPUT_LABEL}: {problem}"
        for where, (layer, before, after) in zip(self.labels, self.synapses(), strict=True):
            if (problem := limits.window_problem(layer, before, after, steps)) is not None:
                return f"{where}: {problem}"
        return None

    def __repr__(self) -> str:
        return f"Network({self.summary})"

    @property
    def summary(self) -> str:
        """Shapes and window in one line, such as ``8x1x1 -> 4x4x4 -> 4x4x4, 2 steps``."""
        return in_short((self.input_shape, *self.shapes), self.time_steps)

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Output shape of every layer, in order."""
        shapes = []
        shape = self.input_shape
        for layer in self.layers:
            shape = layer.output_shape(shape)
            shapes.append(shape)
        return tuple(shapes)

    def synapses(self) -> Iterator[tuple[Synapse[Neuron], Shape, Shape]]:
        """Each layer that has a neuron, with its input shape and its output shape, in file order."""
        shape = self.input_shape
        for layer, after in zip(self.layers, self.shapes, strict=True):
            if not isinstance(layer, Flatten):
                yield layer, shape, after
            shape = after

    @property
    def follows_dense(self) -> bool:
        """Whether netx connects it behind a dense layer, as a circuit ends in: it connects no convolution there."""
        return all(isinstance(layer, Dense | RecurrentDense) for layer in self.layers)

    @property
    def graded(self) -> tuple[bool, ...]:
        """For each layer of :meth:`synapses`, whether messages enter it, and not spikes."""
        neurons = [layer.neuron for layer, _, _ in self.synapses()]
        first = None if self.input_neurons is None else self.input_neurons.neuron
        return tuple(is_graded(neuron) for neuron in (first, *neurons[:-1]))

    @property
    def sends_messages(self) -> bool:
        """Whether any of its neurons send messages, and not spikes."""
        neurons = [layer.neuron for layer, _, _ in self.synapses()]
        first = None if self.input_neurons is None else self.input_neurons.neuron
        return any(map(is_graded, (first, *neurons)))

    @property
    def frame_encoder(self) -> Delta | None:
        """Its input neurons where frames enter it, which may be others at every step; None where none do."""
        first = None if self.input_neurons is None else self.input_neurons.neuron
        return first if isinstance(first, Delta) else None

    @property
    def all_labels(self) -> tuple[str, ...]:
        """What each layer is called, flatten layers included; see :mod:`export.ir.labels`."""
        return layer_labels(self.layers, self.first_group, self.beside)

    @property
    def labels(self) -> tuple[str, ...]:
        """What each layer of :meth:`synapses` is called, such as ``layer 3 (conv)``."""
        named = zip(self.all_labels, self.layers, strict=True)
        return tuple(name for name, layer in named if not isinstance(layer, Flatten))

    @property
    def neuron_labels(self) -> tuple[str, ...]:
        """The labels of all that has neurons: those of :attr:`labels`, behind input neurons where there are any."""
        return (*(() if self.input_neurons is None else (INPUT_LABEL,)), *self.labels)

    @property
    def array_names(self) -> tuple[str, ...]:
        """What the arrays of each of these are called in traces and ONNX files, such as ``layer3``."""
        return tuple(map(array_name, self.neuron_labels))

    @property
    def latents(self) -> int:
        """Inputs that the image enters by: all but those that drive the read phase of a spike readout."""
        return math.prod(self.input_shape) - (0 if self.spike_readout is None else self.spike_readout.drives)

    @property
    def image_steps(self) -> int | None:
        """Steps of the window in which the image enters: all but the read phase of a spike readout."""
        if self.time_steps is None or self.spike_readout is None:
            return self.time_steps
        return self.time_steps - self.spike_readout.steps

    @property
    def rate_bits(self) -> int:
        """Fractional bits of the rate codes that spikes are drawn from."""
        return self.prior.rate_bits if isinstance(self.prior, Prior) else DEFAULT_RATE_BITS

    @property
    def sampler(self) -> SpikeLaw:
        """How rate codes become spikes."""
        return self.prior.sampler if isinstance(self.prior, Prior) else "poisson"

    @property
    def depth(self) -> int:
        """Number of layers with neurons, input neurons included."""
        return sum(not isinstance(layer, Flatten) for layer in self.layers) + (self.input_neurons is not None)

    def content_hash(self) -> str:
        """SHA-256 over everything that decides what the network computes; provenance is left out."""
        return self._hash

    @cached_property
    def _hash(self) -> str:
        digest = hashlib.sha256()
        digest.update(json.dumps([self.input_shape, self.time_steps]).encode())
        first = () if self.input_neurons is None else (self.input_neurons,)
        prior = (*self.prior.synapses, self.prior.layout) if isinstance(self.prior, CircuitPrior) else (self.prior,)
        told = () if self.spike_readout is None else (self.spike_readout,)
        for node in (*first, *self.layers, *prior, self.readout, *told):
            digest.update(type(node).__name__.encode())
            for item in fields(node) if node is not None else ():
                value = getattr(node, item.name)
                if item.metadata == UNHASHED_DEFAULT and not isinstance(value, np.ndarray) and value == item.default:
                    continue
                digest.update(item.name.encode())
                if isinstance(value, np.ndarray):
                    digest.update(json.dumps(value.shape).encode())
                    flat = np.ascontiguousarray(value).reshape(-1)
                    for start in range(0, flat.size, _BLOCK):  # the canonical numbers are wider than those kept
                        part = flat[start : start + _BLOCK]
                        digest.update(part.astype("<i8" if value.dtype.kind in "iu" else "<f8").tobytes())
                else:
                    digest.update(repr(value).encode())
        return digest.hexdigest()


def _check_neuron(neuron: Neuron | Delta, where: str, features: Shape | None = None) -> None:
    """Raises unless the chip holds it; ``features`` counts those whose decays may differ, ``(1,)``, or is None."""
    if isinstance(neuron, SigmaDelta | Delta):
        SIGMA_THRESHOLD.check(neuron.threshold, where, "a sigma-delta state holds no more")
    elif isinstance(neuron, Lif):
        for name, decays in zip(("current", "voltage"), neuron.decays, strict=True):
            if decays.ndim and decays.shape != features:
                given = f"{where}: {len(decays)} {name} decays"
                raise NetFileError(
                    f"{given}, expected one, or one for each neuron of a dense layer or channel of a map"
                )
            DECAY.check(decays, f"{where} {name}", "parts of 4096 lost each step")
        if neuron != INTEGRATOR and neuron.threshold != NEVER_FIRES:
            THRESHOLD.check(neuron.threshold, where, "use a smaller weight scale for the layer")
    elif not isinstance(neuron, Sigma):  # a caller without types
        raise HardwareRangeError(f"{where}: neuron is float; quantize the network first")


def _check_synapse(layer: Synapse[Neuron], shape: Shape, behind: object, where: str) -> None:
    _check_neuron(layer.neuron, where, shape[:1])
    if isinstance(layer.neuron, Sigma) and layer.bias is not None:
        raise NetFileError(f"{where}: a sigma output with a bias, for which it has no place; netx raises TypeError")
    if isinstance(layer, RecurrentDense) and (is_graded(layer.neuron) or is_graded(behind)):
        raise UnsupportedLayerError(f"{where}: recurrent synapses that carry messages are not modelled; spikes are")
    WEIGHT.check(all_weights(layer), where, "use a smaller weight scale")
    if isinstance(layer, Dense) and layer.delay is not None:
        DELAY.check(layer.delay, where, "netx clamps longer delays in silence; train with max_delay=62")
    if layer.bias is not None:
        BIAS.check(layer.bias, where, "use a smaller weight scale for the layer")
    check_bias(layer, shape, where)
    most = largest_sum(layer)
    # Messages of a sigma output have 32 bit, others 26: their products with weights then add up to below 2^53.
    limit = STATE_LIMIT >> isinstance(behind, Sigma)
    if most >= limit:
        raise HardwareRangeError(f"{where}: weights of one neuron sum to {most}, above {limit - 1}; split it")
