"""What annotations say of arrays holds at every call while tests run, and costs nothing outside of them."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from beartype import beartype
from jaxtyping import TypeCheckError, jaxtyped

from array_checks import FIRST, THEN_EVERY, Loader, checked_modules
from esvae.chip.lif import integer_lif, integer_readout
from esvae.chip.neuron import Lif
from esvae.neurons.lif import lif
from esvae.neurons.norm_lif import DrivingNorm, norm_lif
from sim.sampler import advance, sample_spikes
from sim.trace import Trace

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", checked_modules())
def test_a_module_that_annotates_arrays_is_checked(name: str) -> None:
    loader = importlib.import_module(name).__spec__.loader
    assert isinstance(loader, Loader)


def test_axes_of_one_name_are_equally_long() -> None:
    codes = np.zeros((2, 3), np.int64)
    assert sample_spikes(codes, np.ones((2, 3), np.uint32), 4, 8).shape == (2, 4, 3)
    with pytest.raises(TypeCheckError, match="states"):
        sample_spikes(codes, np.ones((2, 1), np.uint32), 4, 8)


def test_kinds_of_numbers_are_told_apart() -> None:
    with pytest.raises(TypeCheckError, match="UInt32"):
        advance(np.ones(3, np.int64), 1)


def test_the_arrays_of_a_dataclass_are_checked() -> None:
    state = np.zeros((1, 2, 3), np.int32)
    with pytest.raises(TypeCheckError):
        Trace(state, state, state[..., :2])


def test_a_call_is_checked_even_after_many() -> None:
    right, wrong = np.ones(3, np.uint32), np.ones(3, np.int64)
    for _ in range(FIRST + 1):
        advance(right, 1)
    with pytest.raises(TypeCheckError, match="UInt32"):
        [advance(wrong, 1) for _ in range(THEN_EVERY)]


NEURON, SUMS, BIAS = Lif(4096, 2048, 1), torch.ones(4, 2, 3), torch.ones(3)
FLOAT_NEURON: dict[str, Any] = {"keep": 0.5, "threshold": 0.2, "width": 0.4}
NORM = (DrivingNorm(BIAS, BIAS, BIAS, BIAS, 0.1, 1e-5, training=False), (0.5, 0.2, 0.4))

#: Calls that fit, of functions in modules that numba compiles, and with an axis of which they do not.
COMPILED: list[tuple[Callable[..., torch.Tensor], tuple[Any, ...], dict[str, Any], tuple[Any, ...]]] = [
    (integer_lif, (SUMS, BIAS, NEURON), {}, (SUMS, BIAS[:2], NEURON)),
    (integer_readout, (SUMS, BIAS, NEURON), {}, (SUMS[0], BIAS, NEURON)),
    (lif, (SUMS.flatten(0, 1), 4), FLOAT_NEURON, (SUMS.long(), 4)),
    (norm_lif, (SUMS.flatten(0, 1), 4, *NORM), {}, (SUMS.long(), 4, *NORM)),
]


@pytest.mark.parametrize(("function", "fits", "options", "wrong"), COMPILED)
def test_what_numba_compiles_is_annotated_truly(
    function: Callable[..., torch.Tensor], fits: tuple[Any, ...], options: dict[str, Any], wrong: tuple[Any, ...]
) -> None:
    checked = jaxtyped(function, typechecker=beartype)
    assert torch.equal(checked(*fits, **options), function(*fits, **options))
    with pytest.raises(TypeCheckError):
        checked(*wrong, **options)


#: An array of another kind than is annotated, of which numpy makes something.
CALL = """
import sys
import numpy as np
from sim.sampler import codes_from_counts
print(codes_from_counts(np.array([0.0, 2.0]), 4, 8).tolist(), "beartype" in sys.modules)
"""


def test_nothing_is_checked_outside_of_tests() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", CALL], env=environment, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout == "[0, 128] False\n"
