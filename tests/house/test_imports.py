"""Commands that only read start at once: they import none of the large libraries, in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from export.ir import Dense, Lif, Network
from export.netx.write import write_netx

ROOT = Path(__file__).resolve().parents[2]
LARGE = {"lightning", "matplotlib", "numba", "scipy", "sklearn", "torch"}
#: What takes as long as the reading of a small file itself.
SMALLER = {"asyncio", "jaxtyping", "pydantic", "yaml"}
#: These read an energy profile.
PROFILED = ("fit", "check NET --chip")

#: Runs a command, then says on the error stream which modules it has left behind.
CALL = """
import json, sys
from deploy.cli import main
try:
    main()
finally:
    sys.stderr.write(json.dumps([name for name in sys.modules if "." not in name]))
"""


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    neuron = Lif(4096, 3072, 200)
    network = Network((2,), (Dense(np.array([[2, 4], [6, 8]]), None, neuron),), time_steps=4)
    return write_netx(network, tmp_path_factory.mktemp("imports") / "small.net")


COMMANDS = [
    "--help",
    "--version",
    "simulate --help",
    "diff NET NET",
    "inspect NET",
    "plan NET -n 2",
    "check NET",
    "check NET --chip loihi2",
    "fit NET",
    "fit NET --json",
    "lava doctor --no-test",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_large_library_is_imported(net: Path, command: str) -> None:
    words = [str(net) if word == "NET" else word for word in command.split()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", CALL, *words], env=environment, capture_output=True, text=True)
    assert done.returncode == 0 or command.startswith("lava doctor"), done.stderr  # which says whether Lava is there
    unwanted = LARGE | (SMALLER - ({"yaml"} if command.startswith(PROFILED) else set()))
    assert not unwanted & set(json.loads(done.stderr))


def test_an_import_would_be_seen() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", "import scipy\n" + CALL, "--version"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert LARGE & set(json.loads(done.stderr)) == {"scipy"}


def test_what_trains_nothing_imports_no_training() -> None:
    """Lightning takes as long as torch."""
    modules = "deploy.compare, deploy.export, deploy.report.data, deploy.sweep.evaluate, esvae.metrics.generator"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", f"import json, sys, {modules}\nprint(json.dumps(list(sys.modules)))"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "lightning" not in json.loads(done.stdout)
