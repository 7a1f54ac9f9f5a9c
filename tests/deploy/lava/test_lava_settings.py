"""Every way to run a file in Lava, from the command line: the same integers, and one clear line where it cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import deploy
from deploy.backends import BackendJob, LavaSettings, run_backend
from deploy.cli import main
from deploy.entering import at_hand
from deploy.generate import generate_file
from export.ir import Conv, ConvTranspose, ImageReadout, InputNeurons, Lif, Network, Prior
from export.netx import read_netx
from export.netx.write import write_netx
from sim.trace import first_difference
from sim.twin.engine import Engine


@pytest.fixture
def net(tmp_path: Path) -> Path:
    rng = np.random.default_rng(2)
    network = Network(
        (6, 1, 1),
        (
            Conv(rng.integers(-60, 90, (3, 6, 2, 2)) * 2, None, Lif(4096, 3072, 200), padding=(1, 1)),
            Conv(rng.integers(-60, 90, (1, 3, 1, 1)) * 2, np.array([7]), Lif(4096, 819, 131071)),
        ),
        time_steps=4,
        prior=Prior(
            rng.normal(0, 1, (1, 6, 3)).astype(np.float32), np.zeros((1, 6), np.float32), np.ones(1, np.float32)
        ),
        readout=ImageReadout(9000.0, (1, 2, 2)),
    )
    return write_netx(network, tmp_path / "generator.net")


def called(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, object]]:
    with pytest.raises(SystemExit) as left:
        main([*map(str, arguments), "--json"])
    out = capsys.readouterr().out
    return int(left.value.code or 0), json.loads(out)


@pytest.mark.lava
@pytest.mark.parametrize(("loader", "sampler"), [("native", "host"), ("native", "graph"), ("stock", "graph")])
def test_verify(net: Path, capsys: pytest.CaptureFixture[str], loader: str, sampler: str) -> None:
    more = ("-n", 2, "--against", "lava", "--loader", loader, "--sampler", sampler)
    code, told = called(capsys, "verify", net, *more)
    assert (code, told["equal"]) == (0, True)
    assert told["about"]["lava"]["lava-nc"] == "0.10.0"  # type: ignore[index]


@pytest.mark.lava
def test_simulate_generate_and_notebook_draw_the_twins_pictures(
    net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = deploy.load(net)
    twin = model.generate(n=5, seed=4)
    lava = model.generate(n=3, seed=4, first=2, backend="lava", loader="native", sampler="graph")
    np.testing.assert_array_equal(lava.potentials, twin.potentials[2:])
    settings = LavaSettings("native", "graph")
    told: list[str] = []
    done = generate_file(
        net,
        3,
        tmp_path / "out",
        seed=4,
        backend="lava",
        lava=settings,
        chunk=2,
        progress=lambda _, text: told.append(text),
    )
    np.testing.assert_array_equal(done.potentials(), twin.potentials[:3])
    assert told[-1].startswith("3 of 3 images, ")
    more = ("--seed", 4, "--backend", "lava", "--loader", "native", "--sampler", "graph")
    code, _ = called(capsys, "simulate", net, "-n", 5, "-o", tmp_path / "lava.png", *more)
    assert code == 0
    for backend, more in (("twin", ()), ("lava", ("--loader", "native"))):
        trace = ("--backend", backend, "--trace", tmp_path / f"{backend}.npz")
        assert called(capsys, "simulate", net, "-n", 2, "--steps", 3, *trace, *more)[0] == 0
    traces = [dict(np.load(tmp_path / f"{backend}.npz")) for backend in ("twin", "lava")]
    assert first_difference(*traces) is None
    twin.save(tmp_path / "twin.png")
    assert (tmp_path / "lava.png").read_bytes() == (tmp_path / "twin.png").read_bytes()


@pytest.mark.lava
def test_no_board(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ("--backend", "lava", "--loader", "native", "--target", "loihi2")
    code, told = called(capsys, "simulate", net, "-n", 1, *more)
    assert code == 1
    assert "lava-loihi, Intel's compiler for the chip, is not installed" in str(told["error"])
    assert "available to members of the Intel Neuromorphic Research Community" in str(told["error"])
    assert "\n" not in str(told["error"])


@pytest.mark.lava
def test_native_takes_what_stock_netx_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    layer = ConvTranspose(rng.integers(-60, 90, (6, 2, 3, 3)) * 2, None, Lif(4096, 819, 131071), (2, 2))
    network = Network((6, 2, 1), (layer,), time_steps=2)
    spikes = (rng.random((2, 2, 6, 2, 1)) < 0.5).astype(np.uint8)
    path = write_netx(network, tmp_path / "native.net", stock=False)
    back = read_netx(path)
    assert back.content_hash() == network.content_hash()
    run = run_backend("lava", BackendJob(path, at_hand(back, spikes), lava=LavaSettings("native")))
    np.testing.assert_array_equal(run.potentials, Engine(network).final_potentials(spikes))
    code, told = called(capsys, "verify", path, "-n", 1, "--against", "reference,lava", "--loader", "native")
    assert (code, told["equal"]) == (0, True)
    code, told = called(capsys, "verify", path, "-n", 1, "--against", "lava")
    assert code == 1
    assert "netx cannot load a transposed convolution" in str(told["error"])
    assert "--loader native" in str(told["error"])


@pytest.fixture
def driven(tmp_path: Path) -> Path:
    rng = np.random.default_rng(4)
    layer = Conv(rng.integers(-60, 90, (3, 2, 2, 2)) * 2, None, Lif(4096, 3072, 200))
    neurons = InputNeurons(Lif(4096, 1024, 500))
    return write_netx(Network((2, 4, 3), (layer,), input_neurons=neurons), tmp_path / "driven.net")


@pytest.mark.lava
def test_images_drive_the_native_loader_too(driven: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ("-n", 3, "--steps", 6, "--against", "lava", "--loader", "native", "--stall-timeout", 90)
    code, told = called(capsys, "verify", driven, *more)
    integers = 3 * 6 * 3 * (2 * 4 * 3 + 3 * 3 * 2) + 3 * 3 * 3 * 2  # u, v and s of both layers, and what they end with
    assert (code, told["equal"], told["integers"]) == (0, True, integers)
    np.save(tmp_path / "i.npy", np.random.default_rng(1).integers(-100, 900, (2, 2, 4, 3)))
    for loader in ("native", "stock"):
        given = ("--image", tmp_path / "i.npy", "--steps", 5, "--trace", tmp_path / f"{loader}.npz")
        code, _ = called(capsys, "simulate", driven, "--backend", "lava", "--loader", loader, *given)
        assert code == 0
    with np.load(tmp_path / "native.npz") as native, np.load(tmp_path / "stock.npz") as stock:
        assert first_difference(dict(native), dict(stock)) is None
        assert native["layer0.s"].any()
        assert native["layer1.s"].any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--loader", "native"], "are Lava's; add --backend lava"),
        (["--backend", "lava", "--target", "loihi2"], "--target loihi2 needs --loader native"),
        (["--backend", "lava", "--sampler", "chip"], "--sampler chip: expected host or graph"),
        (["--backend", "lava", "--sampler", "graph", "--latents", "L.npy"], "draws the latent spikes itself"),
        (["--backend", "lava", "--sampler", "graph", "--steps", "3"], "over the whole window; leave out --steps"),
        (["--backend", "lava", "--loader", "native", "--stagger"], "need --loader stock --sampler host"),
        (
            ["--backend", "lava", "--loader", "native", "--layers", "2", "--spikes", "L.npy"],
            "need --loader stock --sampler host",
        ),
        (["--backend", "lava", "--stall-timeout", "0"], "--stall-timeout 0: expected more than 0 seconds"),
        (["--backend", "reference", "--device", "cuda"], "--backend reference: --device is the twin's"),
    ],
)
def test_settings_that_do_not_go_together(
    net: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("L.npy", np.ones((1, 4, 6), np.uint8))
    code, told = called(capsys, "simulate", net, *arguments)
    assert code == 1
    assert message in str(told["error"])
