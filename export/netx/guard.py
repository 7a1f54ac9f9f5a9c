"""Keeps a damaged file from taking the process down: the HDF5 library itself can hang or crash on one.

Walking through all groups, data sets and attributes of 3,000 files with some bytes changed, HDF5 2.0.0 was not done
after 5 s with two and crashed on one. So a file of unknown origin is first read in a fork,
whose end is watched; only what it survives is read here. What this very process has written needs no fork, which
takes several times as long as the reading of a small file.
"""

from __future__ import annotations

import contextlib
import faulthandler
import math
import os
import select
import signal
from collections.abc import Callable
from pathlib import Path

from esvae.errors import NetFileError
from esvae.machine.hdf5 import made_here
from export.ir import Network
from export.netx.read import read_netx_unguarded

__all__ = ["check_readable", "read_netx"]

#: For a file, and for each megabyte of it: a quiet machine takes a second for that.
_SECONDS, _SECONDS_PER_MB = 20.0, 10.0
_DONE = b"."


def read_netx(path: str | os.PathLike[str], *, layers: int | None = None) -> Network:
    """Reads a file of any origin; the HDF5 library first sees it in a fork.

    Args:
        path: the ``.net`` file.
        layers: read only so many of the file's layer groups, input and flatten included (netx's ``num_layers``);
            what the file says of a generator is then left out.

    Raises:
        NetFileError: missing, not HDF5, truncated, or not laid out as netx wants it, and says which key; or the HDF5
            library fails on it.
        UnsupportedLayerError: a layer or neuron that is not modelled; lists what is.
        HardwareRangeError: numbers that the chip's registers do not hold.
    """
    check_readable(path, lambda: read_netx_unguarded(path, layers=layers))
    return read_netx_unguarded(path, layers=layers)


def check_readable(
    path: str | os.PathLike[str],
    read: Callable[[], object],
    *,
    second: str | os.PathLike[str] | None = None,
    seconds: float | None = None,
) -> None:
    """Runs ``read`` in a fork and throws its result away; errors that it raises are left for the caller to meet.

    Where the system has no fork, or this process has made what is read, nothing is checked.

    Args:
        path: the file.
        read: all that is going to be done with it; nothing that computes in threads, which a fork may not have.
        second: another file that it reads.
        seconds: how long it may take; by the file's size where None.

    Raises:
        NetFileError: the fork was killed by a signal, or was not done after ``seconds``.
    """
    if not hasattr(os, "fork") or all(made_here(each) for each in (path, second) if each is not None):
        return
    if seconds is None:
        seconds = _SECONDS + _SECONDS_PER_MB * (Path(path).stat().st_size / 1e6 if Path(path).exists() else 0)
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.close(receiver)
            faulthandler.disable()
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(math.ceil(seconds) + 1)  # where the parent is killed meanwhile
            with contextlib.suppress(Exception):  # the caller meets it, as what it is
                read()
            os.write(sender, _DONE)
        os._exit(0)
    os.close(sender)
    answered = False
    try:
        answered = bool(select.select([receiver], [], [], seconds)[0])
        done = answered and os.read(receiver, 1) == _DONE
    finally:
        os.close(receiver)
        if not answered:
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if not answered:
        raise NetFileError(f"{path}: corrupt: the HDF5 library was not done with it after {round(seconds, 1):g} s")
    if not done:
        raise NetFileError(f"{path}: corrupt: the HDF5 library crashes on it")
