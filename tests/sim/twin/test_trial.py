"""When trials are made, and on what: rasters that keep a form busy, and no larger ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from export.ir import Conv, Lif, Network
from sim.twin import sums, trial
from sim.twin.engine import Engine
from sim.twin.gather import GatherSums
from sim.twin.sums import Path
from sim.twin.trial import least_seconds, raster_for


class Clock:
    """Seconds as forms take them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(trial.time, "perf_counter", lambda: self.now)

    def form(self, *, to_begin: float, a_step: float) -> trial.Form:
        """One that takes so long for each call and step."""

        def run(raster: torch.Tensor) -> None:
            self.now += to_begin + a_step * len(raster)

        return run


@pytest.mark.parametrize("a_step", [1e-7, 3e-6, 1e-4, 1e-1])
def test_a_form_is_busy(a_step: float, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    form = clock.form(to_begin=3e-5, a_step=a_step)
    raster = raster_for(form, 100, 300, products=30_000, active=0.25)
    (seconds,) = least_seconds((form, raster))
    assert seconds >= trial._SECONDS or len(raster) == trial._MOST // 300
    assert len(raster) >= 64
    assert clock.now < 1.0 + 4 * 64 * a_step + 20 * seconds


def test_a_large_layer_is_tried_on_a_step() -> None:
    raster = raster_for(lambda _: None, 1 << 22, 8, products=1 << 25, active=0.5)
    assert raster.shape == (1, 1, 1 << 22)


@pytest.mark.parametrize("active", [0.0, 0.25, 0.5, 1.0])
def test_as_many_fire_as_are_asked_for(active: float) -> None:
    raster = raster_for(lambda _: None, 1000, 1000, products=1 << 20, active=active)
    assert raster.dtype == torch.uint8
    assert set(raster.unique().tolist()) <= {0, 1}
    assert raster.float().mean().item() == pytest.approx(active, abs=0.01)


def test_the_least_of_each_form_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    raster = torch.zeros(10, 1, 4, dtype=torch.uint8)
    slow, quick = clock.form(to_begin=1.0, a_step=0.5), clock.form(to_begin=0.25, a_step=0.0)
    assert least_seconds((slow, raster), (quick, raster)) == [6.0, 0.25]


@pytest.mark.parametrize("path", ["auto", "dense", "gather", "float"])
def test_what_is_little_is_not_tried(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial takes as long as some hundred rows of a layer; forms are tried out once that many came."""
    tried = list[str]()
    monkeypatch.setattr(GatherSums, "worth", lambda *_: tried.append("gather") or 0.0)
    monkeypatch.setattr(sums, "byte_sums", lambda *_: tried.append("bytes"))
    weight = np.ones((8, 8, 3, 3), np.int32)
    layer = Conv(weight, None, Lif(4096, 0, 1), padding=(1, 1))
    engine = Engine(Network((8, 16, 16), (layer,)), path=path)
    spikes = np.ones((40, 10, 8, 16, 16), np.uint8)
    enough = sums._WORTH_TRYING // (8 * 8 * 9 * 16 * 16)
    expected = engine.final_potentials(spikes)
    runs = 1
    while runs * 400 < enough - 400:
        assert tried == (["bytes"] if path == "dense" else [])
        np.testing.assert_array_equal(engine.final_potentials(spikes), expected)
        runs += 1
    for _ in range(3):
        np.testing.assert_array_equal(engine.final_potentials(spikes), expected)
    assert tried[:1] == {"auto": ["gather"], "dense": ["bytes"]}.get(path, [])
