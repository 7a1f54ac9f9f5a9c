"""The Pareto front of points with two costs, less of each being better."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["dominates", "pareto_front"]


def dominates(left: tuple[float, float], right: tuple[float, float]) -> bool:
    """Whether ``left`` is no worse in both costs and better in one.

    >>> dominates((1, 2), (1, 3)), dominates((1, 2), (1, 2))
    (True, False)
    """
    return left[0] <= right[0] and left[1] <= right[1] and left != right


def pareto_front(costs: Sequence[tuple[float, float]]) -> list[bool]:
    """Which points no other dominates, in the order in which they came; equal points are on it together or not at all.

    Args:
        costs: pairs of numbers; an infinite one is as bad as can be.

    Raises:
        ValueError: a cost is not a number.
    """
    if any(math.isnan(value) for pair in costs for value in pair):
        raise ValueError("a cost is not a number")
    front = set()
    best = math.inf
    previous: tuple[float, float] | None = None
    for pair in sorted(set(costs)):
        if previous is None or pair[1] < best:  # all before it cost no more of the first
            front.add(pair)
            best = pair[1]
        previous = pair
    return [pair in front for pair in costs]
