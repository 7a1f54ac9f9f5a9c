"""The environment that another Python interpreter is given."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

__all__ = ["child_environment", "lava_environment", "scratch_place"]

#: What belongs to the running interpreter alone.
FOREIGN = ("PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__")
#: Lava's models are many small processes: threads within each would only get in each other's way.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_SHALLOW = "/tmp"
SOCKET_PATH = 107  # characters that Linux takes for the path of a socket
SOCKET_NAME = len("/pymp-xxxxxxxx/listener-xxxxxxxx")  # what multiprocessing puts below the temporary folder


def child_environment(python: str | os.PathLike[str] | None = None) -> dict[str, str]:
    """The environment for a program that is not to share this interpreter's modules and warnings.

    Args:
        python: what is started; the running interpreter keeps what says where its modules are.
    """
    own = python is not None and Path(python) == Path(sys.executable)
    foreign = ("PYTHONWARNINGS",) if own else (*FOREIGN, "PYTHONWARNINGS")
    return {name: value for name, value in os.environ.items() if name not in foreign}


def scratch_place() -> str | None:
    """Where a Lava run puts its temporary folder: ``/tmp`` where the usual place is too deep for sockets, else None."""
    deep = len(tempfile.gettempdir() + "/esvae-xxxxxxxx") + SOCKET_NAME > SOCKET_PATH
    return _SHALLOW if deep and os.access(_SHALLOW, os.W_OK) else None


def lava_environment(python: str | os.PathLike[str], scratch: Path) -> dict[str, str]:
    """The environment of a Lava run: :func:`child_environment`, one thread a process, temporary files in ``scratch``.

    multiprocessing leaves a folder of sockets behind when it is killed. Where the path of ``scratch`` is too long for
    them, they go where they always go; :func:`scratch_place` sees to it that it is not.
    """
    environment = child_environment(python)
    for name in THREADS:
        environment.setdefault(name, "1")
    if len(str(scratch)) + SOCKET_NAME <= SOCKET_PATH:
        environment["TMPDIR"] = str(scratch)
    return environment
