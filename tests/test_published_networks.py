"""The table of published networks: a row for each file, whatever becomes of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.published_networks import STAGES, Row, rows, write_page
from export.ir import Dense, Lif, Network
from export.netx.write import write_netx

WEIGHT = np.array([[2, -4, 6], [8, 2, -2]])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    write_netx(Network((3,), (Dense(WEIGHT, None, Lif(4096, 3072, 5)),), time_steps=4), tmp_path / "deep" / "small.net")
    (tmp_path / "broken.net").write_text("no network")
    (tmp_path / "notes.txt").write_text("no file of this kind")
    return tmp_path


@pytest.mark.lava
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_each_file_has_a_row_with_figures_or_reasons(folder: Path) -> None:
    broken, small = rows(folder, seconds=300, gigabytes=24)
    assert (broken.file, small.file) == ("broken.net", "deep/small.net")
    assert broken.cells["loads"].startswith("not read: corrupt, truncated or not a netx HDF5 file")
    assert small.cells.pop("energy").endswith("J")
    assert int(small.cells.pop("operations")) > 0
    # current, potential and spike of 2 neurons at 4 steps, and what they end with
    assert small.cells == {
        "neurons": "2",
        "layers": "1",
        "loads": "yes",
        "equal on Lava": str(3 * 2 * 4 + 2),
        "cores of loihi2": "1",
    }


def test_a_file_that_takes_too_long_is_a_row_too(folder: Path) -> None:
    for row in rows(folder, seconds=0.01, gigabytes=24):
        assert set(row.cells) == {name for names in STAGES.values() for name in names}
        assert "not done after 0.01 s" in row.cells.values()


def test_the_page_holds_the_table_and_its_words(tmp_path: Path) -> None:
    cells = {name: "7" for names in STAGES.values() for name in names}
    (tmp_path / "networks.md").write_text("# Networks\n\nWords.\n")
    found = [Row("a.net", cells), Row("b.net", cells | {"equal on Lava": "no: a | b"})]
    for _ in range(2):  # written anew, not twice
        write_page(found, {"a.net": "somebody/something"}, tmp_path)
    text = (tmp_path / "networks.md").read_text()
    assert text.startswith("# Networks\n\nWords.\n")
    assert text.count("2 files, 1 equal on Lava in every integer.") == 1
    assert "| `a.net` | somebody/something | 7 |" in text
    assert "no: a \\| b" in text


def test_sources_are_texts_by_name() -> None:
    sources = json.loads((Path(__file__).parents[1] / "benchmarks" / "published_networks_sources.json").read_text())
    assert all(isinstance(name, str) and isinstance(source, str) for name, source in sources.items())
    assert not any(source.startswith(("/", "~")) for source in sources.values())
