"""All that differs on a Loihi 2 board, inside Lava's interpreter: the run configuration and Intel's profiler.

No line below the first check has been run: lava-loihi, which maps Lava's processes onto the chip, is given by Intel to
members of its research community, and no board could be reached. ``docs/loihi2.md`` says what was tested instead.
"""

from __future__ import annotations

from typing import Any

MISSING = (
    "lava-loihi, Intel's compiler for the chip, is not installed beside Lava; it is available to members of the Intel "
    "Neuromorphic Research Community (INRC); docs/loihi2.md says how to go on"
)


class BoardError(RuntimeError):
    """There is no way to a board from here."""


def run_config(models: dict[Any, Any]) -> Any:
    """Lava's configuration for the chip.

    The sampler, the counter, the sources and the readout have no microcode of their own yet: they run on the host's
    CPU, which lava-loihi connects to the chip by channels of its own.
    """
    from lava.utils import loihi

    if not loihi.is_installed():
        raise BoardError(MISSING)
    from lava.magma.core.run_configs import Loihi2HwCfg

    return Loihi2HwCfg(exception_proc_model_map=models)


def start_profiler(config: Any, job: dict[str, Any]) -> Any:
    """Intel's profiler with execution time and energy probes over the whole run."""
    from lava.utils.profiler import Profiler

    profiler = Profiler.init(config)
    profiler.execution_time_probe(num_steps=job["total"])
    profiler.energy_probe(num_steps=job["total"])
    return profiler


def measured(profiler: Any) -> dict[str, float]:
    """Seconds, joules and watts that the probes saw."""
    return {
        "execution_time_s": float(profiler.execution_time),
        "energy_j": float(profiler.energy),
        "power_w": float(profiler.power),
    }
