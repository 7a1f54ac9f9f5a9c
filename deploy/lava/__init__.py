"""Lava as a second opinion: always in its own process, with whichever interpreter has it."""

from deploy.lava.find import find_lava_python
from deploy.lava.jobs import GraphJob, LavaJob, PowerOn, SamplesJob, WindowsJob
from deploy.lava.results import LavaProgress, LavaRun
from deploy.lava.run import run_lava, run_lava_jobs

__all__ = [
    "GraphJob",
    "LavaJob",
    "LavaProgress",
    "LavaRun",
    "PowerOn",
    "SamplesJob",
    "WindowsJob",
    "find_lava_python",
    "run_lava",
    "run_lava_jobs",
]
