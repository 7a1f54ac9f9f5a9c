"""The plan holds on Lava's clock: no state leaks from image to image, whatever the window and the depth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from deploy.cli import main
from deploy.lava.jobs import WindowsJob
from deploy.lava.results import LavaRun
from deploy.lava.run import run_lava_jobs
from deploy.plan import Plan, plan
from esvae.chip.neuron import lif_step
from esvae.errors import DataError
from export.ir import Dense, Lif, Network
from export.netx.write import write_netx
from sim import reference
from sim.trace import named_traces

DEPTH, WIDTH, IMAGES = 12, 4, 3


def chain(depth: int, steps: int) -> Network:
    """Dense layers whose neurons hold on to current and potential, are driven by biases, and fire now and then."""
    rng = np.random.default_rng(3)
    layers = []
    for _ in range(depth):
        weight = rng.integers(-40, 90, (WIDTH, WIDTH)) * 2
        layers.append(Dense(weight, rng.integers(-20, 60, WIDTH), Lif(2048, 256, 150)))
    return Network((WIDTH,), tuple(layers), time_steps=steps)


def raster(steps: int) -> np.ndarray:
    """Three images; the last is the first again, so that what came between would show."""
    spikes = (np.random.default_rng(steps).random((IMAGES, steps, WIDTH)) < 0.6).astype(np.uint8)
    spikes[-1] = spikes[0]
    return spikes


def on_lavas_clock(network: Network, made: Plan, spikes: np.ndarray, late: int = 0) -> np.ndarray:
    """All images back to back: each synapse holds its sums back a step, each layer is reset when the plan says.

    Returns:
        Potential and spikes of every layer after every time step, ``(time steps, 2, layers, neurons)``.
    """
    layers = [layer for layer, _, _ in network.synapses()]
    weight, bias = (np.stack([getattr(layer, name) for layer in layers]) for name in ("weight", "bias"))
    phases = np.array([layer.reset_phase for layer in made.layers])
    u, v, held = (np.zeros((len(layers), WIDTH), np.int64) for _ in range(3))
    history = []
    for time in range(1, made.total + 1):
        at = time - made.start
        entering = spikes.reshape(-1, WIDTH)[at] if 0 <= at < made.images * made.steps else np.zeros(WIDTH, np.int64)
        reset = (time - late) % made.reset_interval == phases
        u[reset], v[reset] = 0, 0
        u, v, fired = lif_step(u, v, held, bias, layers[0].neuron)
        held = np.einsum("koi,ki->ko", weight, np.concatenate((entering[None], fired[:-1])), dtype=np.int64)
        history.append([v.copy(), fired])
    return np.array(history)


def leaks(network: Network, made: Plan, spikes: np.ndarray, late: int = 0) -> list[int]:
    """For which layers any state in any window differs from that of the image run alone, from rest."""
    history = on_lavas_clock(network, made, spikes, late)
    wrong = []
    for k, alone in enumerate(reference.simulate(network, spikes)):
        first = made.layers[k].first - 1
        window = history[first : first + made.images * made.steps, :, k]
        v, s = (window[:, i].reshape(made.images, made.steps, WIDTH) for i in (0, 1))
        if not (np.array_equal(v, alone.v) and np.array_equal(s, alone.s)):
            wrong.append(k)
    return wrong


# shorter than the chain, as long, longer than twice that, and a power of two
@pytest.mark.parametrize("steps", [*range(1, 2 * DEPTH + 2), 63, 64])
def test_nothing_leaks_at_any_depth(steps: int) -> None:
    """The clocks of the first layers do not depend on those behind them: a chain of 12 holds all depths from 1."""
    network, spikes = chain(DEPTH, steps), raster(steps)
    made = plan(network, IMAGES)
    assert leaks(network, made, spikes) == []
    for depth in range(1, DEPTH + 1):
        part = plan(Network((WIDTH,), network.layers[:depth], time_steps=steps), IMAGES)
        assert part.layers == made.layers[:depth]
        assert part.total == IMAGES * steps + depth == part.windows[-1][1]
        assert part.windows[0] == (depth + 1, depth + steps)


def test_the_check_sees_a_leak() -> None:
    """A reset that comes a step late or early shows in every layer: the test above has something to find."""
    network, spikes = chain(DEPTH, 5), raster(5)
    for late in (-1, 1):
        assert leaks(network, plan(network, IMAGES), spikes, late) == list(range(DEPTH))


def test_a_source_that_starts_later_moves_everything() -> None:
    network, spikes = chain(3, 4), raster(4)
    made = plan(network, IMAGES, start=7)
    assert leaks(network, made, spikes) == []
    assert (made.total, made.layers[0].first, made.reset_offset) == (6 + IMAGES * 4 + 3, 8, 7)


@pytest.mark.lava
def test_lava_keeps_the_plan(tmp_path: Path) -> None:
    cases = [(1, 1), (1, 7), (3, 12), (16, 2)]  # steps and depth
    jobs = [
        WindowsJob(write_netx(chain(depth, steps), tmp_path / f"{depth}.net"), raster(steps), trace=True)
        for steps, depth in cases
    ]
    for (steps, depth), run in zip(cases, run_lava_jobs(jobs), strict=True):
        assert isinstance(run, LavaRun), run
        assert run.trace is not None
        network = chain(depth, steps)
        for name, alone in named_traces(list(reference.simulate(network, raster(steps))), network).items():
            np.testing.assert_array_equal(run.trace[name], alone, name)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write_netx(chain(2, 8), tmp_path / "chain.net"))
    with pytest.raises(SystemExit) as left:
        main(["plan", path, "-n", "4", "--json"])
    assert left.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["total"], told["latency"], told["reset_interval"], told["reset_offset"]) == (34, 2, 8, 1)
    assert told["windows"] == [[3, 10], [11, 18], [19, 26], [27, 34]]
    with pytest.raises(SystemExit):
        main(["plan", path, "-n", "4"])
    assert "3-10, 11-18, 19-26, ... 27-34" in capsys.readouterr().out


def test_what_cannot_be_planned() -> None:
    network = chain(1, 4)
    with pytest.raises(DataError, match="0 images: expected at least 1"):
        plan(network, 0)
    with pytest.raises(DataError, match="says no window; give its length with --steps"):
        plan(Network((WIDTH,), network.layers), 1)
    with pytest.raises(DataError, match="a window of 0 steps"):
        plan(network, 1, steps=0)
