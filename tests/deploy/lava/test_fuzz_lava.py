"""Thirty random networks of every kind that netx loads, and ten whose sums the twin gathers, on Lava and on the twin.

u, v and s of every step are compared, and the last potentials, computed without a trace.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from fuzz import GATHERED, cases, differences

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


@pytest.mark.timeout(300)
def test_fuzz_networks_that_gather_on_lava_equal_the_twin(tmp_path: Path) -> None:
    drawn = cases(20, kind="wide")[:10]
    fired: Counter[tuple[str, bool]] = Counter()
    assert list(differences(drawn, tmp_path, path="gather", fired=fired)) == [None] * 10
    assert fired[GATHERED, True] >= 5
