"""The sweep: what is kept is taken, what is missing is evaluated and kept at once, all of it summed up."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deploy.backends import Progress
from deploy.sweep.evaluate import attempt
from deploy.sweep.executors import Executor, Work, in_this_process
from deploy.sweep.grid import Grid, Point
from deploy.sweep.hooks import FineTuned, fine_tuned
from deploy.sweep.pareto import pareto_front
from deploy.sweep.quality import METRICS
from deploy.sweep.store import Store, key_of
from deploy.sweep.types import Failed, Protocol, Result, Task
from esvae.data import load_images
from esvae.errors import ConfigError, DataError, EsvaeError
from esvae.machine.files import sha256_file
from esvae.metrics.train_features import features_path
from esvae.run import Run, load_run
from sim.energy.profile import load_profile

__all__ = ["QUALITIES", "Entry", "Sweep", "sweep"]

#: Figures that the front can weigh against energy, less being better.
QUALITIES: tuple[str, ...] = ("reconstruction", "image_mse", "fad")

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
    protocol: Protocol
    points: tuple[Entry, ...]
    notes: tuple[str, ...]

    @property
    def failed(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.points if entry.error is not None)

    def counted(self, source: str) -> int:
        """How many points are ``evaluated``, ``kept`` or ``failed``."""
        return sum(entry.source == source for entry in self.points)


def sweep(
    run: str,
    grid: Grid,
    folder: str | os.PathLike[str],
    protocol: Protocol,
    *,
    quality: str | None = None,
    executor: Executor = in_this_process,
    work: Work = attempt,
    threads: int = 1,
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
        executor: where points are evaluated.
        work: what evaluates one.
        threads: of each worker.
        progress: called as points are finished.

    Raises:
        ConfigError, DataError: options that do not hold, or data that ``quality`` needs and that are not there.
        CheckpointError: no sound run.
        EsvaeError: the folder cannot be written; points before that are kept.
    """
    trained = load_run(run)
    protocol, measured, notes = _settled(trained, protocol, quality)
    chosen = quality or ("reconstruction" if "reconstruction" in protocol.metrics else "image_mse")
    if grid.qat and chosen == "image_mse":
        raise ConfigError(
            "--qat: a fine-tuned run draws other images than the run, so image_mse cannot judge both; take --quality "
            "reconstruction or fad, and their data"
        )
    store = Store(Path(folder))
    report = progress or (lambda share, text: None)
    tasks, inputs, entries = [], {}, dict[str, Entry]()
    points: list[tuple[Point, str]] = []
    tuned = _fine_tuned(trained, grid.bits, Path(folder), protocol, report) if grid.qat else {}
    for point in grid.points():
        given = tuned[point.bits] if point.qat else (run, trained)
        if isinstance(given, Failed):
            key = key_of(_inputs(trained, point, protocol, measured))
            points.append((point, key))
            entries[key] = Entry(point, key, "failed", None, given.reason)
            continue
        name, source = given
        decided = _inputs(source, point, protocol, measured)
        key = key_of(decided)
        points.append((point, key))
        kept = store.read(key)
        if kept.damage is not None:
            notes.append(f"{point.label}: {kept.damage}; computed anew")
        if kept.outcome is not None:
            entries[key] = Entry(point, key, _KEPT, kept.outcome, None)
        else:
            tasks.append(Task(key, str(name), point, protocol, threads))
            inputs[key] = decided
    report(len(entries) / len(points), f"{len(entries)} of {len(points)} points are there")
    results = executor(work, tasks) if tasks else iter(())
    for number, result in results:
        task = tasks[number]
        entries[task.key] = _entry(store, task, inputs[task.key], result)
        report(len(entries) / len(points), f"{len(entries)} of {len(points)} points, last {task.point.label}")
    profile = load_profile(protocol.profiles[0]).name
    found = _with_front([entries[key] for _, key in points], chosen, profile)
    return Sweep(
        run=str(run),
        weights_hash=trained.weights_hash,
        trained_steps=trained.config.model.time_steps,
        quality=chosen,
        profile=profile,
        protocol=protocol,
        points=found,
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
    return tuple(Entry(**{**vars(entry), "front": front.get(entry.key, False)}) for entry in entries)


def _settled(run: Run, protocol: Protocol, quality: str | None) -> tuple[Protocol, dict[str, Any], list[str]]:
    """The protocol with what can be computed, the hashes of data and profiles, and notes on what was left out."""
    if quality is not None and quality not in QUALITIES:
        raise ConfigError(f"--quality {quality}: expected {', '.join(QUALITIES)}")
    if unknown := set(protocol.metrics) - set(METRICS):
        raise ConfigError(f"--metrics {min(unknown)}: expected {', '.join(METRICS)}")
    for name, count in (("-n", protocol.images), ("--test-images", protocol.test_images)):
        if count < 2:
            raise DataError(f"{name} {count}: expected at least 2, which an interval needs")
    if not protocol.profiles:
        raise ConfigError("no energy profile: name one with --profile")
    metrics = [*protocol.metrics, *([quality] if quality in METRICS and quality not in protocol.metrics else [])]
    measured: dict[str, Any] = {"profiles": [load_profile(name).model_dump(mode="json") for name in protocol.profiles]}
    notes = []
    if metrics:
        try:
            images = load_images(run.config.data, protocol.data_root)
        except EsvaeError as error:
            if quality in METRICS:
                raise
            notes.append(f"{', '.join(metrics)} left out: {error}")
            metrics = []
        else:
            shown = images.test.head(protocol.test_images)
            measured["test_images"] = _hash_of_images(shown.tensor().numpy().tobytes())
    if "fad" in metrics:
        path = features_path(run.config.data, protocol.data_root)
        if path.is_file():
            measured["fad_autoencoder"] = sha256_file(path)
            measured["test_set"] = _hash_of_images(images.test.tensor().numpy().tobytes())
        elif quality == "fad":
            raise DataError(f"{path}: no FAD autoencoder; make one with: esvae fad train {run.config.data.name}")
        else:
            notes.append(f"fad left out: no {path}; make it with: esvae fad train {run.config.data.name}")
            metrics.remove("fad")
    settled = Protocol(**{**vars(protocol), "metrics": tuple(metrics)})
    return settled, measured, notes


def _hash_of_images(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()


def _inputs(run: Run, point: Point, protocol: Protocol, measured: Mapping[str, Any]) -> dict[str, Any]:
    """All that decides a point's outcome."""
    judged = {name: value for name, value in asdict(protocol).items() if name not in ("data_root", "profiles")}
    judged["metrics"] = sorted(protocol.metrics)
    return {
        "weights_sha256": run.weights_hash,
        "config": run.config.model_dump(mode="json"),
        "point": asdict(point),
        "protocol": judged,
        **measured,
    }


def _fine_tuned(
    trained: Run, all_bits: Sequence[int], folder: Path, protocol: Protocol, progress: Progress
) -> dict[int, FineTuned | Failed]:
    """The runs that were fine-tuned for so many bits, one after the other, kept below ``SWEEP/qat``, or why not."""
    found: dict[int, FineTuned | Failed] = {}
    for bits in all_bits:
        out = folder.resolve() / "qat" / f"{trained.weights_hash[:16]}-{bits}bit"
        try:
            found[bits] = fine_tuned(trained, bits, out, protocol.data_root, progress)
        except EsvaeError as error:
            found[bits] = Failed("fine-tuning: " + " ".join(str(error).split()))
    return found
