"""Whether ``check`` is right about files of any origin: what stock netx and Lava make of them, and the twin.

    python tests/fuzz_check.py -n 1000 --seed 0 --out fuzz

Small networks that netx loads are changed in one or two ways each (``odd_files.py``): other formats, axes, keys, types,
orders, limits, large geometry. Then ``check`` finds no error if, and only if, netx builds the file, Lava runs it, and
every integer equals the twin's. A file where it is otherwise is kept as ``odd{number}.net``, with what was said by
whom in ``odd{number}.json``; each case depends on its number alone, so that ``--only NUMBER`` shows it again as long as
the strategies that networks are drawn from stay as they are.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from fuzz import cases
from net_trees import read_tree, write_tree
from odd_files import changed

from deploy.lava.jobs import SamplesJob
from deploy.lava.run import run_lava_jobs
from esvae.errors import EsvaeError, LavaDiedError, LavaTimeoutError
from export.ir import INTEGRATOR, Flatten, Lif, Network
from export.netx.check import check_file
from export.netx.read import read_netx_unguarded
from export.netx.write import write_netx
from sim.stimulus import Stimulus, Timing, as_stimulus
from sim.trace import first_difference, named_traces
from sim.twin.engine import Engine

__all__ = ["Verdict", "odd_file", "verdicts"]

#: Cases that share one interpreter, and seconds without a word after which a case has hung.
_BATCH = 40
_PATIENCE = 30.0
_STEPS = 8
#: Cases whose networks are drawn together; the first that Hypothesis draws are always small, so some more are drawn.
_BLOCK, _SMALL = 50, 10


@dataclass(frozen=True)
class Verdict:
    """What was said of one file.

    Attributes:
        number: of the case.
        changes: what was done to a sound file.
        errors: of ``check``.
        lava: why netx did not build it or Lava did not run it; empty where both did.
        twin: why the twin does not run it, or where it differs from Lava; empty where all integers are equal.
    """

    number: int
    changes: list[str]
    errors: list[str]
    lava: str
    twin: str

    @property
    def runs(self) -> bool:
        """Whether Lava computes from it what the twin does."""
        return not self.lava and not self.twin

    @property
    def agreed(self) -> bool:
        """Whether ``check`` was right."""
        return self.runs == (not self.errors)

    @property
    def outcome(self) -> str:
        """What came of it, for counting."""
        if self.runs:
            return "runs, equal" + ("" if self.agreed else ", refused by check")
        what = (
            "does not run" if self.lava else "not read by the twin" if "differs" not in self.twin else "runs, differs"
        )
        return what + ("" if self.agreed else ", passed by check")


def odd_file(number: int, path: Path) -> list[str]:
    """Writes case ``number`` to a path; says how it differs from a file that netx loads."""
    block, place = divmod(number, _BLOCK)
    drawn = _networks(block)
    network = _lively(drawn[place % len(drawn)], number)
    tree = {"layer": read_tree(write_netx(network, path))["layer"]}
    told = changed(tree, np.random.default_rng(number))
    write_tree(path, tree)
    return told


@lru_cache(maxsize=4)
def _networks(block: int) -> list[Network]:
    """The networks of a block of cases."""
    return [network for network, _ in cases(_BLOCK + _SMALL, block)[_SMALL // 2 :]]


def _lively(network: Network, number: int) -> Network:
    """The same network with neurons that fire, so that all weights are put to the test; some as they are."""
    rng, layers = np.random.default_rng([number, 2]), []
    for layer, after in zip(network.layers, network.shapes, strict=True):
        lively = not isinstance(layer, Flatten) and isinstance(layer.neuron, Lif) and layer.neuron != INTEGRATOR
        if lively and rng.random() < 0.8:
            bias = rng.integers(0, 100, after[:1])
            layer = replace(layer, neuron=replace(layer.neuron, threshold=int(rng.integers(60))), bias=bias)
        layers.append(layer)
    return replace(network, layers=tuple(layers))


def verdicts(numbers: Sequence[int], folder: Path) -> Iterator[Verdict]:
    """Writes each case into a folder and asks all three."""
    files = {number: folder / f"odd{number}.net" for number in numbers}
    changes = {number: odd_file(number, path) for number, path in files.items()}
    networks = {number: _read(path) for number, path in files.items()}
    jobs = [SamplesJob(path, _stimulus(networks[number], path, number), trace=True) for number, path in files.items()]
    for number, job, got in zip(numbers, jobs, _in_lava(jobs), strict=True):
        errors = [f"{found.where}: {found.what}" for found in check_file(job.net) if found.severity == "error"]
        network = networks[number]
        if isinstance(got, str):
            lava, twin = got or "no reason given", ""
        elif isinstance(network, str):
            lava, twin = "", network
        else:
            twins = Engine(network).traces(as_stimulus(network, job.stimulus))
            parted = first_difference(got, named_traces(twins, network))
            lava, twin = "", "" if parted is None else f"differs: {parted}"
        yield Verdict(number, changes[number], errors, lava, twin)


def _read(path: Path) -> Network | str:
    try:
        return read_netx_unguarded(path)
    except EsvaeError as error:
        return str(error)


def _stimulus(network: Network | str, path: Path, number: int) -> Stimulus:
    """Random spikes or pixels that fit what is read, or else what the file says of its input."""
    rng = np.random.default_rng([number, 1])
    if isinstance(network, Network):
        shape, driven = network.input_shape, network.input_neurons is not None
    else:
        first = read_tree(path)["layer"].get("0", {})
        first = first if isinstance(first, dict) else {}
        shape = tuple(int(n) for n in np.atleast_1d(np.asarray(first.get("shape", 3))) if 0 < n < 1 << 10) or (3,)
        driven = "neuron" in first
    if driven:
        found = Stimulus(None, rng.integers(-50, 300, (1, *shape)).astype(np.int32), _STEPS, Timing())
        return as_stimulus(network, found) if isinstance(network, Network) else found
    return Stimulus((rng.random((1, _STEPS, *shape)) < 0.6).astype(np.uint8), None, _STEPS, Timing())


def _in_lava(jobs: list[SamplesJob]) -> Iterator[dict[str, np.ndarray] | str]:
    """The traces of each job, or why there are none; one that hangs is ended, and the others go on without it."""
    done = 0
    while done < len(jobs):
        try:
            for answer in run_lava_jobs(jobs[done:], stall_timeout=_PATIENCE):
                done += 1
                yield f"{type(answer).__name__}: {answer}" if isinstance(answer, EsvaeError) else answer.trace or {}
        except (LavaTimeoutError, LavaDiedError) as error:
            done += 1
            yield f"{type(error).__name__}: {error}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=1000, help="files")
    parser.add_argument("--seed", type=int, default=0, help="number of the first case, in units of a million")
    parser.add_argument("--only", type=int, nargs="*", help="only these cases")
    parser.add_argument("--out", type=Path, default=Path("fuzz"), help="folder for files about which check is wrong")
    options = parser.parse_args()
    first = options.seed * 1_000_000
    numbers = options.only or range(first, first + options.n)
    options.out.mkdir(parents=True, exist_ok=True)
    outcomes: Counter[str] = Counter()
    since = time.perf_counter()
    for start in range(0, len(numbers), _BATCH):
        with tempfile.TemporaryDirectory() as folder:
            for said in verdicts(numbers[start : start + _BATCH], Path(folder)):
                outcomes[said.outcome] += 1
                if options.only or not said.agreed:
                    _keep(said, Path(folder), options.out)
                done = sum(outcomes.values())
                sys.stderr.write(f"\r{done} of {len(numbers)} files, {(time.perf_counter() - since) / done:.2f} s each")
    for outcome, count in outcomes.most_common():
        sys.stdout.write(f"{count:6d}  {outcome}\n")
    wrong = sum(count for outcome, count in outcomes.items() if "by check" in outcome)
    sys.stdout.write(f"{sum(outcomes.values())} files, check is wrong about {wrong}\n")
    sys.exit(1 if wrong or not outcomes else 0)


def _keep(said: Verdict, folder: Path, out: Path) -> None:
    name = f"odd{said.number}"
    (out / f"{name}.net").write_bytes((folder / f"{name}.net").read_bytes())
    (out / f"{name}.json").write_text(json.dumps(asdict(said) | {"outcome": said.outcome}, indent=1), "utf-8")
    sys.stdout.write(f"{said.number}: {said.outcome}; {'; '.join(said.changes)}\n")
    sys.stdout.write(f"    check: {said.errors or 'fine'}; Lava: {said.lava or 'runs'}; twin: {said.twin or 'equal'}\n")


if __name__ == "__main__":
    main()
