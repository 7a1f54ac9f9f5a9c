"""What goes to a worker and what comes back: plain values, so that any process on any machine can take them.

The docstrings here are the documentation of ``points`` in ``sweep.json``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from deploy.sweep.grid import Point

__all__ = ["Done", "Failed", "Result", "SweepProtocol", "Task"]


@dataclass(frozen=True)
class SweepProtocol:
    """How every point of a sweep is judged.

    Attributes:
        images: drawn from the prior, for quality, distances and costs.
        test_images: held-out images that are reconstructed, at most.
        seed: of all draws.
        metrics: ``reconstruction``, ``fad``; the images' MSE is always there.
        profiles: of energy, by name or path.
        data_root: folder of the data sets, or None.
    """

    images: int
    test_images: int
    seed: int
    metrics: tuple[str, ...]
    profiles: tuple[str, ...]
    data_root: str | None = None


@dataclass(frozen=True)
class Task:
    """One point to evaluate.

    Attributes:
        key: under which the result is kept.
        run: directory of the run, or ``pretrained:NAME``, as the worker sees it.
        point: the settings.
        protocol: how it is judged.
        threads: that it may use.
    """

    key: str
    run: str
    point: Point
    protocol: SweepProtocol
    threads: int = 1


@dataclass(frozen=True)
class Done:
    """A finished point.

    Attributes:
        outcome: JSON as it stands: ``file`` (what the exporter says), ``quality``, ``counts`` (exact), ``energy`` and
            ``cores`` (estimates), ``seconds``.
        net: bytes of the ``.net`` file.
    """

    outcome: dict[str, Any]
    net: bytes = field(repr=False)


@dataclass(frozen=True)
class Failed:
    """A point that could not be evaluated, and why, in one line."""

    reason: str


Result = Done | Failed
