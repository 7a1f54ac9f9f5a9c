"""Layer by layer over a stream of images: which spikes differ, how rates drift, how far potentials are apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from deploy.compare.float_layers import FloatDecoder, Membrane
from deploy.compare.histograms import LayerHistogram, potential_histogram, weight_histogram
from deploy.compare.layout import Layout, find_layout
from deploy.compare.types import Divergence, LayerDrift, Location
from esvae.chip.formats import STATE_SHIFT
from export.ir import Network, all_weights, lif_of
from export.ir.labels import names_in
from sim.trace import Trace

__all__ = ["LayerStream", "layouts_of"]

_EXAMPLES = 8  # images whose first divergence is told


def layouts_of(decoder: FloatDecoder, network: Network) -> list[Layout | str]:
    """How the file holds each float layer, or why that cannot be told."""
    held = [shape for _, _, shape in network.synapses()]
    if len(held) != len(decoder.shapes):
        reason = f"the file has {len(held)} layers with neurons, the float decoder {len(decoder.shapes)}"
        return [reason] * len(decoder.shapes)
    return [find_layout(shape, other) for shape, other in zip(decoder.shapes, held, strict=True)]


class LayerStream:
    """Takes chunks of images as they come; holds sums, not images.

    Args:
        decoder: the float side.
        network: the integer side.
    """

    def __init__(self, decoder: FloatDecoder, network: Network) -> None:
        assert network.time_steps is not None
        assert network.readout is not None
        self.layouts, self._names = layouts_of(decoder, network), names_in(decoder.names, network.labels)
        self._decoder, self._network, self._steps = decoder, network, network.time_steps
        self._potentials: dict[int, LayerHistogram] = {}
        named = zip(network.labels, network.synapses(), strict=True)
        neurons = [lif_of(layer.neuron, where, "comparing potentials") for where, (layer, _, _) in named]
        # A potential counts in thresholds: of the float layer on one side, of the chip's register on the other. One
        # that rounded to zero is no unit, so such a layer's potentials are not compared.
        shift = 1 << STATE_SHIFT
        self._units = [*(shift * n.threshold for n in neurons[:-1]), network.readout.unit]
        self._sums: list[_LayerSums | None] = [
            None if isinstance(layout, str) else _LayerSums(layout.shape, self._steps) for layout in self.layouts
        ]
        self._images = self._never = 0
        self._by_step = np.zeros(self._steps, np.int64)
        self._by_layer = np.zeros(max(len(self.layouts) - 1, 1), np.int64)
        self._earliest: Location | None = None
        self._first: list[Location] = []

    def add(self, first_image: int, floats: list[Membrane], traces: list[Trace]) -> None:
        """The next images, by layer: the float side, and the twin's traces as the file holds them."""
        count = len(traces[0].s)
        # Step of the first differing spike by layer and image; one past the last where there is none.
        starts = np.full((len(self._by_layer), count), self._steps)
        differing: dict[int, np.ndarray] = {}
        for k, (layout, sums) in enumerate(zip(self.layouts, self._sums, strict=True)):
            if isinstance(layout, str) or sums is None:
                continue
            one = floats[k]
            if self._units[k]:
                gap = layout.restored(traces[k].v) * np.float32(1 / self._units[k])
                after = one.after * np.float32(1 / self._decoder.units[k])
                if not first_image:
                    name, unit = self._names[k], self._unit_name(k)
                    self._potentials[k] = potential_histogram(name, unit, after, gap)
                gap -= after
                sums.add_potentials(gap)
            if one.spikes is not None:
                fired = layout.restored(traces[k].s)
                differs = one.spikes != fired
                sums.add_spikes(one.spikes, fired, differs)
                at = differs.reshape(count, self._steps, -1).any(2)
                starts[k] = np.where(at.any(1), at.argmax(1), self._steps)
                differing[k] = differs
        self._find(first_image, starts, differing, floats)

    def _find(self, base: int, starts: np.ndarray, differing: dict[int, np.ndarray], floats: list[Membrane]) -> None:
        layers, steps = starts.argmin(0), starts.min(0)
        parted = np.flatnonzero(steps < self._steps)
        self._images += len(steps)
        self._never += len(steps) - len(parted)
        self._by_step += np.bincount(steps[parted], minlength=self._steps)
        self._by_layer += np.bincount(layers[parted], minlength=len(self._by_layer))

        def location(image: int) -> Location:
            k, step = int(layers[image]), int(steps[image])
            differs = differing[k][image, step]
            neuron = tuple(int(i) for i in np.argwhere(differs)[0])
            spikes = floats[k].spikes
            assert spikes is not None
            at = (image, step, *neuron)
            potential = float(floats[k].before[at]) / self._decoder.units[k]
            return Location(base + image, step, k, neuron, bool(spikes[at]), potential, self._names[k])

        for image in parted[: max(0, _EXAMPLES - len(self._first))]:
            self._first.append(location(int(image)))
        if len(parted):
            best = int(min(parted, key=lambda image: (steps[image], layers[image], image)))
            rank = (int(steps[best]), int(layers[best]))
            if self._earliest is None or rank < (self._earliest.step, self._earliest.layer):
                self._earliest = location(best)

    def layers(self) -> tuple[LayerDrift, ...]:
        """What came of all images."""
        found = []
        for k, (layout, sums) in enumerate(zip(self.layouts, self._sums, strict=True)):
            name, shape = self._names[k], self._decoder.shapes[k]
            if isinstance(layout, str) or sums is None:
                found.append(LayerDrift(k, name, shape, None, unmapped=str(layout)))
            else:
                spiking = k < len(self.layouts) - 1
                drift = sums.drift(k, name, layout, self._images, spiking=spiking)
                found.append(drift if self._units[k] else replace(drift, membrane=None, membrane_by_step=()))
        return tuple(found)

    def weights(self) -> tuple[LayerHistogram, ...]:
        """How the weights of each layer that could be compared are distributed."""
        found = []
        held = (layer for layer, _, _ in self._network.synapses())
        for k, (layer, layout, unit) in enumerate(zip(held, self.layouts, self._units, strict=False)):
            if isinstance(layout, str) or not unit:
                continue
            floats, integers = self._decoder.weights[k] / self._decoder.units[k], all_weights(layer)
            copies = self._decoder.copies(k, layout.factor)
            if layout.factor is None and integers.size == floats.size:
                copies = 1
            made = weight_histogram(
                self._names[k], self._unit_name(k), floats, integers, (1 << STATE_SHIFT) / unit, copies
            )
            found.append(made)
        return tuple(one for one in found if one is not None)

    def _unit_name(self, k: int) -> str:
        return "thresholds" if k < len(self.layouts) - 1 else "before tanh"

    def potentials(self) -> tuple[LayerHistogram, ...]:
        """How the potentials of the first images are distributed, likewise."""
        return tuple(self._potentials.values())

    def divergence(self) -> Divergence | None:
        """Where images part first; None where a layer with spikes could not be compared."""
        if any(isinstance(layout, str) for layout in self.layouts[:-1]):
            return None
        by_step, by_layer = (tuple(int(n) for n in counts) for counts in (self._by_step, self._by_layer))
        return Divergence(self._images, self._never, by_step, by_layer, self._earliest, tuple(self._first))


class _LayerSums:
    """Running sums of one layer."""

    def __init__(self, shape: tuple[int, ...], steps: int) -> None:
        self._missing = self._extra = self._either = 0
        self._wrong = np.zeros(steps, np.int64)
        self._squares = np.zeros(steps)
        self._rates = np.zeros((2, *shape), np.int64)

    def add_potentials(self, gap: np.ndarray) -> None:
        """Differences of potentials ``(images, steps, C, H, W)``."""
        flat = gap.reshape(*gap.shape[:2], -1)
        self._squares += np.einsum("nti,nti->t", flat, flat, dtype=np.float64)

    def add_spikes(self, left: np.ndarray, right: np.ndarray, differs: np.ndarray) -> None:
        """Spikes of both sides and where they differ, ``(images, steps, C, H, W)``."""
        missing = int(np.count_nonzero(left > right))
        wrong = np.count_nonzero(differs.reshape(*differs.shape[:2], -1), axis=2).sum(0)
        self._missing += missing
        self._extra += int(wrong.sum()) - missing
        self._wrong += wrong
        self._either += int(np.count_nonzero(left | right))
        for side, spikes in enumerate((left, right)):
            self._rates[side] += spikes.sum((0, 1), dtype=np.int64)

    def drift(self, k: int, name: str, layout: Layout, images: int, *, spiking: bool) -> LayerDrift:
        """The figures."""
        steps, neurons = len(self._wrong), int(np.prod(layout.shape))
        seen = images * neurons
        membrane = tuple(float(x) for x in np.sqrt(self._squares / seen))
        whole = float(np.sqrt(self._squares.sum() / (seen * steps)))
        if not spiking:
            drift = LayerDrift(k, name, layout.shape, layout.name, membrane_by_step=membrane, membrane=whole)
            return drift
        rates = self._rates / (images * steps)
        gap = rates[1] - rates[0]
        worst = np.unravel_index(int(np.abs(gap).argmax()), gap.shape)
        return LayerDrift(
            layer=k,
            name=name,
            shape=layout.shape,
            layout=layout.name,
            mismatch=float(self._wrong.sum() / (seen * steps)),
            missing=self._missing / (seen * steps),
            extra=self._extra / (seen * steps),
            agreement=1 - float(self._wrong.sum()) / self._either if self._either else None,
            rate_float=float(rates[0].mean()),
            rate_quantized=float(rates[1].mean()),
            rate_rms=float(np.sqrt(np.square(gap).mean())),
            rate_worst=float(gap[worst]),
            rate_worst_neuron=tuple(int(i) for i in worst),
            mismatch_by_step=tuple(float(x) for x in self._wrong / seen),
            membrane_by_step=membrane,
            membrane=whole,
        )
