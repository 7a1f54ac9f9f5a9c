"""Passes say what they require; one that lacks it, or breaks what it promises, names itself."""

from __future__ import annotations

import numpy as np
import pytest

from esvae.chip.neuron import FloatLif
from esvae.errors import NetFileError, PassError
from export import pipeline
from export.ir import Dense, FloatLayer, FloatNetwork
from export.passes.stages import Part, Pass, State
from export.pipeline import PASSES, compiled

NUMBER: Part[int] = Part("number")
SQUARE: Part[int] = Part("square")
SQUARED = Pass("square", (NUMBER,), lambda state: {SQUARE: state[NUMBER] ** 2}, lambda state: state[SQUARE] >= 0)


def small() -> FloatNetwork:
    return FloatNetwork((3,), (FloatLayer(Dense(np.ones((2, 3)), None, FloatLif(0.5, 1.0))),), 4)


def test_a_pass_adds_its_parts_and_leaves_the_state_as_it_is() -> None:
    before = State({NUMBER: -3})
    after = SQUARED(before)
    assert (after[NUMBER], after[SQUARE]) == (-3, 9)
    assert SQUARE not in before


def test_a_pass_names_itself_and_what_it_lacks() -> None:
    with pytest.raises(PassError, match=r"^square: requires number; run the pass that gives it before this one"):
        SQUARED(State({}))


@pytest.mark.parametrize("number", range(len(PASSES) - 1))
def test_a_pass_that_is_left_out_is_missed_by_the_one_that_requires_it(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "PASSES", PASSES[:number] + PASSES[number + 1 :])
    with pytest.raises(PassError, match=rf"^{PASSES[number + 1].name}: requires "):
        compiled(small())


def test_a_pass_cannot_use_what_it_does_not_require() -> None:
    quiet = Pass("square", (), SQUARED.run, SQUARED.ensures)
    with pytest.raises(KeyError):
        quiet(State({NUMBER: 3}))


def test_a_pass_that_breaks_its_promise_says_so() -> None:
    broken = Pass("square", (NUMBER,), lambda state: {SQUARE: -1}, SQUARED.ensures)
    with pytest.raises(PassError, match=r"^square: what it promises does not hold"):
        broken(State({NUMBER: 1}))


def test_what_a_pass_refuses_bears_its_name_and_keeps_its_kind() -> None:
    def refuse(state: State) -> dict[Part[int], int]:
        raise NetFileError("layer 1 (dense): no")

    with pytest.raises(NetFileError, match=r"^refusing: layer 1 \(dense\): no"):
        Pass("refusing", (), refuse, lambda state: True)(State({}))
