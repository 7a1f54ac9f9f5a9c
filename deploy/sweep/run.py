"""The sweep: what is kept is taken, what is missing is evaluated and kept at once, all of it summed up."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deploy.backends import Progress
from deploy.sweep.evaluate import attempt
from deploy.sweep.executors import Executor, Work, in_this_process
from deploy.sweep.fine_tuning import fine_tuned_runs
from deploy.sweep.grid import Grid, Point
from deploy.sweep.pareto import pareto_front
from deploy.sweep.settle import inputs_of, settle_protocol
from deploy.sweep.store import Store, key_of
from deploy.sweep.types import Failed, Result, SweepProtocol, Task
from esvae.errors import ConfigError
from esvae.run import load_run
from sim.energy.profile import load_profile

__all__ = ["Entry", "Sweep", "Workers", "sweep"]

_EVALUATED, _KEPT = "evaluated", "kept"


@dataclass(frozen=True)
class Entry:
    """One point of the grid.

    Attributes:
        point: its settings.
        key: under which it is kept.
        source: ``evaluated`` now, ``kept`` from before, or ``failed``.
        outcome: see :class:`deploy.sweep.types.Done`; None where it failed.
        error: why it failed, or None.
        front: whether no other point is as good for less energy.
    """

    point: Point
    key: str
    source: str
    outcome: dict[str, Any] | None
    error: str | None
    front: bool = False


@dataclass(frozen=True)
class Sweep:
    """All points.

    Attributes:
        run: as it was named.
        weights_hash: SHA-256 of its weights.
        trained_steps: the window of its training.
        quality: the figure that the front weighs.
        profile: whose energy, an estimate.
        protocol: how the points were judged.
        points: in the order of the grid.
        notes: what else there is to say: damaged entries, metrics left out.
    """

    run: str
    weights_hash: str
    trained_steps: int
    quality: str
    profile: str
    protocol: SweepProtocol
    points: tuple[Entry, ...]
    notes: tuple[str, ...]

    @property
    def failed(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.points if entry.error is not None)

    def counted(self, source: str) -> int:
        """How many points are ``evaluated``, ``kept`` or ``failed``."""
        return sum(entry.source == source for entry in self.points)


@dataclass(frozen=True)
class Workers:
    """Who evaluates points.

    Attributes:
        execute: where.
        work: what evaluates one.
        threads: of each worker.
    """

    execute: Executor = in_this_process
    work: Work = attempt
    threads: int = 1


def sweep(
    run: str,
    grid: Grid,
    folder: str | os.PathLike[str],
    protocol: SweepProtocol,
    *,
    quality: str | None = None,
    workers: Workers = Workers(),
    progress: Progress | None = None,
) -> Sweep:
    """Evaluates a grid of exports of a run.

    Args:
        run: its directory, or ``pretrained:NAME``.
        grid: what is varied.
        folder: where points are kept; may hold those of other sweeps.
        protocol: how points are judged; its first profile's energy is the front's. Of its metrics those that cannot
            be computed for want of data are left out, with a note, where ``quality`` does not need them.
        quality: of the front; by default the reconstruction, or the images' MSE where there are no data.
        workers: who evaluates points, and where.
        progress: called as points are finished.

    Raises:
        ConfigError, DataError: options that do not hold, or data that ``quality`` needs and that are not there.
        CheckpointError: no sound run.
        EsvaeError: the folder cannot be written; points before that are kept.
    """
    trained = load_run(run)
    judged = settle_protocol(trained, protocol, quality)
    if grid.qat and judged.quality == "image_mse":
        raise ConfigError(
            "--qat: a fine-tuned run draws other images than the run, so image_mse cannot judge both; take --quality "
            "reconstruction or fad, and their data"
        )
    store, report = Store(Path(folder)), progress or (lambda share, text: None)
    tuned = fine_tuned_runs(trained, grid.bits, Path(folder), judged.protocol, report) if grid.qat else {}
    notes, keys, entries = list(judged.notes), list[str](), dict[str, Entry]()
    tasks: list[tuple[Task, dict[str, Any]]] = []
    for point in grid.points():
        given = tuned[point.bits] if point.qat else (str(run), trained)
        inputs = inputs_of(trained if isinstance(given, Failed) else given[1], point, judged)
        key = key_of(inputs)
        keys.append(key)
        if isinstance(given, Failed):
            entries[key] = Entry(point, key, "failed", None, given.reason)
            continue
        kept = store.read(key)
        if kept.damage is not None:
            notes.append(f"{point.label}: {kept.damage}; computed anew")
        if kept.outcome is not None:
            entries[key] = Entry(point, key, _KEPT, kept.outcome, None)
        else:
            tasks.append((Task(key, given[0], point, judged.protocol, workers.threads), inputs))
    report(len(entries) / len(keys), f"{len(entries)} of {len(keys)} points are there")
    results = workers.execute(workers.work, [task for task, _ in tasks]) if tasks else iter(())
    for number, result in results:
        task, inputs = tasks[number]
        entries[task.key] = _entry(store, task, inputs, result)
        report(len(entries) / len(keys), f"{len(entries)} of {len(keys)} points, last {task.point.label}")
    profile = load_profile(judged.protocol.profiles[0]).name
    return Sweep(
        run=str(run),
        weights_hash=trained.weights_hash,
        trained_steps=trained.config.model.time_steps,
        quality=judged.quality,
        profile=profile,
        protocol=judged.protocol,
        points=_with_front([entries[key] for key in keys], judged.quality, profile),
        notes=tuple(notes),
    )


def _entry(store: Store, task: Task, inputs: Mapping[str, Any], result: Result) -> Entry:
    if isinstance(result, Failed):
        return Entry(task.point, task.key, "failed", None, result.reason)
    return Entry(task.point, task.key, _EVALUATED, store.keep(task.key, inputs, result), None)


def _with_front(entries: list[Entry], quality: str, profile: str) -> tuple[Entry, ...]:
    costs = {
        entry.key: (entry.outcome["quality"][quality]["value"], entry.outcome["energy"][profile]["joules"])
        for entry in entries
        if entry.outcome is not None
    }
    front = dict(zip(costs, pareto_front(list(costs.values())), strict=True))
    return tuple(replace(entry, front=front.get(entry.key, False)) for entry in entries)
