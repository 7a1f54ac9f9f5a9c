"""What lies between one layer's neurons and the next: synapses, and what is folded into them on either side.

Nodes are taken in order. Before the synapses stand pools, scales, delays and a flatten, behind them scales, delays and
a pool; neurons without synapses get the identity, or the pool alone, each channel for itself.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from esvae.arrays import Float64
from esvae.errors import NetFileError, UnsupportedLayerError
from export.frontends.sum_pools import SumPool, conv_after, dense_after, pool_after, pooled_conv
from export.ir import Conv, Dense, FloatLif, Pair, Shape
from export.nir.read import NirNode

__all__ = ["Sums", "array_fitting"]

_NONE = FloatLif(0.0, math.inf)


class Sums:
    """The way from spikes of one shape to the sums that enter the next neurons.

    Attributes:
        before: shape of the spikes.
        shape: of what has been made of them.
        places: names of the nodes that were taken.
    """

    def __init__(self, before: Shape, dt: float, late: int = 0) -> None:
        """``dt`` is in seconds; ``late`` is how many steps later than they arrive here the graph's spikes count."""
        self.before = self.shape = before
        self.places: list[str] = []
        self._dt = dt
        self._pool: SumPool | None = None
        self._scale = np.ones((1, 1, 1)) if len(before) == 3 else np.ones(1)
        self._late = late
        self._delay = np.full(1, float(late))
        self._behind = np.zeros(1)
        self._flat = False
        self._synapse: Conv[FloatLif] | Dense[FloatLif] | None = None

    @property
    def has_synapse(self) -> bool:
        """Whether there are synapses already."""
        return self._synapse is not None

    @property
    def idle(self) -> bool:
        """Whether nothing was taken but a flatten."""
        waits = bool((self._delay != self._late).any())
        return self._synapse is None and self._pool is None and not waits and bool((self._scale == 1).all())

    def take(self, node: NirNode) -> None:
        """Adds a node without a state.

        Raises:
            UnsupportedLayerError: it cannot be folded, or is of a kind that is not supported.
            NetFileError: it does not fit the shape, or its arrays do not.
        """
        where = f"node '{node.name}' ({node.kind})"
        self.places.append(where)
        kinds = {"Linear": self._dense, "Affine": self._dense, "Conv1d": self._conv, "Conv2d": self._conv}
        kinds |= {"SumPool2d": self._pooled, "AvgPool2d": self._pooled}
        kinds |= {"Scale": self._scaled, "Delay": self._delayed, "Flatten": self._flattened}
        kinds[node.kind](node, where)

    def layer(self) -> tuple[Conv[FloatLif] | Dense[FloatLif], bool]:
        """The synapses, with neurons still to come, and whether maps are flattened before them.

        Raises:
            UnsupportedLayerError: what stands before the synapses cannot be folded into them.
            NetFileError: shapes that do not fit together.
        """
        where = self.places[-1] if self.places else "neurons behind neurons"
        synapse = self._synapse if self._synapse is not None else self._identity()
        flat = len(self.before) == 3 and isinstance(synapse, Dense)
        if isinstance(synapse, Dense):
            weight = synapse.weight * np.broadcast_to(self._scale, self._seen()).reshape(-1)
            if self._pool is not None:
                weight = dense_after(self._pool, weight, self.before, where)
            return replace(synapse, weight=weight, delay=self._steps(weight.shape, where)), flat
        channels = _by_channel(self._scale, self._seen(), where)
        grouped = channels.reshape(synapse.groups, -1)
        parts = np.split(synapse.weight, synapse.groups)
        weight = np.concatenate([part * c[:, None, None] for part, c in zip(parts, grouped, strict=True)])
        synapse = replace(synapse, weight=weight)
        return (synapse if self._pool is None else conv_after(self._pool, synapse, self.before, where)), flat

    def late(self, where: str) -> int:
        """Steps by which all of the sums are held back.

        Raises:
            UnsupportedLayerError: they differ from synapse to synapse.
        """
        before, behind = self._delay.reshape(-1), self._behind.reshape(-1)
        if (before != before[0]).any() or (behind != behind[0]).any():
            least, most = int(before.min() + behind.min()), int(before.max() + behind.max())
            raise UnsupportedLayerError(
                f"{where}: delays that differ, {least} to {most} steps, at a convolution or a recurrent layer, whose "
                "synapses hold none; give them to a dense layer"
            )
        return int(before[0] + behind[0])

    def _seen(self) -> Shape:
        """The shape that the synapses take, as a map where it is one."""
        return self.before if self._pool is None else self._pool.output_shape(self.before, self.places[-1])

    def _identity(self) -> Conv[FloatLif] | Dense[FloatLif]:
        count = self.shape[0]
        if len(self.shape) == 1:
            return Dense(np.eye(count), None, _NONE)
        return Conv(np.ones((count, 1, 1, 1)), None, _NONE, groups=count)

    def _steps(self, shape: tuple[int, ...], where: str) -> np.ndarray | None:
        if not self._delay.any() and not self._behind.any():
            return None
        if self._pool is not None and (self._delay != self._delay.reshape(-1)[0]).any():
            raise UnsupportedLayerError(f"{where}: delays that differ, at a pool; give them to the layer behind")
        columns = self._delay.reshape(-1)
        return np.broadcast_to(columns + self._behind.reshape(-1, 1), shape).astype(np.int64)

    def _dense(self, node: NirNode, where: str) -> None:
        self._first(where)
        weight = node.array("weight")
        if weight.ndim != 2 or 0 in weight.shape:
            raise NetFileError(f"{where}: weight has shape {weight.shape}, expected (outputs, inputs)")
        if math.prod(self.shape) != weight.shape[1]:
            raise NetFileError(f"{where}: takes {weight.shape[1]} inputs, got {self.shape}")
        if len(self.shape) == 3 and self.shape[1:] != (1, 1):
            raise NetFileError(f"{where}: takes ({weight.shape[1]},) inputs, got {self.shape}; put a Flatten before it")
        self._synapse = Dense(weight, array_fitting(node, "bias", (len(weight),), where), _NONE)
        self.shape = (len(weight),)

    def _conv(self, node: NirNode, where: str) -> None:
        self._first(where)
        line = node.kind == "Conv1d"
        weight = node.array("weight")
        if weight.ndim != (3 if line else 4) or 0 in weight.shape:
            raise NetFileError(
                f"{where}: weight has shape {weight.shape}, expected (O, I / groups, {'k' if line else 'kh, kw'})"
            )
        if len(self.shape) != 3 or self._flat:
            raise NetFileError(f"{where}: takes a map, got {self.shape}")
        weight = weight[:, :, None] if line else weight
        stride, dilation = (_pair(node, key, 1, where, line=line) for key in ("stride", "dilation"))
        padding = _padding(node, weight.shape, stride, dilation, where, line=line)
        groups = int(node.array("groups").reshape(-1)[0]) if "groups" in node.values else 1
        bias = array_fitting(node, "bias", (len(weight),), where)
        conv = Conv(weight, bias, _NONE, stride, padding, dilation, groups)
        try:
            self.shape = conv.output_shape(self.shape)
        except NetFileError as error:
            raise NetFileError(f"{where}: {error}") from None
        self._synapse = conv

    def _first(self, where: str) -> None:
        if self._synapse is not None:
            raise UnsupportedLayerError(
                f"{where}: follows {self.places[-2]} with no neurons between; put neurons there"
            )

    def _pooled(self, node: NirNode, where: str) -> None:
        size = _pair(node, "kernel_size", 1, where)
        stride = _pair(node, "stride", 1, where) if "stride" in node.values else size
        padding = _pair(node, "padding", 0, where)
        if self._flat:
            raise NetFileError(f"{where}: pools {self.shape}, expected a (C, H, W) map")
        share = 1 / math.prod(size) if node.kind == "AvgPool2d" else 1.0
        pool = SumPool(np.full(size, share), stride, padding)
        after = pool.output_shape(self.shape, where)
        if isinstance(self._synapse, Conv):
            if self._behind.any():
                raise UnsupportedLayerError(f"{where}: behind a delay; put the delay behind it")
            self._synapse = pooled_conv(self._synapse, pool, where)
        else:
            self._pool = pool if self._pool is None else pool_after(self._pool, pool, self.before, where)
            if self._scale.size > 1:  # each channel is pooled for itself
                self._scale = _by_channel(self._scale, self.shape, where)[:, None, None]
        self.shape = after

    def _scaled(self, node: NirNode, where: str) -> None:
        scale = node.array("scale")
        try:
            scale = np.broadcast_to(scale, self.shape if scale.ndim else ())
        except ValueError:
            raise NetFileError(f"{where}: scale has shape {scale.shape}, got {self.shape}") from None
        if self._synapse is None:
            self._scale = self._scale * scale.reshape(self._seen() if scale.ndim else (1,) * self._scale.ndim)
            return
        rows = scale.reshape(-1) if isinstance(self._synapse, Dense) else _by_channel(scale, self.shape, where)
        bias, weight = self._synapse.bias, self._synapse.weight
        rows = np.broadcast_to(rows, weight.shape[:1])
        weight = weight * rows.reshape(-1, *(1,) * (weight.ndim - 1))
        self._synapse = replace(self._synapse, weight=weight, bias=None if bias is None else bias * rows)

    def _delayed(self, node: NirNode, where: str) -> None:
        steps = node.array("delay") / self._dt
        whole = np.rint(steps)
        if (np.abs(steps - whole) > 1e-3).any() or (whole < 0).any():
            raise UnsupportedLayerError(
                f"{where}: delays of {steps.min():g} to {steps.max():g} steps, expected whole ones"
            )
        try:
            whole = np.broadcast_to(whole, self.shape) if whole.size > 1 else whole.reshape(1)
        except ValueError:
            raise NetFileError(f"{where}: delay has shape {whole.shape}, got {self.shape}") from None
        if self._synapse is None:
            self._delay = self._delay + whole.reshape(-1)
            return
        bias = self._synapse.bias
        if whole.any() and bias is not None and bias.any():
            raise UnsupportedLayerError(f"{where}: delays a bias, which the chip's neurons have from the first step on")
        self._behind = self._behind + whole.reshape(-1)

    def _flattened(self, node: NirNode, where: str) -> None:
        start, end = (
            int(node.array(key)) if key in node.values else value for key, value in (("start_dim", 0), ("end_dim", -1))
        )
        if start not in (0, 1) or end not in (-1, len(self.shape) - 1, len(self.shape)):
            raise UnsupportedLayerError(f"{where}: flattens axes {start} to {end}; expected all of a map")
        if self._synapse is not None and len(self.shape) == 3:
            raise UnsupportedLayerError(f"{where}: between a convolution and its neurons; put it behind those")
        self.shape = (math.prod(self.shape),)
        self._flat = True


def array_fitting(node: NirNode, key: str, shape: Shape, where: str) -> Float64[np.ndarray, " ..."] | None:
    """An array of a node that is one number or has a given shape; None where it is not there.

    Raises:
        NetFileError: another shape.
    """
    if key not in node.values:
        return None
    values = node.array(key)
    if values.size == 1:
        return np.full(shape, values.item())
    if values.shape != shape:
        raise NetFileError(f"{where}: {key} has shape {values.shape}, expected {shape}")
    return values


def _by_channel(values: np.ndarray, shape: Shape, where: str) -> np.ndarray:
    """One number a channel, of a map's."""
    spread = np.broadcast_to(values, shape).reshape(shape[0], -1)
    if (spread != spread[:, :1]).any():
        raise UnsupportedLayerError(
            f"{where}: {values.min():g} to {values.max():g} within a channel, whose pixels share their weights"
        )
    return spread[:, 0]


def _pair(node: NirNode, key: str, least: int, where: str, *, line: bool = False) -> Pair:
    """``(y, x)``; of one axis, on a map that is one pixel high."""
    values = node.array(key).reshape(-1)
    if values.size not in (1, 2) or (values != np.rint(values)).any() or (values < least).any():
        raise NetFileError(f"{where}: {key} is {values.tolist()[:4]}, expected whole numbers from {least} on")
    if line:
        return (0 if key == "padding" else 1), int(values[-1])
    return int(values[0]), int(values[-1])


def _padding(node: NirNode, weight: tuple[int, ...], stride: Pair, dilation: Pair, where: str, *, line: bool) -> Pair:
    word = node.values.get("padding")
    if not isinstance(word, str):
        return _pair(node, "padding", 0, where, line=line)
    spans = [d * (k - 1) for k, d in zip(weight[2:], dilation, strict=True)]
    if word == "valid":
        return 0, 0
    if word == "same" and stride == (1, 1) and not any(span % 2 for span in spans):
        return spans[0] // 2, spans[1] // 2
    raise UnsupportedLayerError(
        f"{where}: padding '{word}' of a kernel {weight[2:]}, stride {stride}; expected numbers"
    )
