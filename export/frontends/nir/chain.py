"""A graph as the chain that a file for the chip can hold: node behind node, neurons with synapses onto themselves.

1. Graphs within the graph are opened: an edge to one leads to its input, an edge from one comes from its output.
2. Synapses that lead from neurons back to the same neurons, or such an edge itself, are taken off as their recurrence.
3. What is left must lead from the one input to the one output without a branch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from esvae.errors import NetFileError, UnsupportedLayerError
from export.nir.read import NirGraph, NirNode

__all__ = ["NEURONS_OF_NIR", "ChainNode", "chain"]

#: Nodes that hold a state, or a threshold.
NEURONS_OF_NIR = ("LIF", "CubaLIF", "IF", "LI", "CubaLI", "I", "Threshold")
_BACK = ("Linear", "Affine", "Scale")
_INPUT, _OUTPUT = "Input", "Output"


@dataclass(frozen=True, eq=False)
class ChainNode:
    """A node of the chain.

    Attributes:
        node: it.
        recurrent: synapses by which its spikes come back to it a step later; the node itself where they come back as
            they are; None where they do not.
    """

    node: NirNode
    recurrent: NirNode | None = None


@dataclass
class _Flat:
    nodes: dict[str, NirNode]
    edges: set[tuple[str, str]]


def chain(graph: NirGraph) -> tuple[NirNode, list[ChainNode]]:
    """The input node, and what is behind it in order, the output node left out.

    Raises:
        NetFileError: edges to nodes that are not there, no input or output, or nodes that nothing reaches.
        UnsupportedLayerError: a branch, or a recurrence around more than one layer.
    """
    flat = _Flat(*_opened(graph))
    first = _only(flat, _INPUT)
    last = _only(flat, _OUTPUT)
    back = _without_recurrence(flat)
    after = _followers(flat.edges)
    seen: list[ChainNode] = []
    place = first.name
    while True:
        targets = after.get(place, [])
        if not targets:
            raise NetFileError(f"node '{place}' leads nowhere; expected a path to the output '{last.name}'")
        if len(targets) > 1:
            raise UnsupportedLayerError(
                f"node '{place}' leads to {_names(targets)}; branches are not supported, only one path from input to "
                "output, and neurons with synapses onto themselves"
            )
        place = targets[0]
        if place == last.name:
            break
        if len(seen) >= len(flat.nodes):
            raise UnsupportedLayerError(
                f"node '{place}': a loop around several layers, which the chip's file cannot hold"
            )
        seen.append(ChainNode(flat.nodes[place], back.get(place)))
    unreached = set(flat.nodes) - {stage.node.name for stage in seen} - {first.name, last.name}
    if unreached:
        raise UnsupportedLayerError(
            f"{_names(sorted(unreached))}: beside the path from input to output; branches are not supported"
        )
    return first, seen


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _only(flat: _Flat, kind: str) -> NirNode:
    found = [node for node in flat.nodes.values() if node.kind == kind]
    if len(found) != 1:
        raise NetFileError(f"graph: {len(found)} nodes of type {kind}, expected one")
    return found[0]


def _opened(graph: NirGraph, prefix: str = "") -> tuple[dict[str, NirNode], set[tuple[str, str]]]:
    """Nodes by full name, and edges between those; without the inputs and outputs of graphs within."""
    nodes: dict[str, NirNode] = {}
    edges: set[tuple[str, str]] = set()
    enters: dict[str, str] = {}
    leaves: dict[str, str] = {}
    for name, node in graph.nodes.items():
        full = f"{prefix}{name}"
        if isinstance(node, NirNode):
            nodes[full] = NirNode(full, node.kind, node.values)
            continue
        inner, between = _opened(node, f"{full}.")
        inside = _Flat(inner, between)
        enters[full], leaves[full] = _only(inside, _INPUT).name, _only(inside, _OUTPUT).name
        nodes |= inner
        edges |= between
    for source, target in graph.edges:
        one, other = f"{prefix}{source}", f"{prefix}{target}"
        for name in (one, other):
            if name not in nodes and name not in enters:
                raise NetFileError(f"graph: an edge names '{name}', which is no node")
        edges.add((leaves.get(one, one), enters.get(other, other)))
    for name in (*enters.values(), *leaves.values()):
        edges = _bridged(edges, name)
        del nodes[name]
    return nodes, edges


def _bridged(edges: set[tuple[str, str]], name: str) -> set[tuple[str, str]]:
    """Edges around a node that does nothing."""
    sources = [a for a, b in edges if b == name]
    targets = [b for a, b in edges if a == name]
    kept = {(a, b) for a, b in edges if name not in (a, b)}
    return kept | {(a, b) for a in sources for b in targets}


def _followers(edges: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for source, target in sorted(edges):
        found.setdefault(source, []).append(target)
    return found


def _without_recurrence(flat: _Flat) -> dict[str, NirNode]:
    """Takes recurrences off the graph, and gives them by the neurons that they belong to."""
    found: dict[str, NirNode] = {}
    after, before = _followers(flat.edges), _followers((b, a) for a, b in flat.edges)
    for name, node in list(flat.nodes.items()):
        if node.kind not in NEURONS_OF_NIR:
            continue
        loops = [
            other
            for other in after.get(name, [])
            if other == name
            or (flat.nodes[other].kind in _BACK and after.get(other) == [name] and before.get(other) == [name])
        ]
        if len(loops) > 1:
            raise UnsupportedLayerError(f"node '{name}': {len(loops)} recurrences ({_names(loops)}), expected one")
        for other in loops:
            found[name] = flat.nodes[other]
            flat.edges -= {(name, other), (other, name)}
            if other != name:
                del flat.nodes[other]
    return found
