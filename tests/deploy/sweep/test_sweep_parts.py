"""The parts of a sweep: its front, its grid, its store, and windows."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.sweep import Grid, Point, Store, pareto_front, parse_names, parse_numbers
from deploy.sweep.pareto import dominates
from deploy.sweep.store import key_of
from deploy.sweep.types import Done
from deploy.sweep.window import readout_gain, with_window
from depth import examples
from esvae.config import config_from_dict, load_config, with_settings
from esvae.errors import ConfigError
from esvae.model import ESVAE
from esvae.run import Run

COSTS = st.lists(st.tuples(st.integers(0, 6).map(float), st.integers(0, 6).map(float)), max_size=25)
NEVER = math.inf


@settings(max_examples=examples(200))
@given(COSTS)
def test_the_front_is_what_nothing_dominates(costs: list[tuple[float, float]]) -> None:
    assert pareto_front(costs) == [not any(dominates(other, one) for other in costs) for one in costs]


@given(COSTS, st.randoms())
def test_the_order_of_points_changes_nothing(costs: list[tuple[float, float]], draws: object) -> None:
    mixed = sorted(costs, key=lambda _: draws.random())  # type: ignore[attr-defined]
    assert dict(zip(mixed, pareto_front(mixed), strict=True)) == dict(zip(costs, pareto_front(costs), strict=True))


def test_infinite_costs_and_what_is_no_number() -> None:
    assert pareto_front([(NEVER, 1.0), (0.0, NEVER), (1.0, 1.0)]) == [False, True, True]
    assert pareto_front([(NEVER, NEVER)]) == [True]
    with pytest.raises(ValueError, match="not a number"):
        pareto_front([(math.nan, 1.0)])


def test_a_grid_is_every_combination_once() -> None:
    grid = Grid((8, 2), (4, 2), ("auto", "dense"), ("mse", "max"), qat=True)
    points = grid.points()
    assert len(points) == len(set(points)) == 2 * 2 * 2 * 3
    assert [point.bits for point in points] == [8] * 12 + [2] * 12
    tuned = [point for point in points if point.qat]
    assert len(tuned) == 8
    assert {point.calibration for point in tuned} == {"learned"}
    assert len({point.label for point in points}) == len(points)


def test_labels_say_what_is_not_as_ever() -> None:
    assert Point(8, 16).label == "8 bit, 16 steps"
    assert Point(2, 4, "dense", "max").label == "2 bit, 4 steps, dense, max"
    assert Point(2, 4, calibration="learned", qat=True).label == "2 bit, 4 steps, QAT"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (((), (4,)), "--weight-bits: nothing given"),
        (((9,), (4,)), "--weight-bits 9: expected 2 to 8"),
        (((8,), (0,)), "--steps 0: expected 1 to"),
        (((8, 8), (4,)), "--weight-bits 8,8: a value is there twice"),
        (((8,), (4,), ("nonsense",)), "--lowering nonsense: expected auto"),
        (((8,), (4,), ("auto",), ("learned",)), "--calibration learned: expected max"),
    ],
)
def test_a_grid_that_does_not_hold_is_refused(values: tuple[tuple[int, ...], ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Grid(*values)  # type: ignore[arg-type]


def test_lists_by_comma() -> None:
    assert parse_numbers(" 8, 6,", "--bits") == (8, 6)
    assert parse_names("auto, dense") == ("auto", "dense")
    with pytest.raises(ConfigError, match="--bits 8,x: expected whole numbers"):
        parse_numbers("8,x", "--bits")


INPUTS = {"point": {"bits": 8}, "weights_sha256": "ab"}
KEY = key_of(INPUTS)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    store.keep(KEY, INPUTS, Done({"quality": 1.5}, b"network"))
    return store


def test_what_is_kept_is_read(store: Store) -> None:
    assert store.read(KEY).outcome == {"quality": 1.5}
    assert store.net(KEY).read_bytes() == b"network"
    assert store.read(key_of({**INPUTS, "weights_sha256": "ac"})).outcome is None
    assert key_of(dict(reversed(INPUTS.items()))) == KEY
    assert len(list(store.points.iterdir())) == 2


@pytest.mark.parametrize(
    ("suffix", "before", "after", "message"),
    [
        (".net", "network", "netwerk", "not the file that was written"),
        (".json", "1.5", "1.4", "its figures are not those"),
        (".json", '"bits": 8', '"bits": 2', "another point than its name says"),
        (".json", "{", "", "damaged"),
        (".json", '"outcome"', '"out"', "damaged"),
    ],
)
def test_damage_is_noticed(store: Store, suffix: str, before: str, after: str, message: str) -> None:
    path = store.points / f"{KEY}{suffix}"
    path.write_text(path.read_text().replace(before, after, 1))
    kept = store.read(KEY)
    assert kept.outcome is None
    assert kept.damage is not None
    assert message in kept.damage


def test_a_missing_network_is_damage(store: Store) -> None:
    store.net(KEY).unlink()
    assert "cannot be read" in (store.read(KEY).damage or "")


def test_an_entry_is_there_only_when_its_network_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr("deploy.sweep.store.write_text", full)
    store = Store(tmp_path)
    with pytest.raises(OSError, match="no space"):
        store.keep(KEY, INPUTS, Done({}, b"network"))
    assert not store.entry(KEY).exists()
    assert store.read(KEY).outcome is None


@given(st.floats(0, 1), st.integers(1, 32), st.integers(1, 32))
def test_the_readout_is_raised_as_the_window_shortens(keep: float, trained: int, steps: int) -> None:
    gain = readout_gain(keep, trained, steps)
    assert gain * sum(keep**t for t in range(steps)) == pytest.approx(sum(keep**t for t in range(trained)))


def test_a_learned_readout_is_raised_by_what_it_keeps_now() -> None:
    config = config_from_dict(with_settings(load_config("digits").model_dump(), ["model.learned=[readout_keep]"]), "x")
    model = ESVAE(config)
    model.decoder.readout_lif.raw_keep.data.fill_(0.5)  # type: ignore[union-attr]
    shorter = with_window(Run(model.eval(), {}, ""), 4).model.decoder
    gain = readout_gain(0.5, config.model.time_steps, 4)
    torch.testing.assert_close(shorter.readout.weight, gain * model.decoder.readout.weight)
    assert shorter.readout_lif.floats.keep == 0.5
