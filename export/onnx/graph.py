"""A small builder of ONNX graphs: operators by name, constants stored once, names and bytes that do not vary.

``onnx`` is an extra and imported late. Files are of operator set 18 and IR version 8, which every release of the extra
reads and every release of ONNX Runtime from 1.18 on runs.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from esvae import __version__
from esvae.errors import ConfigError, NetFileError
from esvae.machine.files import write_bytes
from export.ir import ImageReadout

__all__ = ["IR_VERSION", "OPERATOR_SET", "Graph", "image_from", "load_onnx", "metadata", "save_model"]

OPERATOR_SET, IR_VERSION = 18, 8

#: Bytes that one ONNX file holds at most, which is protobuf's limit of a message.
_MAX_BYTES = (1 << 31) - 1


def load_onnx() -> Any:
    """The ``onnx`` package.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise ConfigError(f"onnx is not installed ({error}); run: pip install 'esvae-loihi[onnx]'") from None
    return onnx


class Graph:
    """Operators in the order in which they are added.

    Attributes:
        scope: goes before the name of every operator and value that is added.
    """

    def __init__(self, parent: Graph | None = None) -> None:
        self._onnx = load_onnx()
        self._parent = parent
        self._nodes: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], Any] = {}
        self._count = 0
        self.scope: str = "" if parent is None else parent.scope

    def constant(self, values: Any, dtype: Any) -> str:
        """The name of a constant; equal ones are stored once, in the outermost graph, whose names a body sees."""
        if self._parent is not None:
            return self._parent.constant(values, dtype)
        array = np.ascontiguousarray(np.asarray(values, dtype)).reshape(np.shape(values))
        key = (array.dtype.str, array.shape, hashlib.sha256(array.tobytes()).digest())
        if key not in self._constants:
            name = f"constant{len(self._constants)}"
            self._constants[key] = self._onnx.numpy_helper.from_array(array, name)
        found: str = self._constants[key].name
        return found

    def op(self, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Adds an operator with one output and gives the output's name, which is ``name`` or made up."""
        return self.ops(kind, inputs, [name or self.fresh(kind)], **attributes)[0]

    def ops(self, kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> Sequence[str]:
        """Adds an operator with named outputs."""
        made = self._onnx.helper.make_node(kind, inputs, outputs, name=self.fresh(kind), **attributes)
        self._nodes.append(made)
        return outputs

    def cast(self, value: str, dtype: Any) -> str:
        """``value`` as another type."""
        return self.op("Cast", value, to=self._type(dtype))

    def reshape(self, value: str, shape: Sequence[int], name: str | None = None) -> str:
        """``value`` with another shape; -1 once for what the others leave."""
        return self.op("Reshape", value, self.constant(shape, np.int64), name=name)

    def pixels(self, value: str, coarse: Sequence[int], factor: Sequence[int], name: str | None = None) -> str:
        """Cells as the maps that they make up, as :func:`export.ir.geometry.pixels` has it.

        Args:
            value: ``(rows, C * fy * fx, h, w)``, of any shape with as many numbers a row.
            coarse: ``(C, h, w)``.
            factor: ``(fy, fx)``.
            name: of the result.

        Returns:
            ``(rows, C, fy * h, fx * w)``.
        """
        channels, *grid = coarse
        turned = self.op("Transpose", self.reshape(value, (-1, channels, *factor, *grid)), perm=[0, 1, 4, 2, 5, 3])
        return self.reshape(turned, (-1, channels, *(f * n for f, n in zip(factor, grid, strict=True))), name)

    def input(self, name: str, dtype: Any, shape: Sequence[int | str | None] | None) -> str:
        """Adds an input; axes with a name are of any size, a shape of None is not said."""
        self._inputs.append(self._onnx.helper.make_tensor_value_info(name, self._type(dtype), shape))
        return name

    def output(self, name: str, dtype: Any, shape: Sequence[int | str | None] | None) -> str:
        """Adds an output, the value of that name."""
        self._outputs.append(self._onnx.helper.make_tensor_value_info(name, self._type(dtype), shape))
        return name

    def zeros(self, size: str, dtype: Any) -> str:
        """Zeros of the shape that the value ``size`` holds."""
        return self.op("ConstantOfShape", size, value=self._onnx.numpy_helper.from_array(np.zeros(1, dtype), "zero"))

    def body(self) -> Graph:
        """An empty graph for the body of a Scan in this one."""
        return Graph(self)

    def proto(self, name: str) -> Any:
        """The graph as ONNX has it."""
        return self._onnx.helper.make_graph(
            self._nodes, name, self._inputs, self._outputs, initializer=list(self._constants.values())
        )

    def model(self, name: str, about: str, metadata: Mapping[str, str]) -> Any:
        """The whole model, checked by ONNX's checker, shapes included.

        Args:
            name: of the graph.
            about: one paragraph for whoever opens the file.
            metadata: texts by key, written in alphabetic order.

        Raises:
            NetFileError: it would not fit one file.
        """
        size = sum(len(tensor.raw_data) for tensor in self._constants.values())
        if size > _MAX_BYTES:
            raise NetFileError(
                f"the weights take {size:,} bytes, and one ONNX file holds {_MAX_BYTES:,}; export without unrolling "
                "(--lowering native or subpixel)"
            )
        helper = self._onnx.helper
        made = helper.make_model(
            self.proto(name),
            opset_imports=[helper.make_opsetid("", OPERATOR_SET)],
            ir_version=IR_VERSION,
            producer_name="esvae-loihi",
            producer_version=__version__,
            doc_string=about,
        )
        helper.set_model_props(made, dict(sorted(metadata.items())))
        self._onnx.checker.check_model(made, full_check=True)
        return made

    def _type(self, dtype: Any) -> int:
        found: int = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return found

    def fresh(self, kind: str) -> str:
        """A name that nothing else in the graph or its bodies has."""
        if self._parent is not None:
            return self._parent.fresh(kind)
        self._count += 1
        return f"{self.scope}/{kind}{self._count}"


def metadata(kind: str, network_hash: str | None, steps: int, provenance: Mapping[str, str]) -> dict[str, str]:
    """What both writers put beside the graph; the provenance as one text, so that no key of it can meet one of ours."""
    found = {"kind": kind, "time_steps": str(steps), "provenance": json.dumps(dict(provenance), sort_keys=True)}
    return found if network_hash is None else found | {"content_hash": network_hash}


def image_from(graph: Graph, value: str, readout: ImageReadout, name: str) -> str:
    """Pixels ``(images, *layer shape)`` in their places, ``(images, C, H, W)``: torch's ``pixel_shuffle``."""
    channels, height, width = readout.image_shape
    r = readout.upscale
    if r > 1:
        return graph.pixels(value, (channels, height // r, width // r), (r, r), name)
    return graph.reshape(value, (-1, channels, height, width), name)


def save_model(model: Any, target: str | os.PathLike[str]) -> Path:
    """Writes a model, whole or not at all; the same model gives the same bytes.

    Raises:
        EsvaeError: the file cannot be written.
    """
    write_bytes(target, model.SerializeToString(deterministic=True))
    return Path(target)
