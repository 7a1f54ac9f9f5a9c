"""Every command takes a generator that draws on the chip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from circuit_networks import STEPS, circuit_generator, host_generator
from typer.testing import CliRunner

from command import answer
from deploy.app import application
from deploy.backends import BackendJob, backend_named
from deploy.backends.lava import Lava
from deploy.circuit import circuit_options, wiring_script, write_beside
from deploy.cost import cost_of, counted_input
from deploy.entering import InputOptions, enter, from_power_on
from deploy.generate import generate_file
from deploy.inspection import inspect_file
from deploy.plan import plan
from deploy.simulate import OutputFiles, simulate_file
from deploy.verify import verify
from esvae.errors import ConfigError, DataError
from export.ir.circuit import circuit_of, is_chained
from export.netx import read_netx
from export.netx.write import write_netx
from sim.circuit import circuit_windows
from sim.sampler import draw_latents
from sim.twin.engine import Engine


@pytest.fixture(params=[True, False], ids=["one file", "two files"])
def net(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_netx(circuit_generator(chained=request.param), tmp_path / "gen.net")


def test_every_integer_from_power_on(net: Path) -> None:
    verdict = verify(net, 20, against=("reference",))
    assert verdict.equal, verdict.differences
    assert (verdict.images, verdict.layers) == (20, 4)
    assert verdict.integers > 20 * STEPS * 500 * 3


def test_onnx_computes_the_same(net: Path) -> None:
    if backend_named("onnx").missing() is not None:
        pytest.skip("ONNX Runtime is not installed")
    assert verify(net, 3, against=("onnx",)).equal


def test_pictures_come_from_the_circuits_latents(net: Path, tmp_path: Path) -> None:
    network, images = read_netx(net), np.arange(7)
    latents = draw_latents(network, 0, images)
    potentials = Engine(network).final_potentials(latents.reshape(7, STEPS, *network.input_shape))
    done = simulate_file(net, InputOptions(7), OutputFiles(tmp_path / "i.png", tmp_path / "l.npy"))
    np.testing.assert_array_equal(np.load(tmp_path / "l.npy"), latents)
    assert done.images == 7
    drawn = generate_file(net, 7, tmp_path / "out", chunk=3)
    np.testing.assert_array_equal(drawn.potentials(), potentials)


def test_the_decoders_potentials_are_those_of_the_whole_run(tmp_path: Path) -> None:
    """What comes of the windows one by one is what the one long run from power-on shows at the end of each."""
    network = circuit_generator()
    entering = from_power_on(network, 5)
    [layers] = Engine(entering.network).run(entering.stimulus, trace=True)
    last = layers[-1].trace
    assert last is not None
    ends = [last_step - 1 for _, last_step in plan(network, 5).windows]
    latents = draw_latents(network, 0, np.arange(5))
    np.testing.assert_array_equal(last.v[0, ends], Engine(network).final_potentials(latents))


def test_the_plan_starts_at_power_on(net: Path) -> None:
    made = plan(read_netx(net), 3)
    assert (made.start, made.reset_offset, made.depth) == (5, 5, 4)
    told = [layer.layer for layer in inspect_file(net).layers]
    assert [layer.layer for layer in made.layers] == told
    assert told[0] == ("layer" if is_chained(read_netx(net)) else "circuit") + " 1 (dense_rec)"
    assert made.total == 4 + 3 * STEPS + 4
    assert made.windows[-1][1] == made.total
    with pytest.raises(DataError, match="in its own window and from its own start"):
        plan(read_netx(net), 3, start=2)


def test_costs_count_source_and_latents(net: Path) -> None:
    network = read_netx(net)
    circuit = circuit_of(network)
    assert circuit is not None
    counts = cost_of(counted_input(network, InputOptions(30)), ["loihi2_anchored"]).counts
    source, latents = circuit_windows(circuit, STEPS, 0, 30)
    assert counts.layers[0].spikes == pytest.approx(source.sum() / 30)
    assert counts.layers[1].spikes == pytest.approx(latents.sum() / 30)
    fan_out = np.count_nonzero(circuit.source.recurrent, axis=0)
    assert counts.layers[0].synops == pytest.approx((source.sum(axis=(0, 1)) @ fan_out) / 30)
    assert len(counts.layers) == 4


def test_commands(net: Path, tmp_path: Path) -> None:
    assert answer("fit", net)["fits"] is True
    assert len(answer("energy", net, "-n", 20)["counts"]["layers"]) == 4
    assert answer("inspect", net)["prior"]["seed"] == 0
    assert answer("plan", net, "-n", 2)["reset_offset"] == 5
    assert answer("probe", net, "-n", 1500)["holds"] is True
    again = answer("export", net, "-o", tmp_path / "again.net", "--lowering", "dense")
    assert read_netx(str(again["file"])).labels == ("layer 3 (dense)", "layer 4 (dense)")
    for verb in (["inspect", net], ["plan", net], ["probe", net, "-n", "1000"], ["fit", net]):
        words = list(map(str, verb))
        result = CliRunner().invoke(application(words), words)
        assert result.exit_code == 0, result.output


def test_the_seed_cannot_be_given_later(net: Path) -> None:
    result = CliRunner().invoke(application(["simulate"]), ["simulate", str(net), "-n", "2", "--seed", "3"])
    assert isinstance(result.exception, DataError)
    assert "this generator draws on the chip" in str(result.exception)


def test_options_of_export() -> None:
    assert circuit_options("host", 0, None, False, None) is None
    options = circuit_options("chip", 7, 8, True, 4)
    assert options is not None
    assert (options.seed, options.tables.factors, options.tables.shared) == (7, 8, True)
    assert options.tables.components == 4
    with pytest.raises(ConfigError, match="--generator moon: expected host or chip"):
        circuit_options("moon", 0, None, False, None)
    with pytest.raises(ConfigError, match="need --generator chip"):
        circuit_options("host", 0, 8, False, None)
    with pytest.raises(ConfigError, match="--components need --generator chip"):
        circuit_options("host", 0, None, False, 4)


def test_two_files_come_with_a_script(tmp_path: Path) -> None:
    assert write_beside(circuit_generator(), tmp_path / "one.net") == ()
    assert write_beside(host_generator(chained=False), tmp_path / "host.net") == ()
    split = circuit_generator(chained=False)
    source, script = write_beside(split, tmp_path / "gen.net")
    assert read_netx(source).depth == 2
    assert script.read_text() == wiring_script(split, circuit_of(split), source.name, "gen.net")  # type: ignore[arg-type]
    assert len(script.read_text().splitlines()) <= 12


def test_lava_is_not_asked_for_what_stock_netx_cannot(net: Path, tmp_path: Path) -> None:
    """The decoder of one file stands behind its circuit: nothing else can be fed into it."""
    network = read_netx(net)
    np.save(tmp_path / "l.npy", draw_latents(network, 0, np.arange(2)))
    fed = BackendJob(net, enter(network, InputOptions(latents=tmp_path / "l.npy")))
    if len(network.input_shape) == 1:
        with pytest.raises(ConfigError, match="this file draws by itself"):
            Lava().check(fed)
    else:
        Lava().check(fed)
    Lava().check(BackendJob(net, enter(network, InputOptions(2))))
