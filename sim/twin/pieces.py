"""How a layer's neurons are cut into pieces whose sums a processor keeps in registers, and the weights of each piece.

A row of output pixels is cut into groups of pixels that read alike, a group's neurons, channels innermost, into pieces
of a fixed number; what is too many in the last piece of a group has no weights. In one row of the input a piece reads
some columns side by side. Of two ways to cut a layer, the better one adds fewer rows of weights, or narrower ones.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from esvae.arrays import Integer
from export.ir import Conv, ConvTranspose, Shape
from export.ir.geometry import factor_after, open_reads, reads

__all__ = ["LANES", "Pieces"]

#: Neurons to a piece: the kernel has a loop for each.
LANES = (128, 64, 32)
#: What it costs to find a row of weights, in additions of eight neurons.
_FINDING = 5
#: Alignment of a row of weights, bytes.
_LINE = 64
#: Bytes that the weights of a layer may take where fewer would do.
_MOST = 1 << 20


class Pieces:
    """A layer's neurons in pieces.

    Args:
        layer: a (transposed) convolution without groups.
        input_shape, output_shape: ``(C, H, W)``.
        weight: of the layer; the range of its values, 0 among them, is that of a byte.

    Attributes:
        lanes: neurons to a piece.
        rows: output row, input row and kernel row of each that meet: int64 ``(n, 3)``, kernel rows outermost.
        pieces: of each piece of a group the first input column that it reads (may lie beyond the map), columns, its
            first weight, and weights to a kernel row: int64 ``(pieces, 4)``.
        groups: groups to a row, neurons to a group, and by how many columns of the input groups lie apart.
        weight: uint8, each a weight less ``offset``; of a piece ``(kernel rows, columns, inputs, lanes)``.
        offset: of a weight.
    """

    def __init__(
        self,
        layer: Conv | ConvTranspose,
        input_shape: Shape,
        output_shape: Shape,
        weight: Integer[np.ndarray, "_outputs _inputs kh kw"],
    ) -> None:
        # (outputs, inputs, rows, columns) to (rows, columns, inputs, outputs)
        order = (2, 3, 0, 1) if isinstance(layer, ConvTranspose) else (2, 3, 1, 0)
        taps = weight.transpose(order)
        self._channels, width = output_shape[0], output_shape[2]
        down = reads(layer, input_shape, output_shape, 0)
        tap, y = np.nonzero(down.T >= 0)
        self.rows = np.stack([y, down[y, tap], tap], axis=1)
        # Of each output column, and of one more, the columns that the taps read, and whether there are any.
        self._read, self._exists = open_reads(layer, 1, np.arange(width + 1))
        pixels, self.lanes = self._cut(width, factor_after(layer, (1, 1))[1], taps[:, 0, :, 0].size)
        self.groups = width // pixels, pixels * output_shape[0], int(self._read[pixels, 0] - self._read[0, 0])
        self.offset = min(0, int(weight.min()))
        pieces, weights, held = [], [], 0
        for number in range(-(-self.groups[1] // self.lanes)):
            first, matrix = self._piece(taps, number)
            pieces.append((first, matrix.shape[1], held, matrix[0].size))
            weights.append(self._interleaved(matrix))
            held += matrix.size
        self.pieces, self.weight = np.array(pieces, np.int64), _aligned(np.concatenate(weights))

    def _cut(self, width: int, alike: int, inputs: int) -> tuple[int, int]:
        """Pixels to a group, a multiple of those that lie ``alike``, and neurons to a piece."""
        whole = [g for g in range(alike, width, alike) if width % g == 0]
        ways = [(pixels, lanes) for pixels in (*whole, width) for lanes in LANES]
        columns = {way: sum(len(self._columns(*ends)) for ends in self._ends(*way)) for way in ways}
        least = min(columns[way] * way[1] for way in ways) * inputs

        def cost(way: tuple[int, int]) -> float:
            large = columns[way] * way[1] * inputs > max(least, _MOST)
            return math.inf if large else columns[way] * (_FINDING + way[1] / 8) / way[0]

        return min(ways, key=cost)

    def _ends(self, pixels: int, lanes: int) -> list[tuple[int, int]]:
        """First and last pixel of each piece of a group."""
        neurons = pixels * self._channels
        starts = range(0, neurons, lanes)
        return [(low // self._channels, (min(neurons, low + lanes) - 1) // self._channels) for low in starts]

    def _columns(self, first: int, last: int) -> range:
        """Columns of the input between the first and the last that pixels read."""
        within = slice(first, last + 1)
        found = self._read[within][self._exists[within]]
        return range(int(found.min()), int(found.max()) + 1) if len(found) else range(1)

    def _piece(self, taps: np.ndarray, number: int) -> tuple[int, np.ndarray]:
        """Of a piece the first input column that it reads, and weights ``(rows, columns, inputs, lanes)``."""
        low = number * self.lanes
        lane = np.arange(min(self.lanes, self.groups[1] - low))
        pixel, channel = np.divmod(low + lane, self._channels)
        columns = self._columns(int(pixel[0]), int(pixel[-1]))
        matrix = np.zeros((taps.shape[0], len(columns), taps.shape[2], self.lanes), np.int16)
        for x in np.unique(pixel).tolist():
            inside = lane[pixel == x]
            for tap in np.flatnonzero(self._exists[x]):
                matrix[:, self._read[x, tap] - columns.start, :, inside] = taps[:, tap, :, channel[inside]]
        return columns.start, matrix

    def _interleaved(self, matrix: np.ndarray) -> np.ndarray:
        """A piece's weights as bytes, first and second half of the lanes in turn."""
        halves = matrix.reshape(*matrix.shape[:-1], 2, -1).swapaxes(-1, -2)
        return (halves.reshape(-1) - self.offset).astype(np.uint8)

    @property
    def settings(self) -> tuple[object, ...]:
        """What a kernel takes of it, the row's neurons first."""
        return self.groups[0] * self.groups[1], self.rows, self.pieces, self.groups, self.weight, self.offset


def _aligned(weight: np.ndarray) -> np.ndarray:
    """A copy whose rows begin at a line of the cache."""
    room = torch.empty(weight.size + _LINE, dtype=torch.uint8).numpy()
    start = -room.ctypes.data % _LINE
    held: np.ndarray = room[start : start + weight.size]
    held[:] = weight
    return held
