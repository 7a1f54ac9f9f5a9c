"""How pictures emerge over the time steps: what the readout's potentials mean after each of them."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from esvae.arrays import Float32, Shaped
from esvae.errors import DataError
from esvae.machine.outputs import output_file
from esvae.pictures import image_grid, save_animation
from export.ir import Network
from sim.readout import images_from_potentials

__all__ = ["Emergence", "check_emergence", "emergence"]


@dataclass(frozen=True, eq=False)
class Emergence:
    """Pictures after every step; a notebook shows them with a slider over the steps.

    Attributes:
        images: pixels in [-1, 1]; the last step's are the pictures that were drawn.
    """

    images: Float32[np.ndarray, "images steps channels height width"] = field(repr=False)

    def __repr__(self) -> str:
        return f"Emergence({len(self.images)} images, {self.images.shape[1]} steps)"

    def save(self, target: str | os.PathLike[str]) -> None:
        """Writes the grid of every step as an animated GIF, whole or not at all; see
        :func:`esvae.pictures.save_animation`.

        Raises:
            ConfigError: a name that does not end in .gif, or nothing can be written there.
        """
        output_file(target, ".gif", option="target")
        save_animation(self.images, target)

    def _repr_html_(self) -> str:
        """A slider and a picture a step, all within: no library, and where no script may run, the last picture."""
        steps = self.images.shape[1]
        pictures = "".join(
            f'<img src="{_address(step)}" alt="after step {k} of {steps}" style="max-width:24rem;width:100%"'
            f"{'' if k == steps else ' hidden'}>"
            for k, step in enumerate(self.images.swapaxes(0, 1), 1)
        )
        return (
            f'<div>{pictures}<br><label>step <input type="range" min="1" max="{steps}" value="{steps}" '
            'oninput="this.nextElementSibling.value=this.value;'
            "this.closest('div').querySelectorAll('img').forEach((one,k)=>one.hidden=k+1!=this.value)\">"
            f" <output>{steps}</output> of {steps}</label></div>"
        )


def emergence(network: Network, traces: Mapping[str, Shaped[np.ndarray, "images steps *_layer"]]) -> Emergence:
    """Of the traces of a run (see :func:`sim.trace.named_traces`).

    Raises:
        DataError: see :func:`check_emergence`.
    """
    check_emergence(network)
    potentials = traces[f"{network.array_names[-1]}.v"]
    images = images_from_potentials(network, potentials.reshape(-1, *potentials.shape[2:]))
    return Emergence(images.reshape(*potentials.shape[:2], *images.shape[1:]))


def check_emergence(network: Network) -> None:
    """Refuses a network whose potentials do not become pictures at every step.

    Raises:
        DataError: it has no readout, or its pixels tell their potentials by spikes once the image is over.
    """
    if network.readout is None:
        images_from_potentials(network, np.zeros(0))  # says so
    if network.spike_readout is not None:
        raise DataError(
            "pictures step by step: this network's pixels tell them by spikes after the image's last step; write "
            "a .png, or export it with --readout potential"
        )


def _address(images: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(image_grid(images)).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
