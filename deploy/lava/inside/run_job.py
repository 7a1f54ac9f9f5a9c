"""One job, in a process of its own: builds, compiles and runs a graph, and leaves the result in the job's folder."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from . import nodes, windows
from .built import Built
from .messages import RESULT, DoneEvent, GraphWork, LavaWork, Running, SamplesWork, WindowsWork
from .record import add_readout, add_recorder, collected
from .reporter import Reporter
from .samples import Samples
from .watch import Watch

__all__ = ["run_job"]

STOP_SECONDS = 3  # for Lava's own shutdown once the result is there


def run_job(work: LavaWork, reporter: Reporter) -> None:
    """Does the work.

    Raises:
        LatentsError, NetError, UnsupportedError, BoardError: what cannot be run.
        Exception: anything that netx or Lava raises.
    """
    from lava.magma.core.run_configs import Loihi2SimCfg

    board: Any = None
    if isinstance(work, GraphWork) and work.target == "loihi2":
        from . import loihi2

        loihi2.check_installed()
        board = loihi2
    samples = Samples(work) if isinstance(work, SamplesWork) else None
    built = _built(work, samples, reporter, board)
    if work.read_by_process:
        add_readout(built, work)
    models = add_recorder(built, Path(work.folder)) if work.trace else {}
    reporter.enter("compiling")
    config: Any = (
        Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map=models)
        if board is None
        else board.run_config(models)
    )
    profiler = None if board is None else board.start_profiler(config, work)
    executable = built.main.compile(config)
    watch = Watch(reporter, built.main, _process_names(executable, built.labels))
    watch.start()
    try:
        built.main.create_runtime(executable=executable)
        reporter.enter("running", Running, processes=watch.pids(), images=work.images, total=built.total)
        readout = windows.run(built, work, reporter) if samples is None else samples.run(built, reporter)
    except Exception:
        watch.report()  # says more, if it was one of Lava's processes that failed
        raise
    watch.quiet.set()
    reporter.enter("collecting")
    _deliver(Path(work.folder, RESULT), readout, collected(built, work, reporter) if work.trace else {})
    measured: dict[str, float] = {} if board is None else board.measured(profiler)
    reporter.enter("stopping")
    reporter.tell(DoneEvent, seconds=reporter.seconds, measured=measured)
    signal.alarm(STOP_SECONDS)  # ends this process, wherever it hangs
    built.main.stop()


def _built(work: LavaWork, samples: Samples | None, reporter: Reporter, board: Any) -> Built:
    if samples is not None:
        return samples.build(reporter)
    if isinstance(work, GraphWork):
        return nodes.build_graph(work, reporter, board)
    if isinstance(work, WindowsWork):
        return windows.build_windows(work, reporter)
    raise TypeError(f"{type(work).__name__} is no work for Lava")


def _process_names(executable: Any, labels: dict[int, str]) -> list[str]:
    """A name for each process that Lava's runtime starts, in the order in which it does."""
    from lava.magma.compiler.builders.py_builder import PyProcessBuilder

    names = []
    for process, builder in executable.proc_builders.items():
        if isinstance(builder, PyProcessBuilder):
            names.append(f"{labels.get(id(process), process.name)} ({type(process).__name__})")
    return names + [f"runtime service of {domain.name}" for domain in executable.runtime_service_builders]


def _deliver(result: Path, readout: Any, traces: dict[str, Any]) -> None:
    """Writes the arrays so that the file is there whole or not at all."""
    import numpy as np

    temporary = result.with_name(f".{result.name}.part")
    with temporary.open("wb") as handle:
        np.savez(handle, readout=readout, **traces)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(result)
