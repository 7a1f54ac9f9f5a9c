"""Random networks on stock netx and Lava against the twin: what CI runs a few of, and ``make fuzz N=1000`` many.

    python tests/fuzz.py -n 1000 --seed 0 --out fuzz [--reference] [--sigma-delta]

Networks and stimuli come from the suite's Hypothesis strategies: every layer type that netx loads, delays, input
neurons, resets, either clock. A case on which the two differ, or which Lava refuses, is kept as ``case{number}.net``,
``case{number}.npy`` (spikes, or images for input neurons) and ``case{number}.json`` (steps, timing, what differs).
With ``--sigma-delta`` neurons send messages; networks whose convolutions could sum up to 2^31 are left out, as Lava
computes such sums in float64 and what their cast to 32 bit gives is undefined. With ``--reference`` the numpy reference
stands in for Lava: a hundred times as many networks in the same time.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from deploy.lava.jobs import SamplesJob
from deploy.lava.run import run_lava_jobs
from esvae.errors import EsvaeError
from export.ir import Conv, ConvTranspose, Network
from export.ir.bounds import largest_sum
from export.netx.read import read_netx_unguarded
from export.netx.write import write_netx
from sim import reference
from sim.stimulus import Stimulus, as_stimulus
from sim.trace import first_difference, named_traces
from sim.twin.engine import Engine
from strategies import foreign_networks, recurrent_networks, sigma_delta_networks, stimuli_for

__all__ = ["Case", "cases", "differences"]

Case = tuple[Network, Stimulus]

#: Cases that share one interpreter; it is started anew then, so that a long run holds nothing for long.
_BATCH = 50
_MOST_NEURONS = 400


def cases(count: int, number: int = 0, *, sigma_delta: bool = False, recurrent: bool = False) -> list[Case]:
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
        kind = sigma_delta_networks() if sigma_delta else foreign_networks()
        network = data.draw(recurrent_networks(loadable=True) if recurrent else kind)
        stimulus = as_stimulus(network, data.draw(stimuli_for(network)))
        small = sum(int(np.prod(shape)) for shape in network.shapes) <= _MOST_NEURONS
        if small and not (sigma_delta and _overflows(network, stimulus)):
            found.append((network, stimulus))

    collect()
    return found


def _overflows(network: Network, stimulus: Stimulus) -> bool:
    """Whether products of a convolution could add up to more than 32 bit hold."""
    for layer in next(Engine(network).run(stimulus, chunk=len(stimulus))):
        if isinstance(layer.layer, Conv | ConvTranspose):
            largest = max(int(layer.entering.max()), -int(layer.entering.min()))
            if largest * largest_sum(layer.layer) >= 1 << 31:
                return True
    return False


def differences(
    drawn: list[Case], out: Path, *, first: int = 0, lava: bool = True, fired: Counter[tuple[str, bool]] | None = None
) -> Iterator[str | None]:
    """Runs each case in Lava, or in the reference; None where all integers are equal, else where they part,
    the case kept in ``out``. ``fired`` counts layers by their kind and by whether a neuron of theirs fired."""
    with tempfile.TemporaryDirectory() as folder:
        jobs = []
        for number, (network, stimulus) in enumerate(drawn):
            path = write_netx(network, Path(folder) / f"{number}.net")
            jobs.append(SamplesJob(path, stimulus, trace=True))
        answers = _in_lava(jobs) if lava else map(_reference, jobs)
        for number, (job, got) in enumerate(zip(jobs, answers, strict=True)):
            network = read_netx_unguarded(job.net)
            if isinstance(got, EsvaeError):
                said: str | None = str(got)
            else:
                traces = Engine(network).traces(job.stimulus)
                found = first_difference(got, named_traces(traces))
                if fired is not None:
                    layers = [layer for layer, _, _ in network.synapses()]
                    behind = traces[len(traces) - len(layers) :]
                    fired.update((type(a).__name__, bool(b.s.any())) for a, b in zip(layers, behind, strict=True))
                said = None if found is None else f"{found[0]} at {found[1]}: expected {found[2]}, twin {found[3]}"
            if said is not None:
                _keep(out / f"case{first + number}", network, job.stimulus, said)
            yield said


def _in_lava(jobs: list[SamplesJob]) -> Iterator[dict[str, np.ndarray] | EsvaeError]:
    for answer in run_lava_jobs(jobs):
        yield answer if isinstance(answer, EsvaeError) else answer.trace or {}


def _reference(job: SamplesJob) -> dict[str, np.ndarray]:
    return named_traces(list(reference.simulate(read_netx_unguarded(job.net), job.stimulus)))


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
    parser.add_argument("--sigma-delta", action="store_true", help="neurons that send messages")
    parser.add_argument("--recurrent", action="store_true", help="recurrent networks alone")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    options = parser.parse_args()
    start, done, failed, number = time.perf_counter(), 0, 0, options.seed * 1_000_003
    fired: Counter[tuple[str, bool]] = Counter()
    while done < options.n and time.perf_counter() - start < options.seconds:
        size = min(_BATCH, options.n - done)
        drawn = cases(size, number, sigma_delta=options.sigma_delta, recurrent=options.recurrent)
        number += 1
        for said in differences(drawn, options.out, first=done, lava=not options.reference, fired=fired):
            done += 1
            failed += said is not None
            if said is not None:
                sys.stdout.write(f"case {done - 1}: {said}\n")
            elapsed = time.perf_counter() - start
            sys.stderr.write(f"\r{done} of {options.n} networks, {failed} differ, {elapsed / done:.2f} s each")
            if elapsed > options.seconds:
                break
    judge = "the reference" if options.reference else "Lava"
    kinds = sorted({kind for kind, _ in fired})
    told = ", ".join(f"{fired[kind, True]} of {fired[kind, True] + fired[kind, False]} {kind}" for kind in kinds)
    sys.stdout.write(f"\n{done} networks on {judge}, {failed} differ from the twin; layers that fired: {told}\n")
    sys.exit(1 if failed or not done else 0)


if __name__ == "__main__":
    main()
