"""Where points are evaluated: in this process, in others of this machine, or on a Ray cluster; all run one function.

An executor takes a function and tasks and yields each task's number with its result as soon as it is there. A worker
that dies fails the task that it had, and no other.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeAlias

from deploy.ending import Undivided
from deploy.sweep.types import Failed, Result, Task
from esvae.errors import ConfigError

__all__ = ["DIED", "Executor", "Work", "in_processes", "in_this_process", "on_ray", "threads_each"]

Work: TypeAlias = Callable[[Task], Result]
Executor: TypeAlias = Callable[[Work, Sequence[Task]], Iterator[tuple[int, Result]]]

DIED = "its process ended without an answer (killed, or out of memory: use fewer --jobs)"


def threads_each(jobs: int) -> int:
    """Threads for each of so many workers, so that together they take the machine's cores."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        cores = os.cpu_count() or 1
    return max(1, cores // jobs)


def in_this_process(work: Work, tasks: Sequence[Task]) -> Iterator[tuple[int, Result]]:
    """One after the other, here; a crash ends the sweep."""
    for number, task in enumerate(tasks):
        yield number, work(task)


def in_processes(jobs: int) -> Executor:
    """An executor over so many processes of this machine.

    Each has a pool of its own with one task at a time, so that, when one dies, it is known which task it had. They end
    when this process does, however it ends.

    Raises:
        ConfigError: fewer than one.
    """
    if jobs < 1:
        raise ConfigError(f"--jobs {jobs}: expected at least 1")

    def execute(work: Work, tasks: Sequence[Task]) -> Iterator[tuple[int, Result]]:
        waiting = list(enumerate(tasks))[::-1]
        workers = [_Worker() for _ in range(min(jobs, len(tasks)))]
        running: dict[Future[Result], tuple[int, _Worker]] = {}
        try:
            for worker in workers:
                number, task = waiting.pop()
                running[worker.submit(work, task)] = (number, worker)
            while running:
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    number, worker = running.pop(future)
                    try:
                        result = future.result()
                    except BrokenProcessPool:
                        result = Failed(DIED)
                        worker.renew()
                    if waiting:
                        following, task = waiting.pop()
                        running[worker.submit(work, task)] = (following, worker)
                    yield number, result
        finally:
            for worker in workers:
                worker.end(at_once=bool(running))

    return execute


class _Worker:
    """A pool of one process."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Starts anew, after the process has died."""
        self._pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=_begin_worker)
        self._pid: Future[int] | None = None

    def submit(self, work: Work, task: Task) -> Future[Result]:
        if self._pid is None:
            with Undivided(), _born_deaf():  # a pool that has only half begun would leave its process behind
                self._pid = self._pool.submit(os.getpid)
        return self._pool.submit(work, task)

    def end(self, *, at_once: bool) -> None:
        """Ends the process; at once: in the middle of what it does."""
        if at_once and self._pid is not None and self._pid.done() and self._pid.exception() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid.result(), signal.SIGTERM)
        self._pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _born_deaf() -> Iterator[None]:
    """Processes that begin inside never hear the interrupt key, not even before they are ready; it waits for us."""
    if hasattr(signal, "pthread_sigmask"):
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    else:
        yield


def _begin_worker() -> None:
    """Leaves the interrupt key to the parent, and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def on_ray(address: str | None = None, *, workers: int | None = None) -> Executor:
    """An executor over a Ray cluster.

    Run directory and data must be readable under the same path on every machine of it; results come back through Ray.

    Args:
        address: of the cluster, or None to begin one on this machine.
        workers: of the one on this machine; as many as it has cores where None.

    Raises:
        ConfigError: Ray is not installed, or the cluster cannot be reached.
    """
    try:
        import ray
    except ImportError:
        raise ConfigError("--ray needs Ray; install it with: pip install 'esvae-loihi[cluster]'") from None

    def execute(work: Work, tasks: Sequence[Task]) -> Iterator[tuple[int, Result]]:
        begun = not ray.is_initialized()
        if begun:
            options: dict[str, Any] = {"num_cpus": workers} if address is None else {}
            options |= {"log_to_driver": False, "include_dashboard": False, "logging_level": logging.ERROR}
            try:
                ray.init(address=address, **options)
            except Exception as error:
                reason = " ".join(str(error).split())[:200]
                raise ConfigError(f"--ray {address or 'local'}: the cluster cannot be used: {reason}") from None
        try:
            # A task that has taken its worker with it would do so again: it is not retried.
            remote = ray.remote(num_cpus=1, max_retries=0)(work)
            running = {remote.remote(task): number for number, task in enumerate(tasks)}
            while running:
                finished, _ = ray.wait(list(running), num_returns=1)
                for reference in finished:
                    number = running.pop(reference)
                    try:
                        result = ray.get(reference)
                    except ray.exceptions.RayError as error:
                        lines = str(error).strip().splitlines()
                        result = Failed(f"{DIED}: {type(error).__name__}, {lines[0] if lines else 'no reason given'}")
                    yield number, result
        finally:
            if begun:
                ray.shutdown()

    return execute
