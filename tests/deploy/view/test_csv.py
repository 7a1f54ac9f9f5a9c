"""``--csv`` of every command that has ``--json``: the same rows, the same values."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from command import call
from deploy.app import application
from every_command import CASES, write_inputs

#: Commands without a table, and what they give instead.
NO_TABLE = {
    "autoencode": "a few figures of one run",
    "config show": "a config",
    "fad train": "one figure, and a JSON file beside the weights",
    "generate": "a folder",
    "import-official": "a run directory",
    "lava install": "an environment",
    "report": "a page, and all of its tables as JSON beside it",
    "simulate": "pictures, and traces as arrays",
    "train": "a run directory, with its epochs in metrics.csv",
}
#: Columns whose values JSON gives in another way: by what they are made of, or in a text.
MADE = {
    "± 95 %": "half of the interval",
    "integers compared": "once for all backends",
    "layer": "the same label",
    "missing": "by comma",
    "place": "None of what comes with a package",
}
LONG = {"demo", "sweep"}


def commands(command: Any, before: str = "") -> Iterator[tuple[str, set[str]]]:
    """Every command and its options, those of groups too."""
    for name, each in command.commands.items():
        if hasattr(each, "commands"):
            yield from commands(each, f"{before}{name} ")
        else:
            yield before + name, {option for parameter in each.params for option in parameter.opts}


def test_every_command_that_gives_json_gives_its_tables() -> None:
    options = dict(commands(typer.main.get_command(application())))
    assert all("--json" in given for given in options.values()), "a command without --json"
    assert {name for name, given in options.items() if "--csv" not in given} == NO_TABLE.keys()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_inputs(tmp_path_factory.mktemp("csv"))


def values(found: Any) -> Iterator[Any]:
    if isinstance(found, dict):
        yield from (key for key in found)
        found = list(found.values())
    if isinstance(found, list):
        for each in found:
            yield from values(each)
    else:
        yield found


def names() -> list[Any]:
    wanted = [name for name, case in CASES.items() if "--csv" in case.words]
    return [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in wanted]


@pytest.mark.parametrize("name", names())
def test_its_numbers_are_those_of_json(
    name: str, inputs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = CASES[name]
    code, out, errors = call(capsys, *case.filled(inputs, f"{tmp_path}/"), "--json")
    assert code == case.code, errors
    given = {float(value) for value in values(json.loads(out)) if isinstance(value, int | float)}
    texts = {str(value) for value in values(json.loads(out))}
    tables = sorted(tmp_path.glob("*.csv"))
    assert tables
    for path in tables:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert rows or name == "check", path.name
        for row in rows:
            for column, cell in row.items():
                if column not in MADE and is_number(cell) and cell not in texts:
                    assert float(cell) in given, f"{path.name}, {column}: {cell}"


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_its_place_is_checked_before_any_work(
    inputs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    for target, message in (("t.txt", "expected a name that ends in .csv"), ("file/t.csv", "Not a directory")):
        code, out, errors = call(capsys, "plan", inputs["NET"], "--csv", tmp_path / target)
        assert (code, out) == (1, "")
        assert message in errors
