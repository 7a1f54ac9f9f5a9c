"""The newcomer's path: the README's own commands on a fresh clone, and the demo, with the training cut short."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from official_network import official
from PIL import Image

from deploy.lava import find_lava_python
from esvae.errors import LavaMissingError

ROOT = Path(__file__).resolve().parents[2]


def lava_is_here() -> bool:
    try:
        find_lava_python()
    except LavaMissingError:
        return False
    return True


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git holds of the project as it stands, and nothing else."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    target = tmp_path_factory.mktemp("newcomer") / "esvae-loihi"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def run(clone: Path, *arguments: str, work: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(clone)}
    command = [sys.executable, "-m", "deploy.cli", *arguments]
    return subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=280)


def readme_commands(clone: Path) -> list[list[str]]:
    """The ``esvae`` lines of the README's console blocks, in order."""
    blocks = re.findall(r"```console\n(.*?)```", (clone / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("$ esvae ")]
    return [line.split("#")[0].split()[2:] for line in lines]


#: What is added to a command of the README so that it ends soon and needs no data set that has to be fetched.
SHORTER = {
    "train": ["--max-steps", "12", "--data", "digits", "--samples-every", "0"],
    "fad": ["--epochs", "1", "--data", "digits"],
    "evaluate": ["-n", "200"],
    "demo": ["--max-steps", "12"],
}


def shorter(command: list[str]) -> list[str]:
    """A command of the README as the test runs it."""
    arguments = [*command, *SHORTER.get(command[0], [])]
    if command[0] == "verify" and not lava_is_here():
        arguments += ["--against", "reference"]
    return arguments


@pytest.mark.timeout(900)  # about a minute where nothing else runs
def test_the_readmes_commands_work(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):  # no network
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("ESVAE_DATA", str(tmp_path / "data"))  # and no data set
    torch.save(official(large=False).state_dict(), tmp_path / "checkpoint.pth")
    commands = readme_commands(clone)
    verbs = [command[0] for command in commands]
    assert verbs[:4] == ["train", "export", "simulate", "verify"]
    assert {"energy", "fit", "plan", "generate", "fad", "evaluate", "import-official"} < set(verbs)
    for command in commands:
        done = run(clone, *shorter(command), work=tmp_path)
        assert done.returncode == 0, f"esvae {' '.join(shorter(command))}: {done.stderr}"


def test_the_demo_goes_the_whole_way(clone: Path, tmp_path: Path) -> None:
    done = run(clone, "demo", "--out", "demo", "--max-steps", "25", "--json", work=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["equal"] is True
    assert list(result["verdict"]["differences"]) == (["reference", "lava"] if lava_is_here() else ["reference"])
    assert result["skipped"] is None or "Lava was not found" in result["skipped"]
    assert 0 < result["test_mse"] < 1
    assert sum(layer["synops"] for layer in result["counts"]) > sum(layer["spikes"] for layer in result["counts"]) > 0
    for name in ("images", "comparison"):
        pixels = np.asarray(Image.open(tmp_path / result["files"][name]))
        assert min(pixels.shape[:2]) > 300
        assert pixels.std() > 5
