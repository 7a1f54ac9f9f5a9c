"""All that differs on a Loihi 2 board, inside Lava's interpreter: run configuration, adapters, Intel's profiler.

No line below the first check has been run: lava-loihi, which maps Lava's processes onto the chip, is given by Intel to
members of its research community, and no board could be reached. ``docs/loihi2.md`` says what was tested instead.
"""

from __future__ import annotations

from typing import Any

from .messages import BoardError, GraphWork

# The chip stores weights of both signs without their lowest bit, and binary spikes have no message
BOARD_SYNAPSE = {"num_message_bits": 0, "num_weight_bits": 8}

MISSING = (
    "lava-loihi, Intel's compiler for the chip, is not installed beside Lava; it is available to members of the Intel "
    "Neuromorphic Research Community (INRC); docs/loihi2.md says how to go on"
)


def check_installed() -> None:
    """Raises BoardError unless lava-loihi is beside Lava; called before anything is built."""
    from lava.utils import loihi

    if not loihi.is_installed():
        raise BoardError(MISSING)


def onto_chip(out: Any) -> Any:
    """An adapter that hands the spikes of a process on the host to the chip; gives its output port."""
    from lava.proc.embedded_io.spike import PyToNxAdapter

    adapter = PyToNxAdapter(shape=out.shape)
    out.connect(adapter.inp)
    return adapter.out


def run_config(models: dict[Any, Any]) -> Any:
    """Lava's configuration for the chip.

    The sampler has no microcode of its own yet: it runs on the host's CPU, behind an adapter of lava-loihi's.
    """
    check_installed()
    from lava.magma.core.run_configs import Loihi2HwCfg

    return Loihi2HwCfg(exception_proc_model_map=models)


def start_profiler(config: Any, job: GraphWork) -> Any:
    """Intel's profiler with execution time and energy probes over the whole run."""
    from lava.utils.profiler import Profiler

    profiler = Profiler.init(config)
    profiler.execution_time_probe(num_steps=job.total)
    profiler.energy_probe(num_steps=job.total)
    return profiler


def measured(profiler: Any) -> dict[str, float]:
    """Seconds, joules and watts that the probes saw."""
    import numpy as np

    seconds, joules = float(np.sum(profiler.execution_time)), float(np.sum(profiler.energy))
    return {"execution_time_s": seconds, "energy_j": joules, "power_w": joules / seconds if seconds else 0.0}
