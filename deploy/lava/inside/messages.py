"""What the two sides of a Lava run say to each other, as dataclasses; one JSON object each. Standard library alone.

Outside to inside goes a list of :class:`LavaWork`, in a file. Back come :class:`Event` objects, one a line, through a
pipe. Large arrays pass as ``.npy`` and ``.npz`` files by name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

__all__ = [
    "JOBS",
    "RESULT",
    "WORKER",
    "BoardError",
    "ConvSynapse",
    "CounterNode",
    "CurrentsNode",
    "Died",
    "DoneEvent",
    "Ended",
    "Event",
    "FailedEvent",
    "GraphWork",
    "Image",
    "ImageNode",
    "LatentsError",
    "LavaWork",
    "LayerNode",
    "NetError",
    "Node",
    "Ready",
    "Running",
    "SamplerInput",
    "SamplesWork",
    "SourceNode",
    "SparseSynapse",
    "StageEvent",
    "Step",
    "UnsupportedError",
    "WindowsWork",
    "decode_message",
    "encode_message",
]

#: File in the scratch folder that holds the list of work.
JOBS = "jobs.json"
#: File in a job's folder that holds ``readout`` and the traces, once it is done.
RESULT = "result.npz"
#: Number of the job where an event is the worker's own.
WORKER = -1


class LatentsError(ValueError):
    """The latents do not fit the network."""


class NetError(ValueError):
    """The ``.net`` file cannot be read."""


class UnsupportedError(ValueError):
    """The network holds something that is not run."""


class BoardError(RuntimeError):
    """There is no way to a board from here."""


@dataclass(frozen=True)
class SamplerInput:
    """A sampler in the graph: files with the registers' first states and the rate codes, ``(images, neurons)``; whether
    it is the systematic one."""

    states: str
    codes: str
    rate_bits: int
    taps: int
    systematic: bool


@dataclass(frozen=True)
class LavaWork:
    """One run of one network.

    Attributes:
        folder: for this job's files alone.
        images, steps: how many images or other samples, and the window of one.
        trace: whether the states of every layer at every step are recorded.
    """

    folder: str
    images: int
    steps: int
    trace: bool

    @property
    def read_by_process(self) -> bool:
        """Whether a Lava process reads the potentials at the end of each window, so that Lava need not stop there."""
        return False


@dataclass(frozen=True)
class WindowsWork(LavaWork):
    """A ``.net`` file in stock netx, windows back to back.

    Attributes:
        net: the file.
        sparse: have netx load dense layers as sparse ones.
        sample: shape of one step's input, ours.
        spikes: file of spikes ``(images, steps, *sample)``; None where there is a sampler, or nothing enters.
        sampler: in the graph, or None.
        label, array: how its layers and their arrays are called, with ``{number}`` and ``{kind}`` for a group's own.
        start: nothing enters: the first image begins so many time steps after power-on; None where something does.
    """

    net: str
    sparse: bool
    sample: tuple[int, ...]
    spikes: str | None
    sampler: SamplerInput | None
    label: str
    array: str
    start: int | None = None

    @property
    def read_by_process(self) -> bool:
        return self.sampler is not None


@dataclass(frozen=True)
class SamplesWork(LavaWork):
    """A ``.net`` file in stock netx, one sample after the other, each from rest.

    Attributes:
        net, sparse, label, array: as in :class:`WindowsWork`.
        layers: how many of the file's layer groups netx builds, or None for all.
        entering: file of spikes or frames ``(samples, steps, *input shape)``, or of images ``(samples, *input shape)``.
        driven: whether these are images, the biases of input neurons, or frames.
        framed: whether they are frames, which enter delta encoders.
        reset_interval, reset_offset, stagger: see :class:`sim.stimulus.Timing`.
    """

    net: str
    sparse: bool
    layers: int | None
    entering: str
    driven: bool
    framed: bool
    reset_interval: int | None
    reset_offset: int
    stagger: bool
    label: str
    array: str


@dataclass(frozen=True)
class Node:
    """A part of a graph; arrays by the name of their file in the job's folder, shapes and axes Lava's.

    Attributes:
        first: time step, from 1, at which it works on the first step of the first image.
    """

    first: int


@dataclass(frozen=True)
class SourceNode(Node):
    """Spikes enter: from a file, or from the sampler, whose rate codes come from the node before where ``counted``."""

    shape: tuple[int, ...]
    counted: bool
    name: str


@dataclass(frozen=True)
class CurrentsNode(Node):
    """Constant currents enter, ``(images, neurons)``."""

    currents: str


@dataclass(frozen=True)
class CounterNode(Node):
    """Counts the spikes of the node before it over each window."""

    shape: tuple[int, ...]
    rate_bits: int


@dataclass(frozen=True)
class ConvSynapse:
    """A convolution: kernels ``O kw kh I/groups``, pairs ``(x, y)``."""

    weight: str
    input_shape: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int


@dataclass(frozen=True)
class SparseSynapse:
    """A matrix ``(outputs, inputs)`` of compressed sparse rows."""

    data: str
    indices: str
    indptr: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class LayerNode(Node):
    """LIF neurons, behind synapses or, without, fed by the node before them.

    Attributes:
        name: in traces.
        title: in messages.
        bias, bias_exp: mantissa and exponent.
        current_decay, voltage_decay, threshold: as the chip has them; decays one number, or one for each neuron.
    """

    name: str
    title: str
    shape: tuple[int, ...]
    bias: str
    bias_exp: int
    current_decay: str
    voltage_decay: str
    threshold: int
    synapse: ConvSynapse | SparseSynapse | None


@dataclass(frozen=True)
class ImageNode(LayerNode):
    """Neurons without synapses whose bias is an image: mantissas ``(images, *shape)``."""


@dataclass(frozen=True)
class GraphWork(LavaWork):
    """A graph of the project's own making.

    Attributes:
        nodes: in the order in which spikes pass through them.
        total: time steps to run.
        synapses: how many weights are stored.
        target: ``cpu``, or ``loihi2`` for a board.
        spikes, sampler: as in :class:`WindowsWork`; both None where neither is in the graph.
    """

    nodes: tuple[Node, ...]
    total: int
    synapses: int
    target: str
    spikes: str | None
    sampler: SamplerInput | None

    @property
    def read_by_process(self) -> bool:
        return self.target == "cpu"


@dataclass(frozen=True)
class Event:
    """Something happened to a job, numbered from 0, or to the :data:`WORKER`, while it was in a stage."""

    job: int
    stage: str


@dataclass(frozen=True)
class StageEvent(Event):
    """A stage begins, or goes on; for it, ``allow`` seconds are added to the parent's patience."""

    allow: float


@dataclass(frozen=True)
class Ready(Event):
    """Lava is imported, in these versions."""

    versions: dict[str, str]


@dataclass(frozen=True)
class Running(Event):
    """Lava's processes, by name, have started to run ``total`` time steps."""

    processes: dict[str, int]
    images: int
    total: int
    allow: float


@dataclass(frozen=True)
class Step(Event):
    """So many time steps are done; or, after the last, the work goes on."""

    done: int


@dataclass(frozen=True)
class Image(Event):
    """So many images are done."""

    done: int


@dataclass(frozen=True)
class DoneEvent(Event):
    """The result is in its file."""

    seconds: dict[str, float]
    measured: dict[str, float]


@dataclass(frozen=True)
class FailedEvent(Event):
    """An exception was raised: its type's name, its text, its ``errno``, and all of it."""

    kind: str
    message: str
    errno: int | None
    traceback: str


@dataclass(frozen=True)
class Died(Event):
    """One of Lava's processes ended: by ``how``, ``signal`` or ``exit``, of that ``number``; with an ``exception``."""

    name: str
    pid: int
    how: str
    number: int
    exception: str


@dataclass(frozen=True)
class Ended(Event):
    """The job's own process ended without a word; as in :class:`Died`."""

    pid: int
    how: str
    number: int


_TAG = "is"
#: Types that are checked, by the name under which they are annotated.
_PLAIN: dict[str, Any] = {"int": int, "float": (int, float), "str": str, "bool": bool, "dict": dict, "tuple": tuple}
_KINDS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        *(SamplerInput, WindowsWork, SamplesWork, GraphWork),
        *(SourceNode, CurrentsNode, CounterNode, LayerNode, ImageNode, ConvSynapse, SparseSynapse),
        *(StageEvent, Ready, Running, Step, Image, DoneEvent, FailedEvent, Died, Ended),
    )
}


def encode_message(message: Any) -> str:
    """A message, or a list of them, as one line of JSON."""
    return json.dumps(message, default=_tagged)


def decode_message(text: str) -> Any:
    """What :func:`encode` was given; lists within messages come back as tuples.

    Raises:
        ValueError, TypeError, KeyError: this is no such line.
    """
    return json.loads(text, object_hook=_typed)


def _tagged(value: Any) -> dict[str, Any]:
    if not is_dataclass(value):
        raise TypeError(f"{type(value).__name__} is no part of a message")
    return {_TAG: type(value).__name__, **{each.name: getattr(value, each.name) for each in fields(value)}}


def _typed(found: dict[str, Any]) -> Any:
    if _TAG not in found:
        return found
    kind = _KINDS[found.pop(_TAG)]
    message = kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in found.items()})
    for each in fields(message):
        wanted = _PLAIN.get(str(each.type).partition("[")[0])
        if wanted is not None and not isinstance(getattr(message, each.name), wanted):
            raise TypeError(f"{kind.__name__}.{each.name}: expected {each.type}")
    return message
