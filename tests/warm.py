"""A process that has imported what takes seconds to import, and runs commands of the project in forks of itself.

Such a fork is the process of a command in all that a caller sees: session, folder, environment, open files, limits,
signals, exit. Nothing of the project, and nothing that looks at its environment when it is imported, is imported before
the fork; that is for the command to do.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

__all__ = ["ONE_THREAD", "ROOT", "Child", "Warm"]

ROOT = Path(__file__).resolve().parents[1]
#: Environment of what may be forked, and of what is run beside others.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
#: What is imported, where it is installed; of one thread each, as a fork keeps no other (onnxruntime has begun to start
#: one).
HEAVY = (
    *(
        "numpy",
        "scipy.stats",
        "torch",
        "lightning",
        "lightning.pytorch.strategies",
        "h5py",
        "numba",
        "sklearn.datasets",
    ),
    *("pydantic", "yaml", "safetensors.torch", "jaxtyping", "PIL.Image", "typer", "rich.progress", "rich.table"),
    *("onnx", "nir", "jinja2", "concurrent.futures.process", "multiprocessing.managers"),
)
_MOST = 1 << 20


@dataclass(frozen=True)
class Child:
    """A command that runs, or has ended.

    Attributes:
        pid: of its process, which leads a session.
    """

    pid: int
    _warm: Warm

    def wait(self) -> int:
        """How it ended: its exit code, or the signal's number below zero."""
        return os.waitstatus_to_exitcode(self._warm.ask({"wait": self.pid}))


class Warm:
    """The process; a context.

    Args:
        environment: more of it, for the process and thus for its imports.
        root: where the project lies whose commands are run.
    """

    def __init__(self, environment: Mapping[str, str] | None = None, root: Path = ROOT) -> None:
        self._environment = {**os.environ, **ONE_THREAD, **(environment or {}), "PYTHONPATH": str(root)}
        self._script = root / Path(__file__).relative_to(ROOT)

    def __enter__(self) -> Warm:
        self._socket, other = socket.socketpair()
        with other:
            self._process = subprocess.Popen(
                [sys.executable, str(self._script), str(other.fileno())],
                env=self._environment,
                pass_fds=(other.fileno(),),
                stdin=subprocess.DEVNULL,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._process.wait()

    def start(
        self,
        arguments: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        out: int | None,
        errors: int | None,
        file_bytes: int | None = None,
        user: int | None = None,
        installed: bool = False,
    ) -> Child:
        """Starts a command.

        Args:
            arguments: without the program's name.
            folder: that it starts in.
            environment: all of it.
            out, errors: descriptors for its output; closed where None.
            file_bytes: that a file may have at the most (``RLIMIT_FSIZE``).
            user: whose rights it has.
            installed: it begins as the installed command does where ``PYTHONPATH`` is the working folder too.
        """
        request = {
            "arguments": list(arguments),
            "folder": str(folder),
            "environment": dict(environment),
            "closed": [number for number, given in ((1, out), (2, errors)) if given is None],
            "file_bytes": file_bytes,
            "user": user,
            "installed": installed,
        }
        given = [each for each in (out, errors) if each is not None]
        return Child(self.ask(request, given), self)

    def ask(self, request: dict[str, Any], descriptors: Sequence[int] = ()) -> int:
        """Sends a request; gives the number that answers it."""
        socket.send_fds(self._socket, [json.dumps(request).encode()], list(descriptors))
        return int(self._socket.recv(_MOST).decode())


def serve(connection: socket.socket) -> dict[str, Any] | None:
    """Answers requests; returns in each fork with its request, and in this process, with None, when there are no more.

    Requests come one after the other: each is answered before the next is sent.
    """
    while True:
        content, descriptors, _, _ = socket.recv_fds(connection, _MOST, 2)
        if not content:
            return None
        request: dict[str, Any] = json.loads(content)
        if "wait" in request:
            answer = os.waitpid(request["wait"], 0)[1]
        else:
            answer = os.fork()
            if answer == 0:
                connection.close()
                become(request, descriptors)
                return request
        for descriptor in descriptors:
            os.close(descriptor)
        connection.send(str(answer).encode())


def become(request: dict[str, Any], descriptors: list[int]) -> None:
    """Makes a fork what a shell would have started."""
    os.setsid()
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    tempfile.tempdir = None
    encoding, _, errors = os.environ.get("PYTHONIOENCODING", "utf-8").partition(":")
    sys.stdout = sys.stderr = None
    for number, name in ((1, "stdout"), (2, "stderr")):
        if number in request["closed"]:
            os.close(number)
            continue
        descriptor = descriptors.pop(0)
        os.dup2(descriptor, number)
        os.close(descriptor)
        how = errors or ("strict" if number == 1 else "backslashreplace")
        lines = 1 if number == 2 or os.isatty(number) else -1
        setattr(sys, name, open(number, "w", lines, encoding, how, closefd=False))  # noqa: SIM115
    if request["file_bytes"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_bytes"],) * 2)
    if request["user"] is not None:
        os.setgroups([])
        os.setgid(request["user"])
        os.setuid(request["user"])
    if request["installed"]:
        sys.path[:0] = ["", "."]
    sys.argv = ["esvae", *request["arguments"]]


def end(module: str, name: str) -> NoReturn:
    """Runs a command, and ends as an interpreter does, but for freeing each object that was imported before the fork.

    That takes most of a short command's time: it writes to, and so copies, the memory that it shares.
    """
    code = 0
    try:
        getattr(importlib.import_module(module), name)()
    except SystemExit as told:
        code = told.code if isinstance(told.code, int) else int(told.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    for module in HEAVY:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
            if len(list(Path("/proc/self/task").iterdir())) > 1:
                raise RuntimeError(f"{module} starts a thread when it is imported, which forks would miss")
    gc.freeze()  # collecting in a fork would copy the memory of what it looks at
    asked = serve(socket.socket(fileno=int(sys.argv[1])))
    if asked is not None:
        end(*(("esvae.program", "run_program") if asked["installed"] else ("deploy.cli", "main")))
