"""Small NIR graphs in memory, for tests."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from export.nir.read import NirGraph, NirNode

__all__ = ["chained", "node"]


def node(name: str, kind: str, **values: Any) -> NirNode:
    """A node; of its values, texts stay texts."""
    return NirNode(name, kind, {k: v if isinstance(v, str) else np.asarray(v, np.float64) for k, v in values.items()})


def chained(
    *nodes: NirNode, shape: tuple[int, ...] = (2,), more: tuple[NirNode, ...] = (), edges: str = ""
) -> NirGraph:
    """Nodes one behind the other, between an input of a shape and an output.

    Args:
        nodes: in order.
        shape: of the input.
        more: nodes beside the chain.
        edges: further ones, as in ``lif>v>lif input>v``.
    """
    every = [node("input", "Input", shape=shape), *nodes, node("output", "Output", shape=[1, 1, 2])]
    paths = [[each.name for each in every], *(path.split(">") for path in edges.split())]
    pairs = tuple(pair for path in paths for pair in pairwise(path))
    return NirGraph({each.name: each for each in (*every, *more)}, pairs)
