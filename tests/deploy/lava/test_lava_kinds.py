"""Whatever a command can have Lava run has its kind, on which the tests of failures are tried."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from pathlib import Path
from types import FrameType
from typing import get_args, get_origin, get_type_hints

import deploy.lava
from deploy.lava.graph import Graph
from deploy.lava.inside import messages
from deploy.lava.jobs import GraphJob, LavaJob, SamplesJob, WindowsJob
from lava_kinds import KINDS, NETX


def jobs_and_calls(folder: Path) -> tuple[list[LavaJob], set[object]]:
    """One job of each kind, and the code of the functions that made them."""
    called: set[object] = set()
    jobs = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.add(frame.f_code)

    sys.setprofile(note)
    try:
        for name, kind in KINDS.items():
            (folder / name).mkdir()
            jobs.append(kind(folder / name, 5))
    finally:
        sys.setprofile(None)
    return jobs, called


def test_every_function_that_makes_a_graph_makes_one_of_a_kind(tmp_path: Path) -> None:
    names = [found.name for found in pkgutil.iter_modules(deploy.lava.__path__, "deploy.lava.")]
    makers = {
        function
        for name in names
        for _, function in inspect.getmembers(importlib.import_module(name), inspect.isfunction)
        if inspect.signature(function, eval_str=True).return_annotation is Graph
    }
    assert len(makers) >= 3
    _, called = jobs_and_calls(tmp_path)
    assert {maker.__name__ for maker in makers if maker.__code__ not in called} == set()


def test_every_job_and_what_enters_it_is_a_kind(tmp_path: Path) -> None:
    jobs, _ = jobs_and_calls(tmp_path)
    assert {type(job) for job in jobs} == set(get_args(LavaJob))
    assert [isinstance(job, GraphJob) for job in jobs] == [name not in NETX for name in KINDS]
    enter = {get_origin(kind) or kind for kind in get_args(get_type_hints(WindowsJob)["entering"])}
    assert {type(job.entering) for job in jobs if isinstance(job, WindowsJob)} == enter
    stimuli = [job.stimulus for job in jobs if isinstance(job, SamplesJob)]
    assert {(each.images is None, each.framed) for each in stimuli} == {(True, False), (False, False), (False, True)}


def test_every_part_of_a_graph_is_in_one(tmp_path: Path) -> None:
    nodes = {type(node) for job in jobs_and_calls(tmp_path)[0] if isinstance(job, GraphJob) for node in job.graph.nodes}
    known = {kind for _, kind in inspect.getmembers(messages, inspect.isclass) if issubclass(kind, messages.Node)}
    assert nodes == known - {messages.Node}
