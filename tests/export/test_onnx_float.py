"""The ONNX graph of a float network against torch's decoder, and against the equations for neurons that ours are not."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from esvae.config import load_config
from esvae.model import Esvae
from esvae.run import Run
from export.float_network import FloatLayer, FloatNetwork, Norm
from export.frontends import from_run
from export.ir import Conv, ConvTranspose, Dense, Flatten, FloatLif
from export.onnx_float import float_model, write_float_onnx
from export.passes import fold_norm

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

#: Where torch and ONNX Runtime sum in different order, a potential differs by at most the rounding of its terms: of n
#: terms of magnitude at most m the sum errs by n * m * 2^-24.  Layers here sum at most 32 * 64 kernel taps below 1 in
#: magnitude, most of them silent, and potentials keep less than half of an error from step to step.
ROUNDING = 32 * 64 * 2.0**-24


def run(network: FloatNetwork, spikes: np.ndarray, *, hidden: bool = True) -> dict[str, np.ndarray]:
    model = float_model(network, hidden=hidden)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"spikes": spikes}), strict=True))
