"""What can be chosen of an export, and whether it fits the network."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np

from esvae.chip.rounding import MAX_WEIGHT_BITS, MIN_WEIGHT_BITS
from esvae.errors import ConfigError, DataError
from esvae.machine.arguments import shown, whole_number
from export.circuit.generator import CircuitOptions
from export.ir import Network
from export.ir.floats import FloatNetwork
from export.passes import CALIBRATIONS, Calibration
from export.rasters import raster_of

__all__ = ["DEFAULT_CALIBRATION", "LOWERINGS", "Lowering", "Options", "fitting"]

#: ``none`` keeps the layers as trained; ``subpixel`` puts transposed convolutions on the coarse grid; ``dense`` unrolls
#: all layers; ``auto`` takes the cheaper of these two where netx cannot load a layer; ``native`` keeps the layers and
#: writes a file that stock netx refuses but our own loader takes (``--loader native``).
Lowering: TypeAlias = Literal["auto", "none", "subpixel", "dense", "native"]
LOWERINGS: tuple[str, ...] = get_args(Lowering)

DEFAULT_CALIBRATION: Calibration = "mse"


@dataclass(frozen=True)
class Options:
    """What can be chosen.

    Attributes:
        weight_bits: 2 to 8, sign included; None for those that the network was trained with, else 8.
        lowering: see :data:`Lowering`.
        calibration: how scales are chosen (see :mod:`export.passes.calibrate`), of layers that bring none.
        spikes: to calibrate and to judge with, ``(images, steps, *input shape)``; drawn from the prior where None.
        circuit: draw on the chip, by neurons made of the prior, instead of on the host.
        read_steps: of a read phase in which pixels tell their potentials by spikes; None to read potentials.

    Raises:
        ConfigError: a value that there is not.
        DataError: a number that is not whole.
    """

    weight_bits: int | None = None
    lowering: Lowering = "auto"
    calibration: Calibration = DEFAULT_CALIBRATION
    spikes: np.ndarray | None = None
    circuit: CircuitOptions | None = None
    read_steps: int | None = None

    def __post_init__(self) -> None:
        for name in ("weight_bits", "read_steps"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, whole_number(value, name))
        for option, value, known in (
            ("--lowering", self.lowering, LOWERINGS),
            ("--calibration", self.calibration, CALIBRATIONS),
        ):
            if value not in known:
                raise ConfigError(f"{option} {value}: expected {', '.join(known)}")
        if self.weight_bits is not None and not MIN_WEIGHT_BITS <= self.weight_bits <= MAX_WEIGHT_BITS:
            raise ConfigError(f"--weight-bits {self.weight_bits}: expected {MIN_WEIGHT_BITS} to {MAX_WEIGHT_BITS}")
        if not isinstance(self.circuit, CircuitOptions | None):  # a caller without types
            raise ConfigError(f"circuit {shown(self.circuit)}: expected export.circuit.generator.CircuitOptions")
        if self.read_steps is not None and self.read_steps < 1:
            raise ConfigError(f"--read-steps {self.read_steps}: expected at least 1")


def fitting(options: Options, network: FloatNetwork) -> Options:
    """The options for a network: with spikes as its passes take them.

    Raises:
        ConfigError: no options.
        DataError: no float network, or spikes that do not fit it.
    """
    if not isinstance(options, Options):  # a caller without types
        raise ConfigError(f"options {shown(options)}: expected export.pipeline.Options(...)")
    if isinstance(network, Network):
        raise DataError(f"{network!r} holds integers already; write it with export.netx.write_netx")
    if not isinstance(network, FloatNetwork):
        file = isinstance(network, str | os.PathLike)
        help = "let esvae.export read it" if file else "give it to esvae.from_norse or another esvae.from_... first"
        raise DataError(f"source {shown(network)}: a {type(network).__name__}; {help}")
    return (
        options if options.spikes is None else replace(options, spikes=raster_of(options.spikes, network.input_shape))
    )
