"""Draws a generator's circuit from its file: groups of neurons, and how many synapses run between them.

Run as ``python docs/draw_circuit.py generator.net docs/images/circuit.svg``. Every number in the drawing is counted in
the network; only where a box stands is said here.
"""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path

import numpy as np

from export.ir import CircuitPrior
from export.ir.circuit import circuit_of
from export.netx import read_netx

#: Column and row of each group's box, and what it does.
PLACES = {
    "start": (0, 0, "power-on pulse"),
    "ring": (1, 0, "when a window begins"),
    "relay": (0, 1, "older bits"),
    "lane": (0, 2, "random bits: OR, AND"),
    "choice": (1, 1, "held number U"),
    "below": (2, 1, "U below edge k"),
    "component": (3, 1, "one-hot"),
    "mean": (4, 1, "one-hot, a step later"),
    "factor": (2, 2, "held bits"),
    "term": (4, 2, "component and bit"),
    "latents": (5, 2, "fire as the latents do"),
}
_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 150, 56, 60, 60, 24


def synapses_between(prior: CircuitPrior) -> dict[tuple[str, str], int]:
    """How many synapses run from one group to another."""
    names = [name for name, _ in prior.layout.groups]
    found = {}
    for source in names:
        columns = prior.layout.group(source)
        for target in names:
            found[source, target] = np.count_nonzero(prior.source.recurrent[prior.layout.group(target), columns])
        found[source, "latents"] = np.count_nonzero(prior.latents.weight[:, columns])
    return {pair: count for pair, count in found.items() if count}


def drawing(prior: CircuitPrior) -> str:
    """The circuit as SVG."""
    counts = {**dict(prior.layout.groups), "latents": prior.latents.outputs}
    width = 6 * (_WIDTH + _GAP_X) - _GAP_X + 2 * _MARGIN
    height = 3 * (_HEIGHT + _GAP_Y) - _GAP_Y + 2 * _MARGIN + 90
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#666"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    inner = {}
    for (source, target), count in synapses_between(prior).items():
        if source == target:
            inner[source] = count
        else:
            parts.append(_arrow(source, target, count))
    parts += [_box(name, count, inner.get(name)) for name, count in counts.items()]
    return "\n".join([*parts, "</svg>", ""])


def _corner(name: str) -> tuple[int, int]:
    column, row, _ = PLACES[name]
    return _MARGIN + column * (_WIDTH + _GAP_X), _MARGIN + 20 + row * (_HEIGHT + _GAP_Y)


def _box(name: str, neurons: int, inner: int | None) -> str:
    x, y = _corner(name)
    within = f"{neurons:,} neurons" + ("" if inner is None else f", {inner:,} inside")
    return (
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="#eef3fb" stroke="#3b5b92"/>'
        f'<text x="{x + _WIDTH / 2}" y="{y + 18}" text-anchor="middle" font-size="14" font-weight="bold">{name}</text>'
        f'<text x="{x + _WIDTH / 2}" y="{y + 33}" text-anchor="middle" font-size="11">{within}</text>'
        f'<text x="{x + _WIDTH / 2}" y="{y + 48}" text-anchor="middle" font-size="11" fill="#555">'
        f"{escape(PLACES[name][2])}</text>"
    )


def _arrow(source: str, target: str, synapses: int) -> str:
    """A curve from one box to another, bent so that boxes of one row do not hide it."""
    (x, y), (to_x, to_y) = _corner(source), _corner(target)
    if x == to_x:
        begin, end = (x + _WIDTH * 0.4, y + _HEIGHT * (to_y > y)), (x + _WIDTH * 0.4, to_y + _HEIGHT * (to_y < y))
        shift = 18 if to_y > y else -18
        begin, end = (begin[0] + shift, begin[1]), (end[0] + shift, end[1])
        middle = ((begin[0] + end[0]) / 2, (begin[1] + end[1]) / 2)
    else:
        begin, end = (x + _WIDTH, y + _HEIGHT / 2), (to_x, to_y + _HEIGHT / 2)
        passed = (to_x - x) // (_WIDTH + _GAP_X) - 1 if y == to_y else 0
        middle = ((begin[0] + end[0]) / 2, (begin[1] + end[1]) / 2 + 0.7 * _HEIGHT * passed)
    path = f"M{begin[0]:.0f} {begin[1]:.0f} Q{middle[0]:.0f} {middle[1]:.0f} {end[0]:.0f} {end[1]:.0f}"
    if x == to_x:
        label = (middle[0] + shift, middle[1])  # beside the line
    elif y == to_y:
        label = (middle[0], (begin[1] + middle[1]) / 2 - 4)
    else:
        label = (begin[0] + 0.7 * (end[0] - begin[0]), begin[1] + 0.7 * (end[1] - begin[1]) - 4)  # clear of others
    place = f'x="{label[0]:.0f}" y="{label[1]:.0f}"'
    return (
        f'<path d="{path}" fill="none" stroke="#666" marker-end="url(#tip)"/>'
        f'<text {place} text-anchor="middle" font-size="10" fill="#333">{synapses:,}</text>'
    )


def main(net: str, target: str) -> None:
    prior = circuit_of(read_netx(net))
    if prior is None:
        raise SystemExit(f"{net} draws on the host; export it with --generator chip")
    Path(target).write_text(drawing(prior), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
