"""What becomes of a Lava run whose parent ends: nothing of it is left, whenever that is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.lava.inside.cleanup import living_members, shared_segments
from lava_kinds import patched_python

pytestmark = pytest.mark.lava

ROOT = Path(__file__).parents[3]


def environment(temporary: Path) -> dict[str, str]:
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    return os.environ | {"PYTHONPATH": path, "TMPDIR": str(temporary)}


PARENT = """
import os, sys
from pathlib import Path
from deploy.lava.run import run_lava
from lava_kinds import KINDS
def tell(now):
    if now.step > 1 and not told:
        told.append(now)
        print(os.getsid(next(iter(now.processes.values()))), flush=True)
told = []
run_lava(KINDS[sys.argv[1]](Path(sys.argv[2]), 200_000), progress=tell)
"""


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("samples", signal.SIGINT),
        ("graph_with_sampler", signal.SIGTERM),
        ("samples", signal.SIGKILL),
        ("graph_with_sampler", signal.SIGKILL),
    ],
)
def test_parent_is_ended(name: str, tmp_path: Path, temporary: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", PARENT, name, str(tmp_path)]
    with subprocess.Popen(
        command, env=environment(temporary), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stderr is not None
        session = int(parent.stdout.readline())
        members = living_members(session)
        segments = shared_segments(members)
        assert len(members) > 4
        assert segments
        parent.send_signal(number)
        assert parent.wait() == -number
        assert number != signal.SIGINT or parent.stderr.read().rstrip().endswith("KeyboardInterrupt")
    while living_members(session) or list(temporary.iterdir()):
        time.sleep(0.05)
    assert [name for name in segments if Path("/dev/shm", name).exists()] == []


ANSWERED = """
import os, signal, sys, time
from pathlib import Path
from deploy.lava.run import run_lava_jobs
from lava_kinds import KINDS

answers = run_lava_jobs([KINDS["samples"](Path(sys.argv[1]), 2)])
next(answers)
time.sleep(1)  # in which a worker that waited for nothing would be gone, and nobody left to clear up
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_parent_is_killed_once_all_is_answered(tmp_path: Path, temporary: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", ANSWERED, tmp_path], env=environment(temporary), check=False)
    assert ended.returncode == -signal.SIGKILL
    while list(temporary.iterdir()):
        time.sleep(0.05)


# Standard input is the pipe whose other end the parent holds: it tells of an end that came before this began to look.
ORPHANED = """
import os, sys
while os.read(sys.stdin.fileno(), 1):
    pass
"""
STARTED = """
import sys
from pathlib import Path
from deploy.lava.run import run_lava
from lava_kinds import KINDS
run_lava(KINDS["samples"](Path(sys.argv[1]), 2), python=sys.argv[2])
"""


def test_parent_is_killed_before_the_worker_begins(tmp_path: Path, temporary: Path) -> None:
    command = [sys.executable, "-c", STARTED, tmp_path, patched_python(tmp_path, ORPHANED)]
    with subprocess.Popen(command, env=environment(temporary)) as parent:
        while not list(temporary.glob("*/jobs.json")):
            assert parent.poll() is None
            time.sleep(0.01)
        parent.kill()
    while list(temporary.iterdir()):
        time.sleep(0.05)
