"""What a layer is called, in every message, table, picture and file: ``layer 3 (conv)``.

The number is that of its group in the ``.net`` file, ``layer/3``: flatten layers count, and so does the input, which
is group 0 of every file that this project writes. The kind is the group's ``type``, as netx names it. A network that
no file holds yet is called as the file that it is written to will call it; one as it was trained, whose layers lowering
may change, as a file that holds them as they are. Layers of a circuit that the file holds beside its own, in
``esvae/circuit/layer/1``, are ``circuit 1 (dense_rec)``, so that a number names one layer alone.

Arrays of a layer, in traces and ONNX files, are called by the same number: ``layer3.v``, ``circuit1.v``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

__all__ = [
    "BESIDE",
    "FIRST_GROUP",
    "INPUT_LABEL",
    "OWN",
    "HasKind",
    "array_name",
    "in_short",
    "label",
    "layer_labels",
    "names_in",
]

#: The group of the first layer behind the input, in the files that this project writes.
FIRST_GROUP = 1
#: Within what the file's own layers count, and within what those count that it holds beside them.
OWN, BESIDE = "layer", "circuit"


class HasKind(Protocol):
    """A layer whose type netx has a name for."""

    @property
    def kind(self) -> str:
        """``conv``, ``convT``, ``dense`` or ``flatten``."""


def label(number: int | str, kind: str | None = None, *, within: str = OWN) -> str:
    """A layer's label; without its kind where that is not known; ``within`` says among what the number counts.

    >>> label(3, "conv")
    'layer 3 (conv)'
    """
    return f"{within} {number}" if kind is None else f"{within} {number} ({kind})"


def layer_labels(layers: Iterable[HasKind], first: int = FIRST_GROUP, beside: int = 0) -> tuple[str, ...]:
    """One label for each of a network's layers, flatten layers included.

    Args:
        layers: all of them.
        first: group of the first that lies among the file's layers.
        beside: how many before it the file holds beside these, as a circuit.
    """
    found = list(layers)
    drawing = (label(number, layer.kind, within=BESIDE) for number, layer in enumerate(found[:beside], FIRST_GROUP))
    return (*drawing, *(label(number, layer.kind) for number, layer in enumerate(found[beside:], first)))


def names_in(trained: Sequence[str], held: Sequence[str]) -> tuple[str, ...]:
    """What each layer of a network as it was trained is called beside a file: as the file calls the layer whose neurons
    it became; where that cannot be told, it is said to be the float network's own.

    Args:
        trained: labels of the layers with neurons, as trained.
        held: those of the file.

    >>> names_in(["layer 1 (conv)", "layer 3 (convT)"], ["layer 1 (dense)", "layer 2 (dense)"])
    ('layer 1 (dense)', 'layer 2 (dense)')
    >>> names_in(["layer 2 (convT)"], [])
    ('float layer 2 (convT)',)
    """
    return tuple(held) if len(held) == len(trained) else tuple(f"float {name}" for name in trained)


def array_name(label: str) -> str:
    """What arrays of a layer are called, before what they hold.

    >>> array_name("layer 3 (conv)")
    'layer3'
    """
    return label.partition(" (")[0].replace(" ", "")


def in_short(shapes: Iterable[tuple[int, ...]], time_steps: int | None) -> str:
    """The shapes that pass through a network, and its window, in one line.

    >>> in_short([(8, 1, 1), (4, 4, 4)], 2)
    '8x1x1 -> 4x4x4, 2 steps'
    """
    through = " -> ".join("x".join(map(str, shape)) for shape in shapes)
    return through if time_steps is None else f"{through}, {time_steps} steps"


#: What input neurons are called.
INPUT_LABEL = label(0, "input")
