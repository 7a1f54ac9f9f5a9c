"""``esvae sweep`` as a user meets it, on a short run of scikit-learn's digits."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import Any

import numba
import pytest
import torch
from PIL import Image

from command import call
from deploy.cli import main
from deploy.ending import Ending, SignalReceived
from deploy.sweep import Failed, Grid, SweepProtocol, Task, Workers, attempt, in_processes, on_ray, sweep
from deploy.sweep.executors import DIED
from deploy.sweep.grid import Point
from deploy.sweep.types import Result
from export.netx import read_netx
from small_config import write_small_config

PROTOCOL = SweepProtocol(8, 8, 0, ("reconstruction",), ("loihi2_anchored",))
GRID = Grid((8, 3), (4, 2))


def bad_at_three_bits(task: Task) -> Result:
    """What evaluates a point, where that of 3 bits and 4 steps fails."""
    return Failed("no such thing") if (task.point.bits, task.point.steps) == (3, 4) else attempt(task)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    config = write_small_config(folder, epochs=1)
    with pytest.raises(SystemExit) as done:
        main(["train", str(config), "--out", str(folder / "run"), "--samples-every", "0"])
    assert done.value.code == 0
    return folder / "run"


def options(run: Path, out: Path) -> list[object]:
    return ["sweep", run, "-o", out, "--bits", "8,3", "--steps", "4,2", "-n", 8, "--test-images", 8, "--json"]


def test_a_sweep_and_what_a_second_one_keeps(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, *options(run, tmp_path))
    found: dict[str, Any] = json.loads(out)
    assert code == 0
    assert (found["evaluated"], found["kept"], found["failed"]) == (4, 0, 0)
    assert [(p["bits"], p["steps"]) for p in found["points"]] == [(8, 4), (8, 2), (3, 4), (3, 2)]
    for point in found["points"]:
        network = read_netx(tmp_path / point["net"])
        assert network.time_steps == point["steps"]
        assert point["energy"]["loihi2_anchored"]["joules"] > 0
        assert point["counts"]["synops"] > 0
        assert (point["quality"]["window_mse"]["value"] == 0) == (point["steps"] == 4)
    costs = [
        (p["quality"]["reconstruction"]["value"], p["energy"]["loihi2_anchored"]["joules"]) for p in found["points"]
    ]
    for one, point in zip(costs, found["points"], strict=True):
        beaten = any(a <= one[0] and b <= one[1] and (a, b) != one for a, b in costs)
        assert point["front"] == (not beaten)
    with (tmp_path / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["reconstruction"]) for row in rows] == [quality for quality, _ in costs]
    with Image.open(tmp_path / "pareto.png") as picture:
        assert min(picture.size) > 300

    broken = tmp_path / found["points"][1]["net"]
    broken.write_bytes(broken.read_bytes()[:-1])
    code, out, _ = call(capsys, *options(run, tmp_path))
    again = json.loads(out)
    assert code == 0
    assert [point["source"] for point in again["points"]] == ["kept", "evaluated", "kept", "kept"]
    assert "computed anew" in again["notes"][0]
    for one, other in zip(found["points"], again["points"], strict=True):
        assert {**one, "source": "", "seconds": 0} == {**other, "source": "", "seconds": 0}


def test_a_killed_sweep_goes_on_where_it_was(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(word) for word in options(run, tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "-m", "deploy.cli", *words],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while process.poll() is None and not list(tmp_path.glob("points/[!.]*.json")):
            time.sleep(0.05)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("points/[!.]*.json")}
    assert before
    code, out, _ = call(capsys, *options(run, tmp_path))
    found = json.loads(out)
    assert code == 0
    assert (found["kept"], found["evaluated"]) == (len(before), 4 - len(before))
    assert all(path.stat().st_mtime_ns == written for path, written in before.items())


def test_a_bad_point_takes_no_other_with_it(run: Path, tmp_path: Path) -> None:
    found = sweep(str(run), GRID, tmp_path, PROTOCOL, workers=Workers(work=bad_at_three_bits))
    assert [entry.source for entry in found.points] == ["evaluated", "evaluated", "failed", "evaluated"]
    assert found.failed[0].error == "no such thing"
    assert not found.failed[0].front
    found = sweep(str(run), GRID, tmp_path, PROTOCOL)
    assert (found.counted("kept"), found.counted("evaluated")) == (3, 1)


def test_a_point_leaves_this_process_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def inside(task: Task) -> Result:
        return Failed(f"{torch.get_num_threads()} {numba.get_num_threads()}")

    monkeypatch.setattr(sys.modules["deploy.sweep.evaluate"], "evaluate_point", inside)
    before = numba.get_num_threads(), torch.get_num_threads()
    task = Task("key", "run", Point(8, 4), PROTOCOL, threads=1)
    assert attempt(task) == Failed("1 1")
    assert (numba.get_num_threads(), torch.get_num_threads()) == before


def test_a_process_that_dies_takes_no_other_with_it() -> None:
    tasks: Any = [partial(Failed, "one"), partial(os._exit, 9), partial(Failed, "three")]
    found = dict(in_processes(2)(methodcaller("__call__"), tasks))
    assert found == {0: Failed("one"), 1: Failed(DIED), 2: Failed("three")}


def test_a_signal_while_a_worker_begins_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It comes when the worker's process is there and its pool does not know of it yet."""
    begin, begun = ProcessPoolExecutor._spawn_process, list[Any]()

    def spawn(pool: Any) -> None:
        begin(pool)
        begun.extend(pool._processes.values())
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(ProcessPoolExecutor, "_spawn_process", spawn)
    tasks: Any = [1]
    with pytest.raises(SignalReceived), Ending():
        list(in_processes(1)(methodcaller("__call__"), tasks))
    assert [process.exitcode for process in begun] == [0]
    assert capfd.readouterr().err == ""


def test_failed_points_exit_with_1(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(work: object, tasks: list[Task]) -> Any:
        for number, task in enumerate(tasks):
            yield number, Failed("no such thing") if number else attempt(task)

    monkeypatch.setattr("deploy.sweep.in_processes", lambda jobs: refuse)
    code, out, err = call(capsys, *options(run, tmp_path)[:-1])
    assert code == 1
    assert "1 evaluated, 0 kept, 3 failed" in out
    assert "8 bit, 2 steps: no such thing" in out + err
    assert (tmp_path / "pareto.png").exists()


def test_calibrations_and_fine_tuning(run: Path, tmp_path: Path) -> None:
    grid = Grid((3,), (4, 2), calibrations=("mse", "feedback"), qat=True)
    found = sweep(str(run), grid, tmp_path, PROTOCOL)
    assert [entry.error for entry in found.points] == [None] * 6
    outcomes = [entry.outcome for entry in found.points if entry.outcome is not None]
    assert len({outcome["file"]["content_hash"] for outcome in outcomes}) == 6
    assert "image_mse" not in outcomes[2]["quality"]
    assert "image_mse" in outcomes[1]["quality"]
    assert 0.3 < outcomes[1]["quality"]["image_ssim"]["value"] < 1
    (tuned,) = (tmp_path / "qat").iterdir()
    written = (tuned / "weights.safetensors").stat().st_mtime_ns
    again = sweep(str(run), grid, tmp_path, PROTOCOL)
    assert again.counted("kept") == 6
    assert (tuned / "weights.safetensors").stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--bits", "1"], "--weight-bits 1: expected 2 to 8"),
        (["--quality", "beauty"], "--quality beauty: expected reconstruction"),
        (["--qat", "--quality", "image_mse"], "image_mse cannot judge both"),
        (["--metrics", "mad"], "--metrics mad: expected"),
        (["-n", "1"], "-n 1: expected at least 2"),
    ],
)
def test_wrong_options_are_one_line(
    run: Path, tmp_path: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(capsys, *options(run, tmp_path)[:-1], *more)
    assert (code, out) == (1, "")
    assert message in err
    assert err.strip().splitlines()[-1].startswith("error: ")


@pytest.mark.slow
def test_ray_finds_what_this_process_finds(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    there = sweep(str(run), GRID, tmp_path / "ray", PROTOCOL, workers=Workers(on_ray(workers=2)))
    here = sweep(str(run), GRID, tmp_path / "here", PROTOCOL)
    assert there.counted("evaluated") == 4
    for one, other in zip(there.points, here.points, strict=True):
        assert (one.key, one.front) == (other.key, other.front)
        assert {**(one.outcome or {}), "seconds": 0} == {**(other.outcome or {}), "seconds": 0}
