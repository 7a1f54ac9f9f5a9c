"""The newcomer's path: the README's own commands on a fresh clone, and the demo, with the training cut short.

The first command is a process from its beginning, as the newcomer's is; the others are forks of a process that has
imported the clone's modules (see :mod:`warm`).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from official_network import official
from PIL import Image

from shortened import lava_is_here, shortened
from warm import ONE_THREAD, Warm

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git holds of the project as it stands, and what numba has compiled of it here: anew it takes a minute."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    target = tmp_path_factory.mktemp("newcomer") / "esvae-loihi"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    for package in ("esvae", "sim"):
        for compiled in (ROOT / package).rglob("__pycache__/*.nb[ci]"):
            (target / compiled.relative_to(ROOT)).parent.mkdir(exist_ok=True)
            shutil.copy2(compiled, target / compiled.relative_to(ROOT))
    return target


@pytest.fixture(scope="module")
def ready(warm: Warm, clone: Path) -> Iterator[Warm]:
    """A process that has imported the clone."""
    with warm.ready(clone) as ready:
        yield ready


def surroundings(clone: Path, work: Path) -> dict[str, str]:
    """The environment of a command: without a data set, without a network."""
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    return {**os.environ, **proxies, "PYTHONPATH": str(clone), "ESVAE_DATA": str(work / "data")}


def run(ready: Warm, clone: Path, *arguments: str, work: Path) -> subprocess.CompletedProcess[str]:
    return ready.run(arguments, folder=work, environment=surroundings(clone, work) | ONE_THREAD, root=clone)


def readme_blocks() -> list[list[str]]:
    """The ``esvae`` lines of each of the README's console blocks that has some, in order."""
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    commands = [[line[2:] for line in block.splitlines() if line.startswith("$ esvae ")] for block in blocks]
    return [block for block in commands if block]


#: The one that trains the digits makes what the others start from; none of these needs another.
FIRST = next(block for block in readme_blocks() if block[0].startswith("esvae train digits"))
OTHERS = [block for block in readme_blocks() if block != FIRST]


def verb(line: str) -> str:
    return line.split()[1]


@pytest.fixture(scope="module")
def begun(ready: Warm, clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where that block's first two commands have been run."""
    work = tmp_path_factory.mktemp("begun")
    train, export = map(shortened, FIRST[:2])
    command = [sys.executable, "-m", "deploy.cli", *train]
    environment = surroundings(clone, work) | ONE_THREAD
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    done = run(ready, clone, *export, work=work)
    assert done.returncode == 0, done.stderr
    return work


def test_the_readme_shows_every_step() -> None:
    assert [verb(line) for line in FIRST[:4]] == ["train", "export", "simulate", "verify"]
    shown = {verb(line) for block in OTHERS for line in block}
    assert {"energy", "fit", "plan", "generate", "fad", "evaluate", "import-official"} < shown


@pytest.mark.parametrize("block", [FIRST[2:], *OTHERS], ids=lambda block: f"esvae {verb(block[0])} and so on")
def test_the_readmes_commands_work(clone: Path, ready: Warm, begun: Path, block: list[str], tmp_path: Path) -> None:
    work = tmp_path / "work"
    shutil.copytree(begun, work)
    torch.save(official(large=False).state_dict(), work / "checkpoint.pth")
    for line in block:
        done = run(ready, clone, *shortened(line), work=work)
        assert done.returncode == 0, f"{line}: {done.stdout[-1000:]}{done.stderr[-1000:]}"


def test_the_demo_goes_the_whole_way(ready: Warm, clone: Path, tmp_path: Path) -> None:
    done = run(ready, clone, "demo", "--out", "demo", "--max-steps", "6", "--json", work=tmp_path)
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
