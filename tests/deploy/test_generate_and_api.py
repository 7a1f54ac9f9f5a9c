"""Long generations that are cut short and go on, and the interface for notebooks."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

import deploy
from deploy import generate
from deploy.backends import BackendJob, BackendRun, LavaSettings, run_backend
from deploy.generate import generate_file
from esvae.errors import ConfigError, DataError, EsvaeError
from export.ir import Conv, ImageReadout, Lif, Network, Prior
from export.netx.write import write_netx
from sim.sampler import draw_latents
from sim.twin.engine import Engine
from warm import ONE_THREAD, Warm

ROOT = Path(__file__).resolve().parents[2]


def generator(**changes: object) -> Network:
    rng = np.random.default_rng(2)
    parts: dict[str, object] = {
        "input_shape": (6, 1, 1),
        "layers": (
            Conv(rng.integers(-60, 90, (3, 6, 2, 2)) * 2, None, Lif(4096, 3072, 200), padding=(1, 1)),
            Conv(rng.integers(-60, 90, (1, 3, 1, 1)) * 2, np.array([7]), Lif(4096, 819, 131071)),
        ),
        "time_steps": 4,
        "prior": Prior(
            rng.normal(0, 1, (1, 6, 3)).astype(np.float32), np.zeros((1, 6), np.float32), np.ones(1, np.float32)
        ),
        "readout": ImageReadout(9000.0, (1, 2, 2)),
    }
    return Network(**(parts | changes))  # type: ignore[arg-type]


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return write_netx(generator(), tmp_path / "generator.net")


def expected(images: int, seed: int = 0) -> np.ndarray:
    return Engine(generator()).final_potentials(draw_latents(generator(), seed, np.arange(images))[..., None, None])


def test_chunks_give_the_images_of_one_run(net: Path, tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []
    done = generate_file(net, 10, tmp_path / "out", seed=3, chunk=4, progress=lambda *at: told.append(at))
    np.testing.assert_array_equal(done.potentials(), expected(10, 3))
    assert (done.images, done.drawn, done.chunk) == (10, 10, 4)
    assert sorted(each.name for each in done.folder.iterdir()) == [
        "generation.json",
        "potentials-00000000.npy",
        "potentials-00000000.sha256",
        "potentials-00000004.npy",
        "potentials-00000004.sha256",
        "potentials-00000008.npy",
        "potentials-00000008.sha256",
    ]
    assert [share for share, _ in told] == sorted(share for share, _ in told)
    assert told[-1][0] == 1
    assert told[-1][1].startswith("10 of 10 images, ")
    assert told[-1][1].endswith(" steps/s, 0:00 left")


def test_it_goes_on_where_it_was(net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    drawn: list[int] = []

    def breaking(name: str, job: BackendJob) -> BackendRun:
        drawn.append(len(job.stimulus))
        if len(drawn) == 3:
            raise EsvaeError("the power is gone")
        return run_backend(name, job)

    monkeypatch.setattr(generate, "run_backend", breaking)
    with pytest.raises(EsvaeError, match="the power is gone"):
        generate_file(net, 10, folder, chunk=3)
    again = generate_file(net, 10, folder)
    assert drawn == [3, 3, 3, 3, 1]
    assert again.drawn == 4
    np.testing.assert_array_equal(again.potentials(), expected(10))
    more = generate_file(net, 14, folder, backend="reference")
    assert more.drawn == 5, "the last chunk was not whole, so it is drawn again with what is new"
    np.testing.assert_array_equal(more.potentials(), expected(14))
    fewer = generate_file(net, 5, folder)
    assert fewer.drawn == 0
    np.testing.assert_array_equal(fewer.potentials(), expected(5))


def test_a_damaged_chunk_is_drawn_again(net: Path, tmp_path: Path) -> None:
    done = generate_file(net, 6, tmp_path / "out", chunk=3)
    file = done.folder / "potentials-00000003.npy"
    whole = file.read_bytes()
    for damaged in (whole[:100], whole[:-8] + b"\x01" * 8, whole[:200] + b"inserted" + whole[200:-8]):
        file.write_bytes(damaged)
        again = generate_file(net, 6, tmp_path / "out")
        assert (again.drawn, again.damaged) == (3, (file.name,))
        np.testing.assert_array_equal(again.potentials(), expected(6))
    file.write_bytes(whole[:-4] + b"\x01" * 4)
    file.with_suffix(".sha256").unlink()
    assert generate_file(net, 6, tmp_path / "out").drawn == 3
    about = done.folder / "generation.json"
    about.write_text(json.dumps({k: v for k, v in json.loads(about.read_text()).items() if k != "hashes"}))
    file.with_suffix(".sha256").unlink()  # as before there were hashes
    assert generate_file(net, 6, tmp_path / "out").drawn == 0


def test_chunks_in_each_other_s_place_are_drawn_again(net: Path, tmp_path: Path) -> None:
    folder = generate_file(net, 6, tmp_path / "out", chunk=3).folder
    for end in ("npy", "sha256"):
        one, other = (folder / f"potentials-0000000{start}.{end}" for start in (0, 3))
        kept = one.read_bytes()
        one.write_bytes(other.read_bytes())
        other.write_bytes(kept)
    again = generate_file(net, 6, folder)
    assert again.drawn == 6
    np.testing.assert_array_equal(again.potentials(), expected(6))


def test_a_size_of_chunks_that_was_changed_puts_no_image_in_another_s_place(net: Path, tmp_path: Path) -> None:
    folder = generate_file(net, 6, tmp_path / "out", chunk=2).folder
    about = folder / "generation.json"
    for size in (1, 4):
        about.write_text(json.dumps({**json.loads(about.read_text()), "chunk": size}))
        np.testing.assert_array_equal(generate_file(net, 6, folder).potentials(), expected(6))


KILLED = """
import sys, time
from deploy import generate
run = generate.run_backend
def slow(*args, **more):
    print("drawing", flush=True)
    time.sleep(0.3)
    return run(*args, **more)
generate.run_backend = slow
generate.generate_file(sys.argv[1], 400, sys.argv[2], chunk=4)
"""


def test_killed_in_the_middle(ready: Warm, net: Path, tmp_path: Path) -> None:
    folder, script = tmp_path / "out", tmp_path / "slow.py"
    script.write_text(KILLED)
    reader, writer = os.pipe()
    environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT)}
    words = [str(net), str(folder)]
    child = ready.start(words, folder=tmp_path, environment=environment, out=writer, errors=writer, script=script)
    os.close(writer)
    with os.fdopen(reader) as said:
        for _ in range(4):
            assert said.readline() == "drawing\n"
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    kept = {each.name: each.stat().st_mtime_ns for each in folder.glob("potentials-*.npy")}
    assert len(kept) >= 3
    time.sleep(0.01)
    done = generate_file(net, 20, folder)
    assert all((folder / name).stat().st_mtime_ns == at for name, at in kept.items())
    np.testing.assert_array_equal(done.potentials(), expected(20))


def test_a_folder_for_something_else(net: Path, tmp_path: Path) -> None:
    folder = generate_file(net, 2, tmp_path / "out", chunk=2).folder
    with pytest.raises(ConfigError, match="was begun with seed 0, here 1; name another folder"):
        generate_file(net, 2, folder, seed=1)
    with pytest.raises(ConfigError, match="was begun in chunks of 2 images, here 3; leave --chunk out"):
        generate_file(net, 2, folder, chunk=3)
    other = write_netx(generator(time_steps=5), tmp_path / "other.net")
    with pytest.raises(ConfigError, match="was begun with another network; name another folder"):
        generate_file(other, 2, folder)
    (folder / "generation.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"generation\.json: damaged"):
        generate_file(net, 2, folder)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(ConfigError, match="holds something else"):
        generate_file(net, 2, tmp_path / "mine")


def test_what_cannot_be_drawn(net: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="0 images"):
        generate_file(net, 0, tmp_path / "out")
    with pytest.raises(DataError, match="chunks of 0 images"):
        generate_file(net, 1, tmp_path / "out", chunk=0)
    with pytest.raises(ConfigError, match="--backend chip: expected twin"):
        generate_file(net, 1, tmp_path / "a", backend="chip")
    with pytest.raises(ConfigError, match="are Lava's; add --backend lava"):
        generate_file(net, 1, tmp_path / "b", lava=LavaSettings("native"))
    bare = write_netx(generator(prior=None), tmp_path / "bare.net")
    with pytest.raises(DataError, match="no prior"):
        generate_file(bare, 1, tmp_path / "c")
    assert not any((tmp_path / name).exists() for name in "abc"), "a folder is begun only for what can be drawn"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loader": "other"}, "--loader other: expected stock or native"),
        ({"sampler": "chip"}, "--sampler chip: expected host or graph"),
        ({"target": "loihi3"}, "--target loihi3: expected cpu or loihi2"),
        ({"target": "loihi2"}, "--target loihi2 needs --loader native"),
        ({"stall_timeout": 0}, "expected more than 0"),
    ],
)
def test_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LavaSettings(**settings)  # type: ignore[arg-type]


def test_three_lines(net: Path, tmp_path: Path) -> None:
    model = deploy.load(net)
    pictures = model.generate(n=5, seed=1)
    np.testing.assert_array_equal(pictures.potentials, expected(5, 1))
    assert pictures.images.shape == (5, 1, 2, 2)
    assert len(pictures) == 5
    later = model.generate(n=2, seed=1, first=3, backend="reference")
    np.testing.assert_array_equal(later.potentials, expected(5, 1)[3:])
    assert pictures._repr_png_().startswith(b"\x89PNG")
    pictures.save(tmp_path / "grid.png")
    assert (tmp_path / "grid.png").read_bytes() == pictures._repr_png_()
    assert "6x1x1 -> 3x2x2 -> 1x2x2, 4 steps" in repr(model)
    assert repr(pictures) == f"Pictures(backend='twin', seconds={pictures.seconds})"
    assert model.plan(3).total == 14
    with pytest.raises(DataError, match="0 images from 0 on"):
        model.generate(n=0)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        deploy.nothing  # noqa: B018
    assert deploy.__all__ == ["LoadedNetwork", "Pictures", "load"]
