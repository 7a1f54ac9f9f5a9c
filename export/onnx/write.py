"""The two ONNX files of a decoder: its integer twin, and beside it the float network that it was made of."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from esvae.errors import ConfigError
from esvae.machine.arguments import path_argument
from export.ir import Network
from export.ir.floats import FloatNetwork
from export.onnx.float import write_float_onnx
from export.onnx.graph import load_onnx
from export.onnx.integer import write_onnx
from export.passes import fold_norm

__all__ = ["OnnxFiles", "check_target", "write_onnx_pair"]


@dataclass(frozen=True)
class OnnxFiles:
    """What was written: the integer twin and the float decoder."""

    integer: Path
    float: Path


def check_target(target: str | os.PathLike[str]) -> Path:
    """Where the float decoder goes: ``decoder.float.onnx`` beside ``decoder.onnx``.

    Raises:
        ConfigError: no name, one that does not end in ``.onnx``, or ``onnx`` is not installed.
    """
    path = path_argument(target, "--onnx", "a name that ends in .onnx")
    if path.suffix != ".onnx":
        raise ConfigError(f"--onnx {target}: expected a name that ends in .onnx")
    load_onnx()
    return path.with_suffix(".float.onnx")


def write_onnx_pair(floats: FloatNetwork, integers: Network, target: str | os.PathLike[str]) -> OnnxFiles:
    """Writes the integer twin to ``target`` and the float decoder beside it.

    Args:
        floats: as a frontend made it; its norms are folded here.
        integers: what the passes made of it. Before lowering it keeps the trained layers, which compute the same
            integers in a smaller graph.
        target: the integer twin's file, ``.onnx``.

    Raises:
        ConfigError: no name, another one, or ``onnx`` is not installed.
        EsvaeError: a file cannot be written.
    """
    beside = check_target(target)
    return OnnxFiles(write_onnx(integers, target), write_float_onnx(fold_norm(floats), beside))
