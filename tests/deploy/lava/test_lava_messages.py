"""What the two sides of a Lava run say to each other comes through as it was said; silence is measured."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from deploy.lava.inside.messages import (
    ConvSynapse,
    DoneEvent,
    Ended,
    FailedEvent,
    GraphWork,
    LayerNode,
    Running,
    SamplerInput,
    SamplesWork,
    SourceNode,
    SparseSynapse,
    StageEvent,
    WindowsWork,
    decode_message,
    encode_message,
)
from deploy.lava.session import Silence, Worker
from esvae.errors import LavaError

SAMPLER = SamplerInput("states.npy", "codes.npy", 8, 0x80200003, systematic=False)
NODES = (
    SourceNode(1, (2, 3, 4), False, "latent"),
    LayerNode(
        2,
        *("layer0", "layer 0", (1, 2, 3), "bias.npy", 6, "du.npy", "dv.npy", 100),
        ConvSynapse("weight.npy", (2, 3, 4), (1, 2), (0, 1), (1, 1), 2),
    ),
    LayerNode(3, "layer1", "1", (6,), "bias.npy", 6, "du.npy", "dv.npy", 100, SparseSynapse("d", "i", "p", (6, 6))),
    LayerNode(4, "layer2", "layer 2", (6,), "bias.npy", 6, "du.npy", "dv.npy", 100, None),
)
CALLED = ("layer {number} ({kind})", "layer{number}")
MESSAGES = [
    WindowsWork("0", 2, 5, True, "a.net", False, (2, 3, 4), "entering.npy", None, *CALLED),
    SamplesWork("1", 2, 5, False, "a.net", True, 3, "entering.npy", True, False, 4, 1, True, *CALLED),
    GraphWork("2", 2, 5, True, NODES, 12, 100, "cpu", None, SAMPLER),
    StageEvent(-1, "importing", 0.0),
    Running(0, "running", {"layer 0 neuron (LIFReset)": 17}, 2, 12, 0.5),
    DoneEvent(0, "stopping", {"running": 0.25}, {}),
    FailedEvent(1, "building", "ValueError", 'a "line"\nand another', None, "Traceback"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_message_comes_through(message: object) -> None:
    line = encode_message(message)
    assert "\n" not in line
    assert decode_message(line) == message


def test_list_of_messages_comes_through() -> None:
    assert decode_message(encode_message(MESSAGES)) == MESSAGES


def test_what_is_no_message_is_refused() -> None:
    with pytest.raises(TypeError, match="Path is no part of a message"):
        encode_message([Path("a")])
    with pytest.raises(KeyError, match="Nonsense"):
        decode_message('{"is": "Nonsense"}')
    with pytest.raises(TypeError, match="unexpected keyword"):
        decode_message('{"is": "StageEvent", "colour": "red"}')
    with pytest.raises(TypeError, match=r"Step\.done: expected int"):
        decode_message('{"is": "Step", "job": 0, "stage": "running", "done": "5"}')


def saying(folder: Path, body: str) -> Path:
    """An interpreter that writes lines to the parent's pipe instead of running Lava."""
    python = folder / "python"
    say = "say = lambda line: os.write(int(sys.argv[3]), (line + '\\n').encode())"
    python.write_text(f"#!{sys.executable}\nimport os, sys, time\n{say}\n{body}\n", encoding="utf-8")
    python.chmod(0o755)
    return python


@pytest.mark.parametrize("line", ["hello", "[" * 3000, "{}", '{"is": "Step", "job": null, "stage": "x", "done": 5}'])
def test_a_worker_that_says_something_else_is_an_error_in_one_line(tmp_path: Path, line: str) -> None:
    python = saying(tmp_path, f"say({line!r})")
    with (
        Worker(python, tmp_path, 60) as worker,
        pytest.raises(LavaError, match="which is no message; run it again") as caught,
    ):
        list(worker.events())
    assert len(str(caught.value)) < 200


def test_patience_grows_by_what_a_stage_asks_for(tmp_path: Path) -> None:
    stage = encode_message(StageEvent(0, "building", 0.25))
    python = saying(tmp_path, f"say('{stage}')\ntime.sleep(600)")
    with Worker(python, tmp_path, patience=200) as worker:
        events = worker.events()
        assert next(events) == StageEvent(0, "building", 0.25)
        worker.patience = 0.125
        with pytest.raises(Silence, match=r"^0\.375 s$"):
            next(events)


def test_all_that_was_said_is_heard_before_the_end(tmp_path: Path) -> None:
    """Also where another process still holds the pipe."""
    stage = encode_message(StageEvent(0, "building", 0.0))
    body = f"if os.fork() == 0:\n    time.sleep(600)\nfor _ in range(3000):\n    say('{stage}')\nsys.exit(7)"
    python = saying(tmp_path, body)
    with Worker(python, tmp_path, patience=200) as worker:
        *said, end = worker.events()
        assert said == [StageEvent(0, "building", 0.0)] * 3000
        assert end == Ended(-1, "", worker.pid, "exit", 7)
