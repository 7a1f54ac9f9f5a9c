"""Interrupts commands at random moments and looks at what is left, and at what comes of going on.

    python tests/interrupt.py -n 30 --seed 0 --out interrupted

Each job is run to its end once. Then, for each signal, it is begun anew ``n`` times in a folder of its own and
interrupted at a moment that is drawn uniformly over that duration; SIGINT goes to its whole process group, as from a
terminal, the others to the process alone. Every third one is a fresh process, whose imports may be interrupted too; the
others are forks of a process that has imported what it needs (see :mod:`warm`). After each must hold:

* exit code 130, 143 or death by SIGKILL, one line ``error: interrupted`` or ``error: terminated``, no traceback, the
  terminal's cursor shown; or the job was done already, with 0;
* no process, no segment under ``/dev/shm``, no temporary file; every file that stood there before holds what it held,
  or what it is to hold in the end;
* the documented way to go on ends with 0, and gives the same bytes as undisturbed.

To see no shared memory of others: ``unshare -m sh -c 'mount -t tmpfs tmpfs /dev/shm; exec python tests/interrupt.py'``.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.lava_soak import names, orphans
from deploy.lava.inside.cleanup import living_members
from esvae.machine.tensors import load_tensors
from every_command import write_tiny
from warm import ONE_THREAD, ROOT, Warm

__all__ = ["JOBS", "SIGNALS", "Bench", "Job", "Outcome"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
SAID = {signal.SIGINT: "error: interrupted", signal.SIGTERM: "error: terminated"}
#: Seconds that processes get to be gone, and a command to end.
GONE_SECONDS, END_SECONDS = 120.0, 600.0
MARK = "ESVAE_INTERRUPTED"
#: What no two runs share: seconds, hashes over them, whether a sweep's point was there before, and how many were.
OWN = ("seconds", "source", "outcome_sha256", "evaluated", "kept")
CLOCKED = re.compile(rf'"({"|".join(OWN)})"(?:: ?|, \{{"value": )[^,}}\n]*')


@dataclass(frozen=True)
class Job:
    """A command and its way to go on.

    Attributes:
        command: words; RUN and NET are the run and the network that all jobs share.
        again: how it is continued; the same where empty.
        before: what makes what stands there before; nothing where empty.
    """

    command: str
    again: str = ""
    before: str = ""


JOBS = {
    "train": Job("train CONFIG --out out --checkpoint-steps 3", "train CONFIG --out out --checkpoint-steps 3 --resume"),
    "retrain": Job(
        "train CONFIG --out out --overwrite",
        "train CONFIG --out out --overwrite --resume",
        "train CONFIG --out out --seed 5 --max-steps 2",
    ),
    "sweep": Job("sweep RUN -o out --weight-bits 8,5,3 -n 16 --test-images 8 --jobs 2"),
    "generate": Job("generate NET -n 40 --chunk 2 --out out"),
    "lava": Job(
        "simulate NET -n 4 --backend lava -o out/images.png --trace out/trace.npz",
        before="simulate NET -n 4 --seed 9 -o out/images.png --trace out/trace.npz",
    ),
    "lava chunks": Job("generate NET -n 4 --chunk 2 --out out --backend lava --loader native --sampler graph"),
    "verify": Job("verify NET -n 2 --against reference,lava"),
}


@dataclass
class Outcome:
    """An interruption and what was wrong after it."""

    job: str
    signal: str
    moment: float
    fresh: bool
    code: int = 0
    faults: list[str] = field(default_factory=list)


@dataclass
class Ended:
    code: int
    out: str
    errors: str
    seconds: float
    left: list[str]


class Bench:
    """Where jobs are run, with a run and its network, which are only read.

    Args:
        warm: whose forks the jobs are.
        folder: empty, of a short name, for sockets' sake.
    """

    def __init__(self, warm: Warm, folder: Path) -> None:
        self.warm, self.folder = warm, folder
        self.number = 0
        self.undisturbed: dict[str, tuple[dict[str, str], dict[bool, float]]] = {}
        self.words = {name: str(self.folder / file) for name, file in (("RUN", "run"), ("NET", "d.net"))}
        self.words["CONFIG"] = str(write_tiny(self.folder))
        for command in ("train CONFIG --out RUN --max-steps 4", "export RUN -o NET"):
            self.whole(command, self.folder)

    def place(self) -> Path:
        """A new folder, with one for temporary files in it."""
        self.number += 1
        place = self.folder / str(self.number)
        (place / "tmp").mkdir(parents=True)
        return place

    def whole(self, command: str, place: Path, *, fresh: bool = False) -> Ended:
        """Runs a command to its end, which must be good."""
        ended = self.run(command, place, fresh=fresh)
        if ended.code != 0:
            raise RuntimeError(f"{command}: ended with {ended.code}: {ended.errors[-1000:]}")
        return ended

    def measure(self, name: str, *, fresh: bool) -> tuple[dict[str, str], float]:
        """What a job leaves undisturbed, and how many seconds it takes."""
        content, seconds = self.undisturbed.get(name, ({}, {}))
        if fresh not in seconds:
            place = self.place()
            if JOBS[name].before:
                self.whole(JOBS[name].before, place)
            seconds[fresh] = self.whole(JOBS[name].command, place, fresh=fresh).seconds
            content = content or digests(place)
            if digests(place) != content:
                raise RuntimeError(f"{JOBS[name].command}: two undisturbed runs left other content")
            self.undisturbed[name] = content, seconds
            shutil.rmtree(place)
        return content, seconds[fresh]

    def interrupt(self, name: str, number: signal.Signals, share: float, *, fresh: bool) -> Outcome:
        """Interrupts a job after a share of its time, and goes on."""
        job = JOBS[name]
        wanted, seconds = self.measure(name, fresh=fresh)
        outcome = Outcome(name, number.name, round(share * seconds, 3), fresh)
        place = self.place()
        if job.before:
            self.whole(job.before, place)
        before = digests(place)
        ended = self.run(job.command, place, fresh=fresh, after=outcome.moment, number=number)
        outcome.code = ended.code
        faults = outcome.faults
        faults += [*wrong_end(ended, number, fresh=fresh), *ended.left]
        after = digests(place)
        faults += [
            f"{file} was there before, and now is neither that nor complete"
            for file in before
            if after.get(file) not in (before[file], wanted.get(file))
        ]
        if ended.code == 0 and after != wanted:
            faults.append("ended well, with other content")
        more = self.run(job.again or job.command, place)
        if more.code != 0:
            faults.append(f"going on ended with {more.code}: {more.errors[-300:]}")
        elif (found := digests(place)) != wanted:
            other = sorted(file for file in found.keys() | wanted.keys() if found.get(file) != wanted.get(file))
            faults.append(f"going on gave other content: {', '.join(other)}")
        shutil.rmtree(place)
        return outcome

    def run(
        self,
        command: str,
        place: Path,
        *,
        fresh: bool = False,
        after: float | None = None,
        number: signal.Signals = signal.SIGTERM,
    ) -> Ended:
        """Runs a command in a folder with a terminal for its errors; sends it a signal after so many seconds."""
        words = [self.words.get(word, word) for word in command.split()]
        temporary, mark = place / "tmp", f"{self.folder}/{self.number}"
        temporary.mkdir(exist_ok=True)
        environment = {**os.environ, **ONE_THREAD, MARK: mark, "TMPDIR": str(temporary), "TERM": "xterm"}
        environment |= {"PYTHONPATH": str(ROOT), "ESVAE_DATA": str(self.folder / "images")}
        shared = names("/dev/shm")
        terminal, errors = os.openpty()
        reader, out = os.pipe()
        started = time.monotonic()
        if fresh:
            process = subprocess.Popen(
                [sys.executable, "-m", "deploy.cli", *words],
                cwd=place,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                start_new_session=True,
            )
            pid, wait = process.pid, process.wait
        else:
            child = self.warm.start(words, folder=place, environment=environment, out=out, errors=errors)
            pid, wait = child.pid, child.wait
        os.close(out)
        os.close(errors)
        told = [Told(reader), Told(terminal)]
        timers = [threading.Timer(END_SECONDS, os.kill, (pid, signal.SIGKILL))]
        if after is not None:
            kill = os.killpg if number == signal.SIGINT else os.kill
            wait_for = () if fresh else (signal.SIGINT, signal.SIGTERM)
            arguments = (kill, pid, number, wait_for)
            timers.append(threading.Timer(max(0.0, after - (time.monotonic() - started)), sent, arguments))
        for timer in timers:
            timer.start()
        code = wait()
        seconds = time.monotonic() - started
        for timer in timers:
            timer.cancel()
        left = leftover(pid, mark, shared, temporary)
        return Ended(code, told[0].text(), told[1].text(), seconds, left)


class Told(threading.Thread):
    """Reads what is written to a pipe or terminal until its last writer has closed it."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(daemon=True)
        self.descriptor, self.content = descriptor, b""
        self.start()

    def run(self) -> None:
        with contextlib.suppress(OSError):  # the end of a terminal
            while block := os.read(self.descriptor, 1 << 16):
                self.content += block
        os.close(self.descriptor)

    def text(self) -> str:
        self.join(5)
        return self.content.decode("utf-8", "replace")


def sent(kill: Any, pid: int, number: signal.Signals, wait_for: Sequence[int]) -> None:
    """Sends a signal, to a fork once it has become a command, which is when it catches the signals to wait for."""
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        while not all(caught(pid) >> each - 1 & 1 for each in wait_for):
            time.sleep(0.001)
        kill(pid, number)


def caught(pid: int) -> int:
    """The signals that a process catches, a bit each."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii", "replace").splitlines()
    held = [line.split()[1] for line in lines if line.startswith("SigCgt")]
    return int(held[0], 16) if held else -1


def members(session: int, mark: str) -> set[int]:
    """Living processes of a command: of its session, and those that it started in others, which have its mark."""
    found = set(living_members(session))
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and f"{MARK}={mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.add(int(entry.name))
    return found


def leftover(session: int, mark: str, shared: set[str], temporary: Path) -> list[str]:
    """What a command has left behind, after a little time for what ends by itself."""
    end = time.monotonic() + GONE_SECONDS
    while True:
        processes = sorted(members(session, mark))
        segments = sorted(orphans(shared))
        files = sorted(path.name for path in temporary.rglob("*"))
        left = [
            *(f"left process {pid} ({describe(pid)})" for pid in processes),
            *(f"left segment {name}" for name in segments),
            *(f"left temporary {name}" for name in files),
        ]
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.02)


def describe(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")[-80:]
    return "gone"


def digests(place: Path) -> dict[str, str]:
    """Hash of every file below a folder, temporary ones apart, without what is its run's own."""
    found = (path for path in sorted(place.rglob("*")) if path.is_file() and place / "tmp" not in path.parents)
    return {str(path.relative_to(place)): hashlib.sha256(timeless(path)).hexdigest()[:16] for path in found}


def timeless(path: Path) -> bytes:
    """A file's content without seconds and such; of tensors, their bytes, as their file is sealed with all in it."""
    if path.suffix == ".safetensors" and path.name != "weights.safetensors":
        held = load_tensors(path)
        about = CLOCKED.sub("", json.dumps(held.metadata).replace("\\", ""))
        return about.encode() + b"".join(value.numpy().tobytes() for _, value in sorted(held.tensors.items()))
    if path.suffix == ".csv":
        rows = list(csv.DictReader(path.read_text("utf-8").splitlines()))
        return json.dumps([{**row, **dict.fromkeys(OWN)} for row in rows]).encode()
    if path.suffix == ".json":
        return CLOCKED.sub("", path.read_text("utf-8")).encode()
    return path.read_bytes()


def wrong_end(ended: Ended, number: signal.Signals, *, fresh: bool) -> Iterator[str]:
    """What is wrong with how an interrupted command ended, and with what it said."""
    told = ended.out + ended.errors
    if "Traceback" in told or "Exception ignored" in told:
        yield f"traceback: {told[-600:]}"
    if ended.code == 0 or number == signal.SIGKILL:
        if ended.code not in (0, -signal.SIGKILL):
            yield f"ended with {ended.code}"
        return
    if fresh and ended.code == -number and not told:
        return  # Python itself had not begun to listen
    if ended.code != 128 + number:
        yield f"ended with {ended.code}: {told[-300:]!r}"
    lines = [line for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", ended.errors).splitlines() if line.strip()]
    if not lines or lines[-1] != SAID[number] or sum(line.startswith("error: ") for line in lines) != 1:
        yield f"said {lines[-2:]}"
    if ended.errors.count("\x1b[?25l") > ended.errors.count("\x1b[?25h"):
        yield "left the cursor hidden"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=30, help="moments for each job and signal")
    parser.add_argument("--fresh", type=int, default=3, help="every so many is a fresh process")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--signals", default=",".join(each.name for each in SIGNALS), help="which, by comma")
    parser.add_argument("--jobs", default=",".join(JOBS), help="which, by comma")
    parser.add_argument("--out", type=Path, default=Path("interrupted"), help="folder for faults.json and summary.json")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore
    options.out.mkdir(parents=True, exist_ok=True)
    outcomes: list[Outcome] = []
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="i", dir="/tmp") as folder, Warm() as warm:
        bench = Bench(warm, Path(folder))
        for count in range(options.n):
            for name in options.jobs.split(","):
                for number in map(signal.Signals.__getitem__, options.signals.split(",")):
                    share = random.Random(f"{options.seed} {name} {number} {count}").random()
                    outcomes.append(bench.interrupt(name, number, share, fresh=count % options.fresh == 0))
                    for fault in outcomes[-1].faults:
                        sys.stdout.write(f"{vars(outcomes[-1])}\n  {fault}\n")
                    summary = {
                        "moments": len(outcomes),
                        "faulty": sum(bool(each.faults) for each in outcomes),
                        "codes": dict(sorted(Counter(f"{each.signal} {each.code}" for each in outcomes).items())),
                        "by job": dict(Counter(each.job for each in outcomes)),
                        "undisturbed seconds": {key: value[1] for key, value in bench.undisturbed.items()},
                        "seed": options.seed,
                        "minutes": round((time.monotonic() - started) / 60, 1),
                    }
                    (options.out / "summary.json").write_text(json.dumps(summary, indent=1), "utf-8")
                    (options.out / "outcomes.json").write_text(json.dumps([vars(each) for each in outcomes]), "utf-8")
                    sys.stdout.flush()
    sys.stdout.write(json.dumps(summary, indent=1) + "\n")
    sys.exit(1 if summary["faulty"] else 0)


if __name__ == "__main__":
    main()
