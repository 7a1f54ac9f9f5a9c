"""The list of events against numpy's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esvae.machine.events import ROOM, list_events, places_of_bytes
from esvae.machine.jit import kernel


@kernel()
def listed(row, channels, each, table, places, first):  # type: ignore[no-untyped-def]
    list_events(row, channels, each, table, places, first)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@given(
    pixels=st.integers(1, 40),
    channels=st.integers(1, 90),
    activity=st.sampled_from([0.0, 0.1, 0.6, 1.0]),
    seed=st.integers(0, 99),
)
def test_any_row(kind: type, pixels: int, channels: int, activity: float, seed: int) -> None:
    each = 1 + seed % 3
    generator = np.random.default_rng(seed)
    row = np.where(generator.random(pixels * channels) < activity, generator.integers(1, 255), 0).astype(kind)
    places, first = np.full(len(row) + ROOM, -1, np.int32), np.full(pixels + 1, -1)
    listed(row, channels, each, places_of_bytes(each), places, first)
    expected = np.flatnonzero(row)
    assert places[: first[-1]].tolist() == (expected * each).tolist()
    assert first.tolist() == np.searchsorted(expected, np.arange(pixels + 1) * channels).tolist()
