"""The two places where a sweep depends on how networks are calibrated and fine-tuned; all else is the sweep's own.

Calibration: :data:`CALIBRATIONS` names the methods, :func:`export_point` hands the chosen one on to the exporter.
Fine-tuning: :func:`fine_tuned` makes, of a run, one that was trained on the chip's grid.
"""

from __future__ import annotations

import os
from pathlib import Path

from esvae.errors import ConfigError
from export.float_network import FloatNetwork
from export.pipeline import Exported, export_network

__all__ = ["CALIBRATIONS", "QAT_AVAILABLE", "export_point", "fine_tuned"]

#: Ways to choose the scales of the layers, the default first; ``max`` lets the largest weight meet the largest level.
CALIBRATIONS: tuple[str, ...] = ("max",)

#: Whether :func:`fine_tuned` can do what it says.
QAT_AVAILABLE = False


def export_point(network: FloatNetwork, target: Path, *, bits: int, lowering: str, calibration: str) -> Exported:
    """Exports with the settings of a point."""
    if calibration != CALIBRATIONS[0]:
        raise ConfigError(f"calibration {calibration}: expected {', '.join(CALIBRATIONS)}")
    return export_network(network, target, weight_bits=bits, lowering=lowering)  # type: ignore[arg-type]


def fine_tuned(run: str, bits: int, out: Path, data_root: str | os.PathLike[str] | None) -> str:
    """Trains a run further with weights of ``bits`` bits into the directory ``out``; gives its path.

    Raises:
        ConfigError: this version trains in float alone.
    """
    raise ConfigError("--qat: this version has no quantization-aware training; leave --qat out")
