"""The integer twin: the fast, batched backend, equal to :mod:`sim.reference` in every integer.

Time is folded into the batch, so that one convolution serves all steps of all images; then one compiled pass runs the
neurons over the window. Spikes are 0 or 1 and the weights of a neuron sum to less than 2^23 in magnitude (a
:class:`~export.ir.Network` is refused otherwise), so every partial sum of a direct convolution is a whole number that
float32 holds exactly, in any order of summation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from export.ir import Conv, ConvTranspose, Dense, Lif, Network, Shape, Synapse
from sim.lif_kernel import run_lif
from sim.stimulus import check_spikes
from sim.trace import Trace

__all__ = ["Engine", "LayerActivity"]

#: Images that go through the network together where the caller does not say: large enough for full speed, small
#: enough that the widest layer of the paper's networks stays within some hundred megabytes.
DEFAULT_CHUNK = 64


@dataclass(frozen=True, eq=False)
class LayerActivity:
    """One layer's part of a run over a chunk of images.

    Attributes:
        entering: spikes that entered, float32 0 or 1, ``(steps, images, *input shape)``.
        spikes: spikes that left, likewise ``(steps, images, *layer shape)``.
        v_end: membrane potential after the last step, int32 ``(images, *layer shape)``.
        trace: states after every step, or None.
    """

    entering: torch.Tensor
    spikes: torch.Tensor
    v_end: np.ndarray
    trace: Trace | None


class Engine:
    """A network made ready for repeated runs.

    Args:
        network: the integer network.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self._stages = [_Stage(layer, before, after) for layer, before, after in network.synapses()]

    def run(
        self,
        spikes: np.ndarray,
        *,
        trace: bool = False,
        chunk: int = DEFAULT_CHUNK,
        progress: Callable[[int], None] | None = None,
    ) -> Iterator[list[LayerActivity]]:
        """Runs images from rest, ``chunk`` at a time; the results do not depend on ``chunk``.

        Args:
            spikes: 0 or 1, ``(images, steps, *input shape)``.
            trace: also keep the states after every step.
            chunk: images to a pass.
            progress: called with the number of images done after each chunk.

        Yields:
            For each chunk, the activity of each layer with neurons, in file order.

        Raises:
            DataError: spikes that do not fit the network.
        """
        spikes = check_spikes(self.network, spikes)
        for start in range(0, len(spikes), chunk):
            part = np.ascontiguousarray(spikes[start : start + chunk].swapaxes(0, 1), dtype=np.float32)
            yield self._run_chunk(torch.from_numpy(part), trace)
            if progress is not None:
                progress(min(start + chunk, len(spikes)))

    def final_potentials(self, spikes: np.ndarray, *, progress: Callable[[int], None] | None = None) -> np.ndarray:
        """Membrane potential of the last layer after the last step: int32 ``(images, *layer shape)``."""
        return np.concatenate([layers[-1].v_end for layers in self.run(spikes, progress=progress)])

    def traces(self, spikes: np.ndarray) -> list[Trace]:
        """States of every layer after every step, aligned by sample: int32, and uint8 for the spikes."""
        chunks = [[layer.trace for layer in layers] for layers in self.run(spikes, trace=True)]
        return [
            Trace(*(np.concatenate([getattr(t, name) for t in layer]) for name in ("u", "v", "s")))
            for layer in zip(*chunks, strict=True)
        ]

    @torch.inference_mode()
    def _run_chunk(self, entering: torch.Tensor, trace: bool) -> list[LayerActivity]:
        activities: list[LayerActivity] = []
        for stage in self._stages:
            entering = entering.reshape(*entering.shape[:2], *stage.input_shape)
            activities.append(stage.run(entering, trace))
            entering = activities[-1].spikes
        return activities


class _Stage:
    """One layer: its weights as float32 where torch wants them, and its bias by rows of channels."""

    def __init__(self, layer: Synapse, input_shape: Shape, output_shape: Shape) -> None:
        assert isinstance(layer.neuron, Lif)  # Network.__post_init__ raised otherwise
        self.layer, self.neuron = layer, layer.neuron
        self.input_shape, self.output_shape = input_shape, output_shape
        self._weight = torch.from_numpy(layer.weight.astype(np.float32))
        self._matrix: torch.Tensor | None = None
        if isinstance(layer, Dense):
            self._matrix = self._weight.T.contiguous()
        elif input_shape[1:] == (1, 1):
            # On a 1x1 map the layer is a matrix: what each input alone would send.
            basis = torch.eye(input_shape[0]).reshape(-1, *input_shape)
            self._matrix = self._maps(basis).permute(0, 2, 3, 1).reshape(input_shape[0], -1).contiguous()
        else:
            self._weight = self._weight.contiguous(memory_format=torch.channels_last)
        channels = output_shape[0]
        bias = np.zeros(channels, np.int64) if layer.bias is None else layer.bias.astype(np.int64)
        rows = bias.transpose(1, 2, 0) if bias.ndim == 3 else bias
        self._bias = np.ascontiguousarray(rows.reshape(-1, channels))

    def _maps(self, x: torch.Tensor) -> torch.Tensor:
        """The layer's sums of weights for spikes ``(N, *input shape)``: ``(N, *output shape)``."""
        layer = self.layer
        if isinstance(layer, Conv):
            return functional.conv2d(x, self._weight, None, layer.stride, layer.padding, layer.dilation, layer.groups)
        assert isinstance(layer, ConvTranspose)
        return functional.conv_transpose2d(
            x, self._weight, None, layer.stride, layer.padding, layer.output_padding, layer.groups, layer.dilation
        )

    def run(self, entering: torch.Tensor, trace: bool) -> LayerActivity:
        """``(steps, images, *input shape)`` spikes through synapses and neurons."""
        steps, images = entering.shape[:2]
        if self._matrix is not None:
            sums = entering.reshape(steps * images, -1) @ self._matrix
        else:
            folded = entering.reshape(steps * images, *self.input_shape)
            sums = self._maps(folded.contiguous(memory_format=torch.channels_last)).permute(0, 2, 3, 1).contiguous()
        channels = self.output_shape[0]
        a = sums.reshape(steps, -1, channels).numpy()
        v_end, u, v = run_lif(a, self._bias, self.neuron, trace=trace)
        spikes = self._axes(a, steps, images)
        kept = None
        if u is not None and v is not None:
            by_image = (self._axes(x, steps, images).swapaxes(0, 1) for x in (u, v, a.astype(np.uint8)))
            kept = Trace(*(np.ascontiguousarray(x) for x in by_image))
        return LayerActivity(entering, torch.from_numpy(spikes), self._axes(v_end, 1, images)[0], kept)

    def _axes(self, rows: np.ndarray, steps: int, images: int) -> np.ndarray:
        """``(..., rows, channels)`` with channels innermost as a view ``(steps, images, *layer shape)``."""
        if len(self.output_shape) == 1:
            return rows.reshape(steps, images, -1)
        channels, height, width = self.output_shape
        return rows.reshape(steps, images, height, width, channels).transpose(0, 1, 4, 2, 3)
