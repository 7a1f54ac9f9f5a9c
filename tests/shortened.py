"""The commands of the README and of the user guide as tests run them: soon done, and without a download."""

from __future__ import annotations

import shlex

from deploy.lava.find import find_lava_python
from esvae.errors import LavaMissingError

__all__ = ["lava_is_here", "shortened"]

#: What is added, by verb; of an option that is given twice the last counts.
_MORE = {
    "train": ["--max-steps", "4", "--data", "digits", "--samples-every", "0", "--overwrite"],
    "fad": ["--epochs", "1", "--data", "digits"],
    "evaluate": ["-n", "120"],
    "energy": ["-n", "8"],
    "generate": ["-n", "20"],
    "compare": ["-n", "8", "--metrics", "none"],
    "verify": ["-n", "1"],
    "report": ["-n", "16"],
    "sweep": ["--bits", "8", "--steps", "4", "--calibration", "mse", "-n", "4", "--test-images", "8", "--jobs", "1"],
}
#: What says how Lava is to run, each with its value.
_LAVAS = ("--loader", "--sampler", "--target", "--stall-timeout")


def lava_is_here() -> bool:
    """Whether an interpreter has Lava."""
    try:
        find_lava_python()
    except LavaMissingError:
        return False
    return True


def shortened(line: str) -> list[str]:
    """The words after ``esvae`` of a command, with what ends it sooner; where Lava is missing, nobody asks it."""
    _, *words = shlex.split(line, comments=True)
    if "--data-root" in words:  # data that no one here has
        at = words.index("--data-root")
        del words[at : at + 2]
    words += _MORE.get(words[0], [])
    if words[0] == "report" and "--against" not in words:  # one that names it asks Lava
        words += ["--against", "reference"]
    asks_lava = "lava" in words[words.index("--against") + 1] if "--against" in words else words[0] == "verify"
    if asks_lava and not lava_is_here():
        for option in {*_LAVAS} & {*words}:
            at = words.index(option)
            del words[at : at + 2]
        words += ["--against", "reference"]
    return words
