"""A grid of exports of one run, each compared and costed, with the Pareto front of quality against energy."""

from deploy.sweep.evaluate import attempt, evaluate_point
from deploy.sweep.executors import Executor, in_processes, in_this_process, on_ray, threads_each
from deploy.sweep.grid import Grid, Point, parse_names, parse_numbers
from deploy.sweep.pareto import pareto_front
from deploy.sweep.run import Entry, Sweep, Workers, sweep
from deploy.sweep.settle import QUALITIES
from deploy.sweep.store import Store
from deploy.sweep.summary import as_json, save_summary
from deploy.sweep.types import Done, Failed, SweepProtocol, Task

__all__ = [
    "QUALITIES",
    "Done",
    "Entry",
    "Executor",
    "Failed",
    "Grid",
    "Point",
    "Store",
    "Sweep",
    "SweepProtocol",
    "Task",
    "Workers",
    "as_json",
    "attempt",
    "evaluate_point",
    "in_processes",
    "in_this_process",
    "on_ray",
    "pareto_front",
    "parse_names",
    "parse_numbers",
    "save_summary",
    "sweep",
    "threads_each",
]
