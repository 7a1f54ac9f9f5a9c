"""Random networks of every kind that netx loads, and some whose sums the twin gathers, on Lava and on the twin.

Thirty and ten in a thorough run, ten and four in an ordinary one. u, v and s of every step are compared, and
the last potentials, computed without a trace.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from fuzz import GATHERED, cases, differences, part_of

pytestmark = [pytest.mark.lava, pytest.mark.slow]
NETWORKS, WIDE = 30, 10


@pytest.mark.timeout(600)
def test_fuzz_networks_on_lava_equal_the_twin(tmp_path: Path) -> None:
    drawn = cases(NETWORKS)
    assert len(drawn) == NETWORKS
    tried = part_of(drawn, 10)
    assert list(differences(tried, tmp_path)) == [None] * len(tried)


@pytest.mark.timeout(300)
def test_fuzz_networks_that_gather_on_lava_equal_the_twin(tmp_path: Path) -> None:
    tried = part_of(cases(WIDE, kind="wide"), 4)
    fired: Counter[tuple[str, bool]] = Counter()
    assert list(differences(tried, tmp_path, path="gather", fired=fired)) == [None] * len(tried)
    assert fired[GATHERED, True] >= len(tried) / 2
