"""Every error that this project raises on purpose, as one tree.

::

    EsvaeError                 a user can mend it; the command line prints its one line and exits with 1
    ├── ConfigError            a config file or option that is not valid
    ├── DataError              a data set or an input array that is missing or does not fit
    ├── CheckpointError        a run directory that is missing, foreign or damaged
    ├── NetFileError           a .net file that is corrupt, truncated or not understood
    │   └── UnsupportedLayerError   a layer or neuron that this project does not model
    ├── HardwareRangeError     an integer outside what the chip's registers hold
    ├── PassError              a pass of the exporter lacks what it requires, or breaks what it promises
    └── LavaError              Lava, in its own process, failed
        ├── LavaMissingError   no interpreter with lava-dl was found
        ├── LavaTimeoutError   no progress within the watchdog's time
        └── LavaDiedError      one of Lava's processes ended

Messages say what, where, expected, got, and what to do, in one line.
"""

from __future__ import annotations

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "EsvaeError",
    "HardwareRangeError",
    "LavaDiedError",
    "LavaError",
    "LavaMissingError",
    "LavaTimeoutError",
    "NetFileError",
    "PassError",
    "UnsupportedLayerError",
]


class EsvaeError(Exception):
    """Base of every deliberate error; its text is one line for a person."""


class ConfigError(EsvaeError):
    """A config file or a command line option is not valid."""


class DataError(EsvaeError):
    """A data set or an input array is missing or does not fit."""


class CheckpointError(EsvaeError):
    """A run directory is missing, foreign or damaged."""


class NetFileError(EsvaeError):
    """A ``.net`` file is corrupt, truncated or not understood."""


class UnsupportedLayerError(NetFileError):
    """A layer or neuron of a ``.net`` file is outside what this project models."""


class HardwareRangeError(EsvaeError):
    """An integer does not fit the register that the chip holds it in."""


class PassError(EsvaeError):
    """A pass of the exporter lacks what it requires, or did not give what it promises."""


class LavaError(EsvaeError):
    """Lava, run in its own process, failed."""


class LavaMissingError(LavaError):
    """No interpreter with lava-dl was found."""


class LavaTimeoutError(LavaError):
    """Lava made no progress within the watchdog's time."""


class LavaDiedError(LavaError):
    """One of Lava's processes ended before the run was complete."""
