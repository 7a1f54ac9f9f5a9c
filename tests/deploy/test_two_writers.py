"""Two processes write to one place at the same time: the second is refused in one line, or one of them wins whole."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from every_command import write_inputs
from warm import ONE_THREAD, Child, Warm


@dataclass(frozen=True)
class Desk:
    """What runs commands, and their inputs."""

    warm: Warm
    inputs: dict[str, Path]

    def start(self, words: str, folder: Path, number: int) -> Child:
        """Starts a command in a folder, with its errors in a file of this number."""
        path = folder / f"errors{number}"
        ends = [os.open(os.devnull, os.O_WRONLY), os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)]
        given = {**ONE_THREAD, "PATH": os.environ["PATH"], "ESVAE_DATA": str(self.inputs["IMAGES"])}
        line = [str(self.inputs.get(word, word)) for word in words.split()]
        child = self.warm.start(line, folder=folder, environment=given, out=ends[0], errors=ends[1])
        for end in ends:
            os.close(end)
        return child


@pytest.fixture(scope="module")
def desk(ready: Warm, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(ready, write_inputs(tmp_path_factory.mktemp("writers")))


def error_of(folder: Path, number: int) -> str:
    text = (folder / f"errors{number}").read_text("utf-8").replace("\r", "\n")
    assert "Traceback" not in text
    return " ".join(line for line in text.splitlines() if line.startswith("error: "))


#: Commands that take long, and a file below their folder that is there once they have begun.
LONG = {
    "generate": ("generate NET -n 1000000 --chunk 1 --out out", "out/generation.json"),
    "train": ("train CONFIG --out out --epochs 100000", "out/weights.safetensors"),
    "sweep": ("sweep RUN -o out --bits 8,7,6,5,4,3,2 -n 20000 --test-images 2", "out"),
}


@pytest.mark.parametrize("name", LONG)
def test_the_second_is_refused_and_the_dead_hold_nothing(name: str, desk: Desk, tmp_path: Path) -> None:
    words, sign = LONG[name]
    first = desk.start(words, tmp_path, 1)
    while not (tmp_path / sign).exists():
        time.sleep(0.02)
    second = desk.start(words + (" --overwrite" if name == "train" else ""), tmp_path, 2)
    assert second.wait() == 1
    assert "out: another process is writing there; wait until it has ended, or name another folder" in error_of(
        tmp_path, 2
    )
    os.kill(first.pid, signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    third = desk.start(words + (" --resume" if name == "train" else ""), tmp_path, 3)
    time.sleep(0.2)
    os.kill(third.pid, signal.SIGTERM)
    assert third.wait() in (143, -signal.SIGTERM)
    assert "another process" not in error_of(tmp_path, 3)


@pytest.mark.parametrize(
    ("words", "file"),
    [
        ("export RUN -o same.net --weight-bits {}", "same.net"),
        ("simulate NET -n 2 --seed {} -o same.png", "same.png"),
        ("simulate NET -n 2 --seed {} --trace same.npz", "same.npz"),
    ],
)
def test_one_of_two_files_wins_whole(words: str, file: str, desk: Desk, tmp_path: Path) -> None:
    alone = []
    for number in (3, 4):
        (tmp_path / str(number)).mkdir()
        assert desk.start(words.format(number), tmp_path / str(number), number).wait() == 0
        alone.append((tmp_path / str(number) / file).read_bytes())
    assert alone[0] != alone[1]
    both = [desk.start(words.format(number), tmp_path, number) for number in (3, 4)]
    assert [child.wait() for child in both] == [0, 0]
    assert (tmp_path / file).read_bytes() in alone
    assert {path.name for path in tmp_path.iterdir()} == {file, "3", "4", "errors3", "errors4"}
