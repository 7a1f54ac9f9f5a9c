"""All that is wrong, or would surprise, in any ``.net`` file: what stock netx (lava-dl 0.6.0) makes of each layer.

Unlike :func:`export.netx.guard.read_netx`, which stops at the first fault, this collects them. What netx does is read
from its ``netx/hdf5.py`` and ``netx/utils.py``; ``tests/deploy/lava/test_netx_claims.py`` asks Lava whether it is so.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

import h5py

from esvae.chip.formats import THRESHOLD
from esvae.errors import EsvaeError
from export.ir import Conv, Flatten, Lif, Network, Shape, with_values
from export.ir.bounds import layer_firing
from export.ir.layer_ranges import layer_ranges
from export.netx.guard import check_readable
from export.netx.items import check_there, damage
from export.netx.layer_check import Finding, Severity, layer_findings, numbers_at
from export.netx.read import read_netx_unguarded

__all__ = ["Finding", "Severity", "check_file"]

More: TypeAlias = "Callable[[Network], Iterable[Finding]]"


def check_file(path: str | os.PathLike[str], more: More | None = None) -> list[Finding]:
    """Collects the findings of a file, in file order; the HDF5 library first sees it in a fork.

    Args:
        path: the ``.net`` file.
        more: gives further findings of a network that can be read.

    Raises:
        NetFileError: it is missing, or is not HDF5.
    """
    path = Path(path)
    check_readable(path, lambda: _scan(path))
    found, network = _scan(path)
    if network is None:
        return found
    return [*found, *_registers(network), *(() if more is None else more(network))]


def _scan(path: Path) -> tuple[list[Finding], Network | None]:
    """What is found in the groups, and the network where it can be read."""
    check_there(path)
    with damage(f"{path}: corrupt, truncated or not a netx HDF5 file"), h5py.File(path, "r") as file:
        found = list(layer_findings(file))
        try:
            network = read_netx_unguarded(path)
        except EsvaeError as error:
            return [*found, Finding("error", "file", f"esvae does not read it: {error}")], None
        return [*found, *_stated(file, network)], network


def _stated(file: h5py.File, network: Network) -> Iterator[Finding]:
    """Where a file states other shapes than follow from its weights."""
    each = zip(network.layers, network.shapes, network.all_labels, strict=True)
    for index, (layer, after, where) in enumerate(each):
        group = file.get(f"layer/{index + network.first_group}")
        if isinstance(layer, Flatten) or group is None:
            continue
        if (shape := numbers_at(group, "shape")) is not None:
            stated = tuple(shape.reshape(-1).tolist())
            fits = stated == after if isinstance(layer, Conv) else math.prod(stated) == math.prod(after)
            if not fits:
                yield Finding("error", where, f"shape {stated}, and its weights give {after}: netx raises RuntimeError")
        if "bias" in group:
            bias = group["bias"].shape
            if not _spreads(bias, after):
                text = f"bias is an array {bias}, which netx cannot spread over {after} neurons"
                yield Finding(
                    "error", where, f"{text}; store one for each {'channel' if len(after) == 3 else 'neuron'}"
                )


def _spreads(bias: Shape, after: Shape) -> bool:
    """Whether netx makes of a file's bias one number for each neuron of a layer, as we do."""
    if len(after) == 3:
        single = after[0] == 1 and 1 <= len(bias) <= 3 and math.prod(bias) == 1
        return single or bias in (after[:1], after[::-1])
    return not bias or (bias[-1] in (1, *after) and math.prod(bias[:-1]) == 1)


def _registers(network: Network) -> Iterator[Finding]:
    """What follows from all numbers together."""
    ranges = {bounds.layer: bounds for bounds in layer_ranges(network)}
    labels = network.labels
    for last, (where, (layer, before, after)) in enumerate(
        zip(labels, network.synapses(), strict=True), start=1 - len(labels)
    ):
        if (bounds := ranges.get(where)) is None or not isinstance(layer.neuron, Lif):
            continue
        fires = layer_firing(
            with_values(layer, layer.weight, layer.bias, layer.neuron), before, after, network.time_steps
        )
        if bounds.u_share >= 1:
            text = f"the current could reach {bounds.u_share:.2f} of the 2^23 at which it wraps"
            yield Finding("warning", where, text)
        reads_out = network.readout is not None and network.spike_readout is None and not last
        if reads_out and (fires is None or fires.never < fires.neurons):
            text = f"the readout can pass its threshold {layer.neuron.threshold} and lose its potential"
            yield Finding("warning", where, f"{text}; write {THRESHOLD.max}, or use a smaller weight scale")
        if fires is None or reads_out or layer.neuron.threshold > THRESHOLD.max:
            continue
        if fires.never == fires.neurons and last:
            yield Finding("warning", where, "no neuron can ever fire, so nothing enters the next layer")
        elif fires.never:
            yield Finding("note", where, f"{fires.never} of {fires.neurons} neurons can never fire, whatever enters")
        if fires.always == fires.neurons:
            yield Finding("warning", where, "every neuron fires at every step, whatever enters")
        elif fires.always:
            text = f"{fires.always} of {fires.neurons} neurons fire at every step, whatever enters"
            yield Finding("note", where, text)
