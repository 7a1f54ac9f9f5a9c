"""What makes tests hold on any machine: workers share its cores, and nothing depends on how fast it is.

Arrays are checked against their annotations besides.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator, Sized
from functools import cache

import pytest

from array_checks import check_arrays, count_anew
from depth import is_thorough, register_profiles
from warm import Warm

#: Objects that come before a collection looks at the young ones, young collections before one looks at older ones, and
#: of these before all are: a suite makes far more than it leaves behind.
gc.set_threshold(20_000, 20, 100)
check_arrays()
register_profiles()

os.environ.pop("COLUMNS", None)  # set in workers where pytest is new; commands break lines at it
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a shell's job in the background, and then its children too
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Takes what was imported out of every collection; in a fork one would copy the memory of all that it looks at."""
    gc.collect()
    gc.freeze()


def pytest_runtest_teardown() -> None:
    """Collects what a test has left, so that a file that it left open is its own failure and no later test's."""
    gc.collect(1)


@cache
def missing_lava() -> str:
    """Why Lava cannot be run, or nothing."""
    from deploy.lava.find import find_lava_python  # late: arrays of what is imported before are not checked
    from esvae.errors import LavaMissingError

    try:
        find_lava_python()
    except LavaMissingError as error:
        return str(error)
    return ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("lava") is not None and missing_lava():
        pytest.skip(missing_lava())
    count_anew(all_calls=is_thorough())


@pytest.hookimpl(optionalhook=True)  # there is none without pytest-xdist
def pytest_xdist_setupnodes(specs: Sized) -> None:
    """Gives each worker its share of the cores; called before they start, with this environment.

    torch, MKL and OpenBLAS follow ``OMP_NUM_THREADS``. Numba keeps its own number, which some tests vary: its threads
    sleep where they have nothing to do, instead of keeping the other worker's core busy.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // len(specs))))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    """The process whose forks are the commands that need one of their own."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    with Warm() as warm:
        yield warm


@pytest.fixture(scope="session")
def ready(warm: Warm) -> Iterator[Warm]:
    """One that has imported the project too."""
    with warm.ready() as ready:
        yield ready
