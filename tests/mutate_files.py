"""Damaged and hostile network files through the command line: what CI runs a few of.

    python tests/mutate_files.py -n 10000 --seed 0 --out mutated

Each case is a sound file of one of several kinds, changed once or a few times: bytes, groups, links, data sets, sizes,
geometry. ``check``, ``inspect`` where there is one, and ``simulate`` take it, each in a fork of a worker whose time and
peak memory are watched. They must end with 0, 1 or 2, an error in one line and no traceback. What fails is kept as
``case{number}.net`` and ``case{number}.json``; the case's number and the seed make it again.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from mutations import MUTATIONS, SEEDS, mutate, write_seed

from esvae.errors import EsvaeError, NetFileError
from export.netx import read_netx
from export.netx.guard import check_readable

__all__ = ["Failure", "run_case", "verbs"]

#: Seconds and bytes that a verb may take; imports alone make about 0.6 GB.
SECONDS = 60.0
BYTES = 1 << 30

Failure = dict[str, Any]


def verbs() -> list[str]:
    """What is run on each file, of what the command line has."""
    from deploy import commands

    return [name for name in ("check", "inspect", "simulate") if name in commands.__all__]


def warm_up() -> None:
    """Imports what the forks need, so that they share it; nothing runs here, whose threads a fork would not have."""
    for name in (
        "deploy.simulate",
        "deploy.view.console",
        "export.netx.check",
        "sim.twin.engine",
        "sim.sampler",
        "rich.table",
    ):
        importlib.import_module(name)


def _main(verb: str, net: Path) -> None:
    from deploy.cli import main

    if verb == "rehash":
        _rehash(net)
    elif verb == "spikes":
        main(["simulate", str(net), *_stimulus(net), "--json"])
    else:
        main([verb, str(net), *(["-n", "1"] if verb == "simulate" else []), "--json"])


def _rehash(net: Path) -> None:
    """Puts the hash of what is there into the file, where it can be read that far."""
    from export.ir import Network

    def kept(self: Network) -> str:
        hashes.append(content_hash(self))
        return hashes[0]

    hashes: list[str] = []
    content_hash, Network.content_hash = Network.content_hash, kept  # type: ignore[method-assign]
    with contextlib.suppress(EsvaeError):
        read_netx(net)
    if hashes:
        with h5py.File(net, "r+") as file:
            del file["esvae/content_hash"]
            file["esvae/content_hash"] = hashes[0]


def _stimulus(net: Path) -> list[str]:
    """What to run a network on that draws no spikes of its own."""
    network = read_netx(net)
    if network.input_neurons is not None:
        return ["--image", "zeros", "--steps", "2"]
    path = net.with_suffix(".npy")
    np.save(path, np.ones((1, 2, *network.input_shape), np.uint8))
    return ["--spikes", str(path)]


def run_case(verb: str, net: Path, *, seconds: float = SECONDS) -> tuple[int, str, Failure | None]:
    """Runs a verb on a file in a fork.

    Returns:
        Its exit code, what it said, and what is wrong with how it ended, or None.
    """
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receiver)
        os._exit(_watched(verb, net, sender))
    os.close(sender)
    told, end = b"", time.monotonic() + seconds
    while select.select([receiver], [], [], max(0.0, end - time.monotonic()))[0]:
        piece = os.read(receiver, 1 << 16)
        told += piece
        if not piece:
            break
    else:
        os.kill(child, signal.SIGKILL)
    os.close(receiver)
    _, status, usage = os.wait4(child, 0)
    if time.monotonic() > end:
        return -1, "", {"verb": verb, "what": f"not done after {seconds:g} s"}
    code = os.waitstatus_to_exitcode(status)
    wrong = _wrong(code, told.decode("utf-8", "replace"), usage.ru_maxrss << 10)
    said = told.decode("utf-8", "replace")[-2000:]
    return code, said, None if wrong is None else {"verb": verb, "code": code, "what": wrong, "said": said}


def _watched(verb: str, net: Path, sender: int) -> int:
    """The fork: errors go to the pipe, results nowhere."""
    errors = io.StringIO()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
            _main(verb, net)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 99
    except BaseException:
        code = 98
        errors.write(traceback.format_exc())
    lines = [line for line in errors.getvalue().replace("\r", "\n").splitlines() if not _is_progress(line)]
    os.write(sender, "\n".join(lines).encode()[-60_000:])
    return code


def _is_progress(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith(("simulate", "\x1b"))


def _wrong(code: int, said: str, peak: int) -> str | None:
    if code not in (0, 1, 2):
        return f"ended with {code}"
    if "Traceback" in said:
        return "traceback"
    if len(said.splitlines()) > 1:
        return f"{len(said.splitlines())} lines of errors"
    if said and not said.startswith("error: "):
        return "said something else than an error"
    if code and len(said) > 1000:
        return f"an error of {len(said)} characters"
    return f"took {peak >> 20} MB" if peak > BYTES else None


def cases(first: int, count: int, seed: int, folder: Path) -> Iterator[tuple[int, str, list[str], Path]]:
    """Writes cases one after the other, the same for the same numbers: number, kind of seed, mutations, file."""
    sound = {name: write_seed(name, folder / f"{name}.net") for name in SEEDS}
    for number in range(first, first + count):
        rng = np.random.default_rng([seed, number])
        kind = str(rng.choice(sorted(sound)))
        target = folder / "case.net"
        target.write_bytes(sound[kind].read_bytes())
        changes = [str(rng.choice(sorted(MUTATIONS))) for _ in range(int(rng.choice([1, 1, 1, 2, 3])))]
        for place, change in enumerate(changes):
            draws = np.random.default_rng([seed, number, place])
            with contextlib.suppress(NetFileError):  # in a fork: the library may crash on what is damaged already
                check_readable(target, partial(mutate, change, target, draws), seconds=10)
        yield number, kind, changes, target


def worker(first: int, count: int, seed: int, out: Path, sender: int) -> None:
    """A batch of cases; tells of each in a line of JSON."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        warm_up()
        for number, kind, changes, net in cases(first, count, seed, folder):
            codes, wrong, said = {}, [], ""
            for verb in (*(["rehash"] if number % 2 else []), *verbs(), "spikes"):
                if verb == "spikes" and "FILE.npy" not in said:
                    continue  # only where simulate asks for spikes, or for an image
                codes[verb], said, failure = run_case(verb, net)
                wrong += [failure] if failure is not None else []
            about = {"number": number, "seed": seed, "kind": kind, "mutations": changes, "codes": codes, "wrong": wrong}
            if wrong:
                out.mkdir(parents=True, exist_ok=True)
                (out / f"case{number}.net").write_bytes(net.read_bytes())
                (out / f"case{number}.json").write_text(json.dumps(about, indent=1), "utf-8")
            os.write(sender, json.dumps(about).encode() + b"\n")


def batches(count: int, seed: int, out: Path, size: int) -> Iterator[dict[str, Any]]:
    """Runs batches, each in a process of its own."""
    for first in range(0, count, size):
        receiver, sender = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(receiver)
            try:
                worker(first, min(size, count - first), seed, out, sender)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        os.close(sender)
        with os.fdopen(receiver) as lines:
            for line in lines:
                yield json.loads(line)
        if os.waitpid(child, 0)[1]:
            sys.exit(f"the worker of cases {first} and on died")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=1000, help="files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=200, help="files to a worker process")
    parser.add_argument(
        "--out", type=Path, default=Path("mutated"), help="folder for cases that fail, and summary.json"
    )
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    start, done, failed = time.perf_counter(), 0, 0
    codes: Counter[str] = Counter()
    for about in batches(options.n, options.seed, options.out, options.batch):
        done += 1
        failed += bool(about["wrong"])
        codes.update(f"{verb} {code}" for verb, code in about["codes"].items())
        for wrong in about["wrong"]:
            sys.stdout.write(
                f"case {about['number']} ({about['kind']}: {', '.join(about['mutations'])}): "
                f"{wrong['verb']}: {wrong['what']}\n"
            )
            sys.stdout.flush()
        each = (time.perf_counter() - start) / done
        sys.stderr.write(f"\r{done} of {options.n} files, {failed} handled badly, {each:.2f} s each")
    summary = {
        "files": done,
        "seed": options.seed,
        "failed": failed,
        "codes": dict(sorted(codes.items())),
        "seconds": round(time.perf_counter() - start, 1),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "summary.json").write_text(json.dumps(summary, indent=1), "utf-8")
    sys.stdout.write(f"\n{json.dumps(summary)}\n")
    sys.exit(1 if failed or not done else 0)


if __name__ == "__main__":
    main()
