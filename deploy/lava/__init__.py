"""Lava as a second opinion: always in its own process, with whichever interpreter has it."""

from deploy.lava.find import find_lava_python
from deploy.lava.runner import LavaProgress, LavaRun, run_lava

__all__ = ["LavaProgress", "LavaRun", "find_lava_python", "run_lava"]
