"""What compiled kernels make of bfloat16 is what torch makes of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from esvae.machine.jit import kernel
from esvae.neurons.bfloat16 import as_array, narrowed, widened


@kernel()
def _convert(given: Any, found: Any) -> None:
    for i in range(len(given)):
        found[i] = narrowed(widened(given[i]), found)


def test_every_word_is_read_as_torch_reads_it_and_written_back() -> None:
    words = torch.arange(1 << 16, dtype=torch.int32).to(torch.int16)
    halves, found = words.view(torch.bfloat16), np.empty(1 << 16, np.float32)
    _convert(as_array(halves), found)
    wanted = halves.float().numpy()
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(widened(as_array(halves)), wanted)
    back = np.empty(1 << 16, np.uint16)
    _convert(found, back)
    numbers = ~np.isnan(wanted)
    np.testing.assert_array_equal(back[numbers], as_array(halves)[numbers])
    assert torch.from_numpy(back[~numbers].view(np.int16)).view(torch.bfloat16).isnan().all()


@given(arrays(np.float32, 40, elements=st.floats(width=32)))
def test_is_rounded_as_torch_rounds(values: np.ndarray) -> None:
    found = np.empty(len(values), np.uint16)
    _convert(values, found)
    got = torch.from_numpy(found.view(np.int16)).view(torch.bfloat16)
    torch.testing.assert_close(got, torch.from_numpy(values).to(torch.bfloat16), rtol=0, atol=0, equal_nan=True)


def test_other_numbers_stay_what_they_are() -> None:
    for kind in (np.float32, np.float64):
        values, found = np.asarray([0.1, -3.7, np.inf], kind), np.empty(3, kind)
        _convert(values, found)
        np.testing.assert_array_equal(found, values)
        assert widened(values) is values
