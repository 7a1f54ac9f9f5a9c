"""Do all backends compute the same integers? What enters a file, and one verdict."""

from __future__ import annotations

import os
from collections.abc import Sequence

from deploy.backends import LavaSettings, Progress
from deploy.entering import InputOptions, drawable, enter, made_up
from deploy.opening import network_file
from deploy.verdict import Difference, Verdict, verify_spikes
from deploy.verify_circuit import verify_circuit
from export.ir.circuit import circuit_of
from export.netx import read_netx

__all__ = ["Difference", "Verdict", "verify", "verify_spikes"]


def verify(
    path: str | os.PathLike[str],
    images: int = 4,
    *,
    seed: int = 0,
    steps: int | None = None,
    layers: int | None = None,
    against: Sequence[str] = ("reference", "lava"),
    lava: LavaSettings = LavaSettings(),
    progress: Progress | None = None,
) -> Verdict:
    """Runs a file on the twin and on other backends with the same input spikes.

    Args:
        path: the ``.net`` file; a run directory or ``pretrained:NAME``, which is exported once.
        images: how many.
        seed: of the latent spikes, which come from the file's prior, or fire at half the steps where it has none; of
            the pixels where the input layer has neurons.
        steps: length of the run, where the file has no window.
        layers: run only so many of the file's layer groups, input and flatten included.
        against: names of the other backends.
        lava: how Lava runs it; where its sampler is in the graph, the twin gets the spikes of the sampler's definition.
        progress: called as the work goes on.

    Raises:
        NetFileError, HardwareRangeError: the file is not sound.
        DataError: fewer than one image, or no window to draw spikes for.
        ConfigError: no such backend, or one that cannot do this; names the option.
        LavaError: Lava is missing, died or hung.
    """
    path = network_file(path)
    network = read_netx(path, layers=layers)
    if circuit_of(network) is not None:
        enter(network, InputOptions(images, seed))  # says where the seed is not its own
        return verify_circuit(path, network, images, against=against, lava=lava, progress=progress)
    options = InputOptions(images, seed, steps=steps)
    own = drawable(network) and steps in (None, network.time_steps)
    entering = enter(network, options) if own else made_up(network, options)
    return verify_spikes(path, network, entering, layers=layers, against=against, lava=lava, progress=progress)
