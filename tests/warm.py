"""A process that has imported what takes seconds to import, and runs commands of the project in forks of itself.

Tests share one, the fixture ``warm``. Such a fork is the process of a command in all that a caller sees: session,
folder, environment, open files, limits, signals, exit. Nothing of the project, and nothing that looks at its
environment when it is imported, is imported before the fork; that is for the command to do. Where it does not matter
whose modules are found, the fixture ``ready`` is a fork that has imported the project too, and is forked in its turn.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    *("lightning.pytorch.plugins", "torchvision", "matplotlib.backends.backend_agg", "sklearn.mixture"),
    *("pydantic.types", "pydantic.main", "pydantic.json_schema", "pydantic.functional_validators"),
    *("yaml", "safetensors.torch", "jaxtyping", "PIL.Image", "PIL.GifImagePlugin"),
    *("typer", "rich.progress", "rich.table", "rich._emoji_codes"),
    *("onnx", "nir", "jinja2", "concurrent.futures.process", "multiprocessing.managers"),
)
_MOST = 1 << 20
_LAYER = "workqueue"  # the others do not work in a fork of a process that used them


@dataclass(frozen=True)
class Child:
    """A command that runs, or has ended.

    Attributes:
        pid: of its process, which leads a session.
    """

    pid: int
    _warm: Warm

    @property
    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return Path(f"/proc/{self.pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"

    def wait(self) -> int:
        """How it ended: its exit code, or the signal's number below zero."""
        return os.waitstatus_to_exitcode(self._warm.ask({"wait": self.pid}))


class Warm:
    """The process; a context."""

    def __enter__(self) -> Warm:
        self._socket, other = socket.socketpair()
        with other:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(other.fileno())],
                env={**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT), "NUMBA_THREADING_LAYER": _LAYER},
                pass_fds=(other.fileno(),),
                stdin=subprocess.DEVNULL,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._process.wait()

    @contextlib.contextmanager
    def ready(self, root: Path = ROOT) -> Iterator[Warm]:
        """A fork that has imported the project in a folder, and runs its commands in forks of itself; a context."""
        here, there = socket.socketpair()
        with there:
            pid = self.ask({"serve": str(root)}, [there.fileno()])
        ready = Warm()
        ready._socket = here
        try:
            yield ready
        finally:
            here.close()
            self.ask({"wait": pid})

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
        root: Path = ROOT,
        script: Path | None = None,
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
            root: where the project lies whose command it is.
            script: of Python's, that is run in the command's place.
        """
        request = {
            "arguments": list(arguments),
            "folder": str(folder),
            "environment": dict(environment),
            "closed": [number for number, given in ((1, out), (2, errors)) if given is None],
            "file_bytes": file_bytes,
            "user": user,
            "installed": installed,
            "root": str(root),
            "script": script and str(script),
        }
        given = [each for each in (out, errors) if each is not None]
        return Child(self.ask(request, given), self)

    def run(self, arguments: Sequence[str], **how: Any) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end, as :meth:`start` starts it; ``out`` and ``errors`` may be given."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
            child = self.start(arguments, **{"out": out.fileno(), "errors": errors.fileno(), **how})
            code = child.wait()
            told = []
            for file in (out, errors):
                file.seek(0)
                told.append(file.read().decode("utf-8", "replace"))
        return subprocess.CompletedProcess(list(arguments), code, *told)

    def ask(self, request: dict[str, Any], descriptors: Sequence[int] = ()) -> int:
        """Sends a request; gives the number that answers it."""
        socket.send_fds(self._socket, [json.dumps(request).encode()], list(descriptors))
        return int(self._socket.recv(_MOST).decode())


def serve(connection: socket.socket) -> dict[str, Any] | None:
    """Answers requests; returns in each fork with its request, and in this process, with None, when there are no more.

    A fork that is asked to serve answers requests as this process does, with the project imported.

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
                if "serve" in request:
                    import_project(Path(request["serve"]))
                    gc.freeze()
                    return serve(socket.socket(fileno=descriptors[0]))
                become(request, descriptors)
                return request
        for descriptor in descriptors:
            os.close(descriptor)
        connection.send(str(answer).encode())


def import_project(root: Path) -> None:
    """Imports every module but Lava's, and the one that looks at its environment."""
    look_in(root)
    for package in ("esvae", "export", "sim", "deploy"):
        for found in pkgutil.walk_packages([str(root / package)], f"{package}."):
            if not found.name.startswith(("deploy.lava.inside", "deploy.view.console")):
                with contextlib.suppress(ImportError):  # of what is not installed
                    importlib.import_module(found.name)
    if not str(sys.modules["deploy"].__file__).startswith(f"{root}/"):
        raise RuntimeError(f"{sys.modules['deploy'].__file__} was imported, not what lies in {root}")
    if "deploy.view.console" in sys.modules:
        raise RuntimeError("deploy.view.console looks at its environment: it is imported where it is used")


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
    look_in(Path(request["root"]))
    if request["installed"]:
        sys.path[:0] = ["", "."]
    sys.argv = ["esvae", *request["arguments"]]


def look_in(root: Path) -> None:
    """Modules are looked for in the folder of a project first."""
    sys.path[:2] = [str(root / "tests"), str(root)]  # of this script, and of PYTHONPATH


def run_script(path: str) -> None:
    """Runs a script as the interpreter does that is given its name; what it spawns imports it."""
    sys.argv[0] = path
    sys.path[0] = str(Path(path).parent)
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    main.__file__ = path
    exec(compile(Path(path).read_bytes(), path, "exec"), main.__dict__)


def run_command(module: str, name: str) -> None:
    getattr(importlib.import_module(module), name)()


def end(run: Callable[..., None], *arguments: str) -> NoReturn:
    """Runs what was asked for, and ends as an interpreter does, but for freeing what was imported before the fork.

    That takes most of a short command's time: it writes to, and so copies, the memory that it shares.
    """
    code = 0
    try:
        run(*arguments)
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
    with contextlib.suppress(ImportError):
        importlib.import_module("numba").njit("i8(i8)")(lambda number: number)  # loads what every function needs
    gc.freeze()  # collecting in a fork would copy the memory of what it looks at
    asked = serve(socket.socket(fileno=int(sys.argv[1])))
    if asked is not None and asked["script"]:
        end(run_script, asked["script"])
    elif asked is not None:
        end(run_command, *(("esvae.program", "run_program") if asked["installed"] else ("deploy.cli", "main")))
