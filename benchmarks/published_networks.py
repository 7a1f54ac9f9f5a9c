"""What becomes of network files that others published: read, run on stock Lava against the twin, counted, mapped.

    python -m benchmarks.published_networks FOLDER... [--sources SOURCES.json] [--out docs]

Every ``.net`` and ``.nir`` file below the folders is taken by a process of its own, under a limit of time and memory,
which tells each figure as soon as it has it: a file that hangs, dies or is refused gives a row with its reason, and
what was found before. Where the files come from is said in ``published_networks_sources.json``, by name. The table goes
into ``networks.md`` of the folder ``--out``, the same figures into ``published_networks.json`` beside this script; rows
of files that are not below the folders stay as they are.

``equal on Lava``: all integers (current, potential and spike of every neuron at every step, what input neurons do
included) of one image over the file's window, or over 16 steps, made up where the file does not say what enters it.
Operations and energy are of one image of that input too; energy is the estimate of the profile ``loihi2_anchored``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.report import replace_part, table
from deploy.view.numbers import si
from esvae.errors import EsvaeError, LavaError, LavaMissingError, NetFileError
from esvae.machine.files import write_text
from export.ir import Network
from export.netx import read_netx
from export.netx.check import check_file
from sim.fit.adviser import advise
from sim.fit.chips import chip_named

__all__ = ["STAGES", "Row", "rows", "write_page"]

PROFILE, CHIP = "loihi2_anchored", "loihi2"
SOURCES = Path(__file__).with_name("published_networks_sources.json")
RESULT = Path(__file__).with_name("published_networks.json")
#: Columns after file and source, by the stage that fills them.
STAGES = {
    "read": ("neurons", "layers"),
    "loads": ("loads",),
    "lava": ("equal on Lava",),
    "cost": ("operations", "energy"),
}
STAGES |= {"fit": (f"cores of {CHIP}",)}
_REASON = 160  # characters of a reason that the table shows
Cells = dict[str, str]


@dataclass(frozen=True)
class Row:
    """One file.

    Attributes:
        file: its name, with the folders below the one that was given.
        cells: text by column; a reason where a stage gave no figure.
    """

    file: str
    cells: Cells


def rows(folder: Path, *, seconds: float, gigabytes: float) -> Iterator[Row]:
    """A row for each file below a folder, in the order of their names."""
    for path in sorted(path for path in folder.rglob("*") if path.suffix in (".net", ".nir")):
        yield Row(path.relative_to(folder).as_posix(), _in_a_child(path, seconds, gigabytes))


def _in_a_child(path: Path, seconds: float, gigabytes: float) -> Cells:
    """What a process of its own tells of a file until it ends or is ended."""
    command = [sys.executable, "-m", "benchmarks.published_networks", "--child", str(path)]
    room = int(gigabytes * 2**30)
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (room, room)),
    )
    try:
        said, complaint = child.communicate(timeout=seconds)
        why = f"ended by signal {-child.returncode}" if child.returncode < 0 else complaint.strip().rpartition("\n")[2]
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        said, why = child.communicate()[0], f"not done after {seconds:g} s"
    cells: Cells = {}
    for line in said.splitlines():
        cells |= json.loads(line)
    for names in STAGES.values():
        if not set(names) <= set(cells):
            cells |= dict.fromkeys(names, "-")
            cells[names[0]], why = why or "-", ""
    return cells


def _child(path: Path) -> None:
    """Tells the cells of one file, a line a stage."""

    def tell(cells: Cells) -> None:
        sys.stdout.write(json.dumps(cells) + "\n")
        sys.stdout.flush()

    with tempfile.TemporaryDirectory() as folder:
        try:
            net = path if path.suffix == ".net" else _converted(path, Path(folder) / "converted.net")
            network = read_netx(net)
            lowered = "lower it" in _loads(net)
            net = _converted(net, Path(folder) / "lowered.net") if lowered else net
        except EsvaeError as error:
            for names in STAGES.values():
                tell(dict.fromkeys(names, "-"))
            tell({"loads": f"not read: {_short(error, path)}"})
            return
        neurons = sum(math.prod(shape) for _, _, shape in network.synapses())
        neurons += math.prod(network.input_shape) if network.input_neurons is not None else 0
        tell({"neurons": f"{neurons:,}", "layers": str(network.depth)})
        todo: dict[str, Callable[[], Cells]] = {
            "loads": lambda: {"loads": f"{'lowered: ' if lowered else ''}{_loads(net)}"},
            "lava": lambda: {"equal on Lava": _equal(net, network)},
            "cost": lambda: _cost(network),
            "fit": lambda: {f"cores of {CHIP}": _cores(network)},
        }
        for stage, work in todo.items():
            try:
                tell(work())
            except EsvaeError as error:
                tell(dict.fromkeys(STAGES[stage], "-") | {STAGES[stage][0]: _short(error, net)})


def _converted(path: Path, target: Path) -> Path:
    """A ``.nir`` file, or one with layers that netx refuses, as one that it loads, by the command that everybody has.

    Raises:
        EsvaeError: it cannot be converted.
    """
    command = [sys.executable, "-m", "deploy.cli", "export", str(path), "-o", str(target), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        try:
            raise NetFileError(str(json.loads(done.stdout)["error"]))
        except (ValueError, KeyError):
            raise NetFileError(done.stderr.strip().rpartition("\n")[2] or "esvae export failed") from None
    return target


def _short(error: EsvaeError, path: Path) -> str:
    """An error without the path of its file."""
    text = str(error).replace(f"{path}: ", "").replace(str(path), path.name).partition(" (stderr ends")[0]
    return text if len(text) <= _REASON else f"{text[:_REASON]}..."


def _loads(net: Path) -> str:
    errors = [f"{found.where}: {found.what}" for found in check_file(net) if found.severity == "error"]
    return "yes" if not errors else f"no: {errors[0]}"


def _equal(net: Path, network: Network) -> str:
    from deploy.cost import DEFAULT_STEPS  # here, as a file that cannot be read need not wait for it
    from deploy.verify import verify

    steps = network.time_steps or DEFAULT_STEPS
    try:
        verdict = verify(net, 1, steps=steps, against=("lava",))
    except LavaMissingError:
        raise
    except LavaError as error:
        return f"Lava fails: {_short(error, net)}"
    [difference] = verdict.differences.values()
    return f"{verdict.integers:,}" if difference is None else f"no: {difference}"


def _cost(network: Network) -> Cells:
    from deploy.cost import cost_of, counted_input
    from deploy.entering import InputOptions

    cost = cost_of(counted_input(network, InputOptions(1)), (PROFILE,))
    return {"operations": f"{cost.counts.totals['synops']:,}", "energy": si(cost.estimates[0].energy.value, "J")}


def _cores(network: Network) -> str:
    mapping, advice = advise(network, chip_named(CHIP))
    return str(mapping.cores) if advice is None else advice.line


def write_page(found: Sequence[Row], sources: dict[str, str], folder: Path) -> None:
    """Writes the table into ``networks.md`` of a folder, anew where it is there.

    Args:
        found: the rows.
        sources: by file name.
        folder: of the page.
    """
    columns = ["file", "source", *(name for names in STAGES.values() for name in names)]
    listed = [
        [f"`{row.file}`", sources.get(row.file, "-"), *(row.cells[name] for name in columns[2:])] for row in found
    ]
    cells = [[cell.replace("|", "\\|") for cell in row] for row in listed]
    equal = sum(row.cells["equal on Lava"].replace(",", "").isdigit() for row in found)
    lines = [f"{len(found)} files, {equal} equal on Lava in every integer.", "", *table(columns, cells)]
    replace_part("networks", lines, folder / "networks.md")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*", metavar="FOLDER")
    parser.add_argument("--sources", type=Path, default=SOURCES, help="JSON: source by file name")
    parser.add_argument("--seconds", type=float, default=900, help="limit of one file")
    parser.add_argument("--gigabytes", type=float, default=24, help="limit of each of its processes, address space")
    parser.add_argument("--out", type=Path, help="folder of the page; printed where left out")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        _child(options.child)
        return
    sources = json.loads(options.sources.read_text("utf-8"))
    found = _known() if options.out is not None else {}
    for folder in options.folders:
        for row in rows(folder, seconds=options.seconds, gigabytes=options.gigabytes):
            found[row.file] = row
            sys.stdout.write(f"{row.file}: {json.dumps(row.cells)}\n")
            sys.stdout.flush()
            if options.out is not None:
                _record(found)
                write_page([found[name] for name in sorted(found)], sources, options.out)


def _known() -> dict[str, Row]:
    """The rows of an earlier run, by file: those that are not run again stay."""
    if not RESULT.exists():
        return {}
    results: list[dict[str, str]] = json.loads(RESULT.read_text("utf-8"))["results"]
    return {row["file"]: Row(row["file"], {name: row[name] for name in row if name != "file"}) for row in results}


def _record(found: dict[str, Row]) -> None:
    about: dict[str, Any] = {"date": date.today().isoformat(), "python": platform.python_version()}
    results = [{"file": name, **found[name].cells} for name in sorted(found)]
    write_text(RESULT, json.dumps({"about": about, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
