"""What needs no Lava: finding an interpreter, checking the latents, ending a session of processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.lava import find
from deploy.lava.inside import cleanup
from deploy.lava.inside.cleanup import end_group, living_members, shared_segments
from deploy.lava.jobs import WindowsJob
from deploy.lava.run import run_lava
from esvae.errors import DataError, LavaMissingError, NetFileError


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    find._probed.cache_clear()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(find, "_running_interpreter_has_lava", lambda: False)
    monkeypatch.delenv(find.LAVA_PYTHON_VARIABLE, raising=False)


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def answering(path: Path, python: str, minor: str, version: str) -> Path:
    return program(path, f"""echo '{{"python": "{python}", "minor": {minor}, "lava-dl": {version}}}'""")


def test_an_interpreter_that_is_named_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(find, "_running_interpreter_has_lava", lambda: True)
    assert find.find_lava_python() == Path(sys.executable)
    python = answering(tmp_path / "python", "3.10.13", "[3, 10]", '"0.6.0"')
    monkeypatch.setenv(find.LAVA_PYTHON_VARIABLE, str(python))
    assert find.find_lava_python() == python
    monkeypatch.setenv(find.LAVA_PYTHON_VARIABLE, "/nowhere/python")
    with pytest.raises(LavaMissingError, match="ESVAE_LAVA_PYTHON=/nowhere/python is not a program that can be run"):
        find.find_lava_python()


def test_named_interpreter_is_run_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = answering(tmp_path / "python", "3.10.13", "[3, 10]", '"0.6.0"')
    monkeypatch.setenv(find.LAVA_PYTHON_VARIABLE, str(python))
    assert find.find_lava_python() == python
    python.unlink()
    assert find.find_lava_python() == python


def test_link_of_a_virtual_environment_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = answering(tmp_path / "python", "3.10.13", "[3, 10]", '"0.6.0"')
    link = tmp_path / "venv-python"
    link.symlink_to(python)
    monkeypatch.setenv(find.LAVA_PYTHON_VARIABLE, str(link))
    assert find.find_lava_python() == link


def test_none_named() -> None:
    with pytest.raises(
        LavaMissingError,
        match=r"ESVAE_LAVA_PYTHON is not set.*run: esvae lava install.*pip install 'esvae-loihi\[lava\]'.*0\.6\.0",
    ):
        find.find_lava_python()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("exit 3", "does not run as a Python interpreter: exit status 3"),
        ("echo 'no such flag' >&2; exit 1", "does not run as a Python interpreter: no such flag"),
        ("echo hello", "does not run as a Python interpreter"),
        ("""echo '{"python": "3.10.1", "minor": [3, 10], "lava-dl": null}'""", r"is Python 3\.10\.1 without lava-dl"),
        ("""echo '{"python": "3.12.1", "minor": [3, 12], "lava-dl": "0.6.0"}'""", r"is Python 3\.12\.1, on which"),
    ],
)
def test_named_interpreter_is_no_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, message: str) -> None:
    monkeypatch.setenv(find.LAVA_PYTHON_VARIABLE, str(program(tmp_path / "python", text)))
    with pytest.raises(LavaMissingError, match=message) as caught:
        find.find_lava_python()
    assert find.FIX in str(caught.value)
    assert "\n" not in str(caught.value)


def test_named_interpreter_is_missing_or_silent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(find.LAVA_PYTHON_VARIABLE, str(tmp_path / "none"))
    with pytest.raises(LavaMissingError, match="is not a program that can be run"):
        find.find_lava_python()
    monkeypatch.setattr(find, "LAVA_PROBE_SECONDS", 0.2)
    monkeypatch.setenv(find.LAVA_PYTHON_VARIABLE, str(program(tmp_path / "python", "exec sleep 60")))
    with pytest.raises(LavaMissingError, match="gave no answer within"):
        find.find_lava_python()


def test_interpreter_that_cannot_run_the_worker(tmp_path: Path) -> None:
    net, latents = tmp_path / "a.net", np.zeros((1, 1, 2), np.uint8)
    net.touch()
    with pytest.raises(LavaMissingError, match=r"cannot run .*none: No such file"):
        run_lava(WindowsJob(net, latents), python=tmp_path / "none")
    python = program(tmp_path / "python", "echo 'SyntaxError: what is this' >&2; exit 7")
    with pytest.raises(LavaMissingError, match=r"ended with exit status 7 .*SyntaxError: what is this.*pip install"):
        run_lava(WindowsJob(net, latents), python=python)


@pytest.mark.parametrize(
    ("latents", "message"),
    [
        (np.zeros((2, 3), np.uint8), r"latents have shape \(2, 3\); expected \(images, steps, features\)"),
        (np.zeros((2, 3, 4, 5), bool), r"latents have shape \(2, 3, 4, 5\)"),
        (np.zeros((2, 3, 4)), "latents have dtype float64"),
        (np.zeros((0, 3, 4), np.uint8), "at least one image"),
        (np.zeros((2, 0, 4), np.uint8), "at least one image, one step"),
        (np.full((2, 3, 4), 2, np.uint8), "latents range from 2 to 2; expected spikes, 0 or 1"),
        (np.full((2, 3, 4), -1), "latents range from -1 to -1"),
    ],
)
def test_latents_are_checked(latents: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        WindowsJob("none.net", latents)


def test_stall_timeout_and_file_are_checked(tmp_path: Path) -> None:
    latents = np.zeros((1, 1, 2), np.uint8)
    with pytest.raises(DataError, match="stall_timeout is 0"):
        run_lava(WindowsJob(tmp_path / "none.net", latents), stall_timeout=0)
    with pytest.raises(NetFileError, match=r"none.net: no such file"):
        run_lava(WindowsJob(tmp_path / "none.net", latents))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_group_ends_whole_and_takes_its_shared_memory_along() -> None:
    script = textwrap.dedent(
        """
        import os, time
        from multiprocessing.shared_memory import SharedMemory
        segment = SharedMemory(create=True, size=100)
        for _ in range(3):
            if os.fork() == 0:
                time.sleep(600)
        print(segment.name, flush=True)
        os.kill(os.getpid(), 19)
        """
    )
    foreign = subprocess.Popen(["sleep", "600"], start_new_session=True)
    leader = subprocess.Popen([sys.executable, "-c", script], start_new_session=True, stdout=subprocess.PIPE, text=True)
    try:
        assert leader.stdout is not None
        segment = Path("/dev/shm", leader.stdout.readline().strip().lstrip("/"))
        assert segment.exists()
        members = living_members(leader.pid)
        assert leader.pid in members
        assert len(members) >= 4
        assert segment.name in shared_segments(members)
        assert end_group(leader.pid, timeout=600) == []
        assert living_members(leader.pid) == []
        assert not segment.exists()
        assert leader.wait() == -signal.SIGKILL
        assert foreign.poll() is None
        os.kill(foreign.pid, 0)
    finally:
        for process in (leader, foreign):
            process.kill()
            process.wait()
        if leader.stdout is not None:
            leader.stdout.close()


def test_group_is_signalled_where_there_is_no_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cleanup, "PROC", tmp_path / "proc")
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as leader:
        assert living_members(leader.pid) == []
        assert end_group(leader.pid, timeout=600) == []
        assert leader.wait(10) == -signal.SIGKILL
    assert end_group(leader.pid, timeout=600) == []
