"""What a layer is called, in every message, table, picture and file: ``layer 3 (conv)``.

The number is that of its group in the ``.net`` file, ``layer/3``: flatten layers count, and so does the input, which
is group 0 of every file that this project writes. The kind is the group's ``type``, as netx names it. A network that
no file holds yet is called as the file that it is written to will call it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

__all__ = ["FIRST_GROUP", "INPUT_LABEL", "HasKind", "in_short", "label", "layer_labels"]

#: The group of the first layer behind the input, in the files that this project writes.
FIRST_GROUP = 1


class HasKind(Protocol):
    """A layer whose type netx has a name for."""

    @property
    def kind(self) -> str:
        """``conv``, ``convT``, ``dense`` or ``flatten``."""


def label(number: int, kind: str | None = None) -> str:
    """A layer's label; without its kind where that is not known.

    >>> label(3, "conv")
    'layer 3 (conv)'
    """
    return f"layer {number}" if kind is None else f"layer {number} ({kind})"


def layer_labels(layers: Iterable[HasKind], first: int = FIRST_GROUP) -> tuple[str, ...]:
    """One label for each of a network's layers, flatten layers included; ``first`` is the group of the first."""
    return tuple(label(number, layer.kind) for number, layer in enumerate(layers, start=first))


def in_short(shapes: Iterable[tuple[int, ...]], time_steps: int | None) -> str:
    """The shapes that pass through a network, and its window, in one line.

    >>> in_short([(8, 1, 1), (4, 4, 4)], 2)
    '8x1x1 -> 4x4x4, 2 steps'
    """
    through = " -> ".join("x".join(map(str, shape)) for shape in shapes)
    return through if time_steps is None else f"{through}, {time_steps} steps"


#: What input neurons are called.
INPUT_LABEL = label(0, "input")
