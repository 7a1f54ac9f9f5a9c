"""Verifying a generator that draws on the chip: every integer of source, latents and decoder, from power-on.

What runs is the whole network, into which nothing enters. Where one backend cannot take it in one piece, it takes
source and latents by themselves, from power-on too, and the decoder behind the latents that these fired: stock netx
where the decoder is a file of its own, and ONNX, whose files know no time but an image's.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from deploy.backends import LavaSettings, Progress
from deploy.entering import Entering, InputOptions, at_hand, enter, from_power_on
from deploy.plan import steps_of
from deploy.verdict import Difference, Verdict, verify_spikes
from export.ir import Network
from export.ir.circuit import is_chained, whole_network
from export.netx.write import write_netx

__all__ = ["verify_circuit"]

#: A file, the network in it, and what enters.
_Run: TypeAlias = tuple[str | os.PathLike[str], Network, Entering]


def verify_circuit(
    path: str | os.PathLike[str],
    network: Network,
    images: int,
    *,
    against: Sequence[str] = ("reference", "lava"),
    lava: LavaSettings = LavaSettings(),
    progress: Progress | None = None,
) -> Verdict:
    """:func:`deploy.verify.verify` for a network whose prior is a circuit.

    Raises:
        EsvaeError: as there.
    """
    differences: dict[str, Difference | None] = {}
    seconds: Counter[str] = Counter()
    about: dict[str, dict[str, str]] = {}
    compared = []
    for name in against:
        parts = [
            verify_spikes(*part, against=(name,), lava=lava, progress=progress)
            for part in _parts(path, network, images, name)
        ]
        differences[name] = next((found.differences[name] for found in parts if not found.equal), None)
        for found in parts:
            seconds.update(found.seconds)
            about |= found.about
        compared.append(sum(found.integers for found in parts))
    depth = whole_network(network).depth
    return Verdict(images, steps_of(network), depth, min(compared), differences, dict(seconds), about)


def _parts(path: str | os.PathLike[str], network: Network, images: int, backend: str) -> Iterator[_Run]:
    if is_chained(network) and backend != "onnx":
        entering = from_power_on(network, images)
        yield path, entering.network, entering
        return
    entering = from_power_on(network, images, decoder=False)
    source = entering.network
    if backend == "onnx":  # the same steps, aligned by sample; neurons without memory know no resets
        entering = at_hand(source, np.zeros((1, entering.steps, *source.input_shape), np.uint8))
    with tempfile.TemporaryDirectory(prefix="esvae-") as folder:
        yield write_netx(source, Path(folder, "source.net")), source, entering
    yield path, network, enter(network, InputOptions(images))
