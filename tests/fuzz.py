"""Random networks on stock netx and Lava against the twin: what CI runs a few of, and ``make fuzz N=1000`` many.

    python tests/fuzz.py -n 1000 --seed 0 --out fuzz [--reference] [--sigma-delta | --recurrent | --wide]

Networks and stimuli come from the suite's Hypothesis strategies: every layer type that netx loads, delays, input
neurons, resets, either clock. A case on which the two differ, or which Lava refuses, is kept as ``case{number}.net``,
``case{number}.npy`` (spikes, or images for input neurons) and ``case{number}.json`` (steps, timing, what differs).
With ``--sigma-delta`` neurons send messages; networks whose convolutions could sum up to 2^31 are left out, as Lava
computes such sums in float64 and what their cast to 32 bit gives is undefined. With ``--wide`` neurons come in pieces
of eight, and the twin gathers sums wherever that can be done: how many layers did, and met spikes, is told. With
``--reference`` the numpy reference stands in for Lava: a hundred times as many networks in the same time.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from deploy.lava.jobs import SamplesJob
from deploy.lava.run import run_lava_jobs
from depth import examples
from esvae.errors import EsvaeError
from export.ir import Conv, ConvTranspose, Network
from export.ir.bounds import largest_sum
from export.netx.read import read_netx_unguarded
from export.netx.write import write_netx
from sim import reference
from sim.stimulus import Stimulus, as_stimulus
from sim.trace import first_difference, named_traces
from sim.twin.engine import Engine
from sim.twin.sums import LayerSums
from sim.twin.sums import Path as SumsPath
from strategies import foreign_networks, recurrent_networks, sigma_delta_networks, stimuli_for, wide_networks

__all__ = ["GATHERED", "Case", "cases", "differences", "part_of"]

Case = tuple[Network, Stimulus]
_T = TypeVar("_T")
GATHERED = "gathered"

#: Cases that share one interpreter; it is started anew then, so that a long run holds nothing for long.
_BATCH = 50
_MOST_NEURONS = 400
_KINDS: dict[str, Callable[[], SearchStrategy[Network]]] = {
    "any": foreign_networks,
    "sigma-delta": sigma_delta_networks,
    "recurrent": partial(recurrent_networks, loadable=True),
    "wide": wide_networks,
}


def cases(count: int, number: int = 0, kind: str = "any") -> list[Case]:
    """``count`` networks with stimuli, the same for the same ``number``; small, for Lava's sake."""
    found: list[Case] = []

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def collect(data: st.DataObject) -> None:
        network = data.draw(_KINDS[kind]())
        stimulus = as_stimulus(network, data.draw(stimuli_for(network)))
        small = sum(int(np.prod(shape)) for shape in network.shapes) <= _MOST_NEURONS
        if small and not (kind == "sigma-delta" and _overflows(network, stimulus)):
            found.append((network, stimulus))

    collect()
    return found


def part_of(drawn: Sequence[_T], fewest: int) -> list[_T]:
    """Those that a test tries in this run (``depth.py``), spread evenly: the first that Hypothesis draws are small."""
    count = examples(len(drawn), fewest)
    return [drawn[place * len(drawn) // count] for place in range(count)]


def _overflows(network: Network, stimulus: Stimulus) -> bool:
    """Whether products of a convolution could add up to more than 32 bit hold."""
    for layer in next(Engine(network).run(stimulus, chunk=len(stimulus))):
        if isinstance(layer.layer, Conv | ConvTranspose):
            largest = max(int(layer.entering.max()), -int(layer.entering.min()))
            if largest * largest_sum(layer.layer) >= 1 << 31:
                return True
    return False


def differences(
    drawn: list[Case],
    out: Path,
    *,
    first: int = 0,
    lava: bool = True,
    path: SumsPath = "auto",
    fired: Counter[tuple[str, bool]] | None = None,
) -> Iterator[str | None]:
    """Runs each case in Lava, or in the reference; None where all integers are equal, else where they part,
    the case kept in ``out``. ``path`` is the twin's; ``fired`` counts layers by their kind and by whether a neuron of
    theirs fired, and those that gathered sums by whether a spike entered."""
    with tempfile.TemporaryDirectory() as folder:
        jobs = []
        for number, (network, stimulus) in enumerate(drawn):
            file = write_netx(network, Path(folder) / f"{number}.net")
            jobs.append(SamplesJob(file, stimulus, trace=True))
        answers = _in_lava(jobs) if lava else map(_reference, jobs)
        for number, (job, got) in enumerate(zip(jobs, answers, strict=True)):
            network = read_netx_unguarded(job.net)
            if isinstance(got, EsvaeError):
                said: str | None = str(got)
            else:
                engine = Engine(network, path=path)
                traces = engine.traces(job.stimulus)
                found = first_difference(got, named_traces(traces, network))
                if fired is not None:
                    fired.update(_firing(engine, job.stimulus))
                if found is None:
                    found = _of_the_ends(engine, job.stimulus, got)
                said = None if found is None else f"{found[0]} at {found[1]}: expected {found[2]}, twin {found[3]}"
            if said is not None:
                _keep(out / f"case{first + number}", network, job.stimulus, said)
            yield said


def _firing(engine: Engine, stimulus: Stimulus) -> Iterator[tuple[str, bool]]:
    """Of each layer of synapses its kind, and whether it fired; of gathered ones also whether a spike entered."""
    layers = next(engine.run(stimulus, chunk=len(stimulus)))
    stages = engine._stages
    for stage, layer in zip(stages, layers[len(layers) - len(stages) :], strict=True):
        yield type(layer.layer).__name__, bool(layer.spikes.any())
        if isinstance(stage.sums, LayerSums) and stage.sums.gather is not None:
            yield GATHERED, bool(layer.entering.any())


def _of_the_ends(
    engine: Engine, stimulus: Stimulus, trace: dict[str, np.ndarray]
) -> tuple[str, tuple[int, ...], int, int] | None:
    """Where the last layer's potentials part, computed without a trace."""
    name = f"{engine.network.array_names[-1]}.v"
    return first_difference({name: trace[name][:, -1:]}, {name: engine.final_potentials(stimulus)[:, None]})


def _in_lava(jobs: list[SamplesJob]) -> Iterator[dict[str, np.ndarray] | EsvaeError]:
    for answer in run_lava_jobs(jobs):
        yield answer if isinstance(answer, EsvaeError) else answer.trace or {}


def _reference(job: SamplesJob) -> dict[str, np.ndarray]:
    network = read_netx_unguarded(job.net)
    return named_traces(list(reference.simulate(network, job.stimulus)), network)


def _keep(stem: Path, network: Network, stimulus: Stimulus, said: str) -> None:
    stem.parent.mkdir(parents=True, exist_ok=True)
    write_netx(network, stem.with_suffix(".net"))
    entering = stimulus.spikes if stimulus.spikes is not None else stimulus.images
    assert entering is not None
    np.save(stem.with_suffix(".npy"), entering)
    about = {"steps": stimulus.steps, **asdict(stimulus.timing), "said": said}
    stem.with_suffix(".json").write_text(json.dumps(about, indent=1), "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=1000, help="networks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("fuzz"), help="folder for cases that fail")
    parser.add_argument("--reference", action="store_true", help="the numpy reference instead of Lava")
    kinds = parser.add_mutually_exclusive_group()
    for kind, about in (
        ("sigma-delta", "neurons that send messages"),
        ("recurrent", "recurrent networks alone"),
        ("wide", "layers whose sums the twin gathers"),
    ):
        kinds.add_argument(f"--{kind}", action="store_const", dest="kind", const=kind, default="any", help=about)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    options = parser.parse_args()
    start, done, failed, number = time.perf_counter(), 0, 0, options.seed * 1_000_003
    fired: Counter[tuple[str, bool]] = Counter()
    while done < options.n and time.perf_counter() - start < options.seconds:
        size = min(_BATCH, options.n - done)
        drawn = cases(size, number, options.kind)
        number += 1
        path: SumsPath = "gather" if options.kind == "wide" else "auto"
        for said in differences(drawn, options.out, first=done, lava=not options.reference, path=path, fired=fired):
            done += 1
            failed += said is not None
            if said is not None:
                sys.stdout.write(f"case {done - 1}: {said}\n")
            elapsed = time.perf_counter() - start
            sys.stderr.write(f"\r{done} of {options.n} networks, {failed} differ, {elapsed / done:.2f} s each")
            if elapsed > options.seconds:
                break
    judge = "the reference" if options.reference else "Lava"
    told = {kind: f"{fired[kind, True]} of {fired[kind, True] + fired[kind, False]}" for kind, _ in sorted(fired)}
    gathered = told.pop(GATHERED, "0 of 0")
    layers = ", ".join(f"{count} {kind}" for kind, count in told.items())
    sys.stdout.write(f"\n{done} networks on {judge}, {failed} differ from the twin; layers that fired: {layers}\n")
    sys.stdout.write(f"layers that gathered sums and were entered by spikes: {gathered}\n")
    sys.exit(1 if failed or not done else 0)


if __name__ == "__main__":
    main()
