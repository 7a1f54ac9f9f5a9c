"""What the tests of the report share: two short runs, and the report of one."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.cli import main
from small_config import write_small_config


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two short runs of a small config with a hostile name, and the report of the first."""
    folder = tmp_path_factory.mktemp("report")
    config = write_small_config(folder, name="<script>alert(1)</script>")
    trained = [["train", config, "--out", folder / name, "--max-steps", 8, "--seed", k] for k, name in _RUNS]
    for line in [*trained, ["report", folder / "run", "-o", folder / "r.html", "-n", 12, "--against", "reference"]]:
        with pytest.raises(SystemExit) as done:
            main([str(word) for word in line])
        assert done.value.code == 0
    return folder


_RUNS = ((0, "run"), (1, "other"))
