"""The states of a simulation under their names and axes, for looking at them."""

from __future__ import annotations

import contextlib
import operator
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from deploy.emerging import Emergence, emergence
from deploy.view.numbers import shape
from esvae.arrays import Integer, Shaped
from esvae.errors import DataError, EsvaeError
from esvae.machine.arguments import shown, whole_number
from esvae.machine.outputs import output_file
from export.ir import Network
from export.ir.labels import array_name, label
from sim.trace import Trace, save_traces

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["StateName", "Traces"]

#: Of a layer: spikes, membrane potential, current.
StateName: TypeAlias = Literal["s", "v", "u"]
_TITLES = {"s": "spikes", "v": "membrane potential", "u": "current"}
_AXES = {1: ("feature",), 3: ("channel", "y", "x")}


@dataclass(frozen=True, eq=False)
class Traces:
    """What every layer with neurons did at every step.

    Attributes:
        arrays: by name, such as ``layer3.u``, ``.v`` and ``.s`` of ``layer 3 (conv)`` (see
            :func:`sim.trace.named_traces`), each ``(images, steps, *layer shape)``.
        potentials: of the last layer after the last step, ``(images, *layer shape)``.
        about: what entered.
        network: that ran.
    """

    arrays: Mapping[str, Shaped[np.ndarray, "images steps *_layer"]]
    potentials: Integer[np.ndarray, " images *layer"]
    about: str
    network: Network

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the layers with neurons, in file order."""
        return self.network.neuron_labels

    def __repr__(self) -> str:
        images, steps = next(iter(self.arrays.values())).shape[:2]
        return f"Traces({len(self.labels)} layers, images={images}, steps={steps}, {self.about})"

    def layer(self, layer: int | str) -> Trace:
        """One layer's current, potential and spikes.

        Args:
            layer: its label, such as ``layer 3 (conv)``, or the number in it, the file's own; where negative, its place
                among the layers with neurons from the end, so that -1 is the last.

        Raises:
            DataError: there is no such layer; names those that there are.
        """
        name = array_name(self._label(layer))
        return Trace(*(self.arrays[f"{name}.{state}"] for state in ("u", "v", "s")))

    def labelled(self, layer: int | str, quantity: StateName = "s") -> Any:
        """As ``xarray.DataArray`` with the dimensions image, step, and channel, y, x or feature; steps from 1.

        Raises:
            DataError: no such layer or quantity.
            EsvaeError: xarray is not installed.
        """
        try:
            from xarray import DataArray
        except ImportError:
            raise EsvaeError("labelled arrays need xarray; pip install 'esvae-loihi[xarray]'") from None
        if quantity not in _TITLES:
            known = ", ".join(f"'{name}' ({title})" for name, title in _TITLES.items())
            raise DataError(f"quantity {shown(quantity)}: expected {known}")
        values = getattr(self.layer(layer), quantity)
        return DataArray(
            values,
            dims=("image", "step", *_AXES[values.ndim - 2]),
            coords={"step": np.arange(1, values.shape[1] + 1)},
            name=quantity,
            attrs={"layer": self._label(layer), "long_name": _TITLES[quantity]},
        )

    def plot_raster(self, layer: int | str, image: int = 0, *, ax: Axes | None = None) -> Axes:
        """Spikes of one image: a dot for each neuron (in C, H, W order) and step at which it fired.

        Args:
            layer: as for :meth:`layer`.
            image: number of the image.
            ax: to draw in; a new figure's where None.

        Raises:
            DataError: no such layer or image.
        """
        from deploy.view.traces import raster_axes

        return raster_axes(self._of_image(layer, "s", image), self._title(layer, image), ax)

    def plot_membrane(
        self, layer: int | str, image: int = 0, *, neurons: Sequence[int] = (0, 1, 2, 3), ax: Axes | None = None
    ) -> Axes:
        """Membrane potentials of some neurons over the steps of one image, after the reset of those that fired.

        Args:
            layer, image, ax: as for :meth:`plot_raster`.
            neurons: numbers in C, H, W order.

        Raises:
            DataError: no such layer, image or neuron.
        """
        from deploy.view.traces import membrane_axes

        values = self._of_image(layer, "v", image)
        if not isinstance(neurons, Iterable):
            raise DataError(f"neurons {shown(neurons)}: expected numbers of neurons, such as [0, 1]")
        numbers = [whole_number(neuron, "neurons") for neuron in neurons]
        if not numbers:
            raise DataError("neurons: none given; expected at least one number")
        for neuron in numbers:
            if not 0 <= neuron < values.shape[1]:
                raise DataError(f"neuron {neuron}: {self._title(layer, image)} has {values.shape[1]}, from 0 on")
        return membrane_axes(values[:, numbers], numbers, self._title(layer, image), ax)

    def emergence(self) -> Emergence:
        """The pictures after every step: a slider in a notebook, or :meth:`~deploy.emerging.Emergence.save` as GIF.

        Raises:
            DataError: the network has no readout.
        """
        return emergence(self.network, self.arrays)

    def save(self, target: str | os.PathLike[str]) -> None:
        """Writes all arrays as ``.npz`` or ``.h5``, whole or not at all.

        Raises:
            ConfigError: another ending, or nothing can be written there.
        """
        output_file(target, (".npz", ".h5", ".hdf5"), option="target")
        save_traces(target, self.arrays)

    def _label(self, layer: int | str) -> str:
        if isinstance(layer, str) and layer in self.labels:
            return layer
        with contextlib.suppress(TypeError):
            number = operator.index(layer)  # type: ignore[arg-type]
            if -len(self.labels) <= number < 0:
                return self.labels[number]
            for each in self.labels:
                if array_name(each) == array_name(label(number)):
                    return each
        raise DataError(f"layer {shown(layer)}: there is none; there are {', '.join(self.labels)}")

    def _of_image(self, layer: int | str, quantity: StateName, image: int) -> np.ndarray:
        values, image = getattr(self.layer(layer), quantity), whole_number(image, "image")
        if not 0 <= image < len(values):
            raise DataError(f"image {image}: there are {len(values)}, from 0 on")
        chosen: np.ndarray = values[image].reshape(values.shape[1], -1)
        return chosen

    def _title(self, layer: int | str, image: int) -> str:
        return f"{self._label(layer)}, {shape(self.layer(layer).s.shape[2:])}, image {image}"
