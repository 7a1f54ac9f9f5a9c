"""Thirty random networks of every kind that netx loads, on Lava and on the twin: u, v and s of every step."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz import cases, differences

from deploy.lava.find import find_lava_python
from esvae.errors import LavaMissingError

pytestmark = [pytest.mark.lava, pytest.mark.slow]
NETWORKS = 30


@pytest.fixture(autouse=True)
def _lava() -> None:
    try:
        find_lava_python()
    except LavaMissingError as error:
        pytest.skip(str(error))


@pytest.mark.timeout(600)
def test_fuzz_networks_on_lava_equal_the_twin(tmp_path: Path) -> None:
    drawn = cases(2 * NETWORKS)[:NETWORKS]
    assert len(drawn) == NETWORKS
    told = list(differences(drawn, tmp_path))
    assert told == [None] * NETWORKS
