"""Sums of what fires: when they are taken, and that neither threads nor parts change a bit."""

from __future__ import annotations

import pytest
import torch

from esvae.machine.threads import threads
from esvae.model import event_sums
from esvae.model.event_sums import ConvSettings, event_gradient, few_events
from esvae.model.event_sums import event_sums as sums_of_events

CONV: ConvSettings = ((2, 2), (1, 1), (1, 1), False, (0, 0), 1)
TRANSPOSED: ConvSettings = ((2, 2), (1, 1), (1, 1), True, (1, 1), 1)
KINDS = [torch.float32, torch.bfloat16]


def innermost(x: torch.Tensor, kind: torch.dtype) -> torch.Tensor:
    return x.to(kind).contiguous(memory_format=torch.channels_last)


def raster(activity: float, kind: torch.dtype = torch.float32) -> torch.Tensor:
    draws = torch.rand(93, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    return innermost(draws < activity, kind)


@pytest.mark.parametrize("settings", [CONV, TRANSPOSED], ids=["conv", "transposed"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("images", "channels"), [(93, (16, 16)), (10, (17, 33)), (40, (16, 300))])
def test_threads_change_no_bit(
    settings: ConvSettings, kind: torch.dtype, images: int, channels: tuple[int, int]
) -> None:
    before, after = channels
    x = innermost(torch.rand(images, before, 8, 8) < 0.2, kind)
    weight = torch.randn(*((before, after) if settings[3] else (after, before)), 3, 3)
    side, found = 16 if settings[3] else 4, []
    grad = innermost(torch.randn(images, after, side, side), kind)
    for count in (1, 2, 3):
        with threads(count):
            found.append((sums_of_events(x, weight, settings), event_gradient(x, grad, (3, 3), settings)))
    for one, *others in zip(*found, strict=True):
        assert all(torch.equal(one, other) for other in others)


def test_factors_are_float32_whatever_comes_and_goes() -> None:
    x, weight = raster(0.2), torch.randn(16, 16, 3, 3)
    full, half = (sums_of_events(innermost(x, kind), weight, CONV) for kind in KINDS)
    assert torch.equal(half, full.bfloat16())


@pytest.mark.parametrize("kind", KINDS)
def test_taken_where_few_fire(kind: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_sums, "_has", lambda _: False)
    weight = torch.zeros(16, 16, 3, 3)
    assert few_events(raster(0.0, kind), weight, CONV) == (True, True)
    assert few_events(raster(0.15, kind), weight, CONV) == (True, True)
    assert few_events(raster(0.8, kind), weight, CONV) == (False, False)
    sums, gradient = event_sums._MOST[kind]
    assert few_events(raster((sums + gradient) / 2, kind), weight, CONV) == (False, True)


def test_sums_of_few_products_are_left_to_wider_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    for wide in (True, False):
        monkeypatch.setattr(event_sums, "_has", lambda name, wide=wide: wide and name == "avx512f")
        assert few_events(raster(0.1), torch.zeros(16, 16, 3, 3), CONV) == (True, True)
        assert few_events(raster(0.1), torch.zeros(16, 16, 3, 3), TRANSPOSED) == (not wide, True)


def test_left_where_vectors_would_hold_little() -> None:
    assert few_events(raster(0.15), torch.zeros(1, 16, 3, 3), CONV) == (False, False)


@pytest.mark.parametrize("place", [2, 5], ids=["dilation", "groups"])
def test_left_where_it_cannot_be(place: int) -> None:
    settings = list(CONV)
    settings[place] = (2, 2) if place == 2 else 2
    assert few_events(raster(0.0), torch.zeros(16, 16, 3, 3), tuple(settings)) == (False, False)  # type: ignore[arg-type]
    assert few_events(raster(0.0).double(), torch.zeros(16, 16, 3, 3), CONV) == (False, False)


def test_left_to_amx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_sums, "_has", lambda _: True)
    weight = torch.zeros(16, 16, 3, 3)
    assert few_events(raster(0.1, torch.bfloat16), weight, CONV) == (False, False)
    assert few_events(raster(0.1), weight, CONV) == (True, True)
