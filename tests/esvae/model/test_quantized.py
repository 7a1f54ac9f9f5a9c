"""Training in the chip's integers: what the model gives is what the exported file gives, every spike of it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.cli import main
from depth import examples
from esvae.chip.lif import integer_lif, integer_readout
from esvae.chip.neuron import FloatLif, lif_step
from esvae.chip.rounding import FloatValues, WeightGrid, round_layer
from esvae.chip.scales import CLIPPINGS, max_scale, mse_scale, percentile_scale
from esvae.config import Config, config_from_dict, load_config, with_settings
from esvae.errors import ConfigError
from esvae.model import ESVAE
from esvae.model.learned import LEARNED_NUMBERS, LearnedLif
from esvae.neurons import Cuba, run_cuba
from esvae.neurons.lif import lif
from esvae.run import Run, load_run, save_run
from esvae.training import Machine, TrainingCallbacks, fine_tuning, train
from export.frontends import from_run
from export.ir import NEVER_FIRES, Conv, Dense, Lif, Network
from export.netx import read_netx
from export.pipeline import compiled, export_run
from sim.sampler import draw_latents
from sim.twin.engine import Engine
from strategies import lifs

LEARNED = ("keep", "threshold", "readout_keep")


def small(
    kind: str = "subpixel",
    bits: int | None = 4,
    start: float = 0.0,
    current_keep: float = 0.0,
    kernel: int = 3,
    learned: Sequence[str] = (),
) -> Config:
    content = load_config("digits").model_dump()
    content["model"].update(latent=12, time_steps=5, encoder_channels=[4, 6])
    content["model"]["decoder"] = {
        "kind": kind,
        "channels": [6, 5, 4, 3] if kind == "transposed" else [6, 5],
        "base_size": 2 if kind == "transposed" else 8,
        "readout_kernel": kernel,
    }
    content["model"]["neuron"]["current_keep"] = current_keep
    content["model"]["quantization"] = None if bits is None else {"weight_bits": bits, "start": start}
    content["model"].update(prior={"kind": "bottleneck"}, learned=list(learned))
    content["train"].update(epochs=1, batch_size=16)
    return config_from_dict(content, "small")


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(small(bits=None), tmp_path_factory.mktemp("floats"), machine=Machine(max_steps=25))


def assert_the_file_is_the_model(run: Run, path: Path) -> None:
    exported = export_run(run, path, lowering="native")
    network = read_netx(path)
    latents = draw_latents(network, 3, np.arange(7))
    raster = torch.from_numpy(latents).float().transpose(0, 1)
    with torch.no_grad():
        hidden = run.model.decoder.hidden(raster)
        image = run.model.decoder.potentials(raster)
    (layers,) = Engine(network).run(latents.reshape(*latents.shape[:2], *network.input_shape), chunk=7)
    for seen, layer in zip(hidden, layers, strict=False):
        spikes = layer.spikes.numpy()
        assert 0 < spikes.mean() < 1
        np.testing.assert_array_equal(seen.numpy().reshape(spikes.shape), spikes)
    assert network.readout is not None
    whole = np.rint(image.double().numpy() * network.readout.unit)
    r = network.readout.upscale
    ends = torch.nn.functional.pixel_shuffle(torch.from_numpy(layers[-1].v_end), r).numpy()
    # A float32 quotient times its divisor is off by less than half a unit, for potentials below 2^23.
    np.testing.assert_array_equal(whole, ends)
    bits = run.config.model.quantization
    assert bits is not None
    assert all(entry.bits == bits.weight_bits for entry in exported.quantization)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_what_is_trained_is_what_the_file_gives(floats: Run, bits: int, tmp_path: Path) -> None:
    run = train(fine_tuning(floats.config, bits), tmp_path / "run", initial=floats, machine=Machine(max_steps=6))
    assert run.model.decoder.in_integers
    assert_the_file_is_the_model(run, tmp_path / "f.net")


@pytest.mark.parametrize(
    ("kind", "current_keep", "kernel"),
    [("transposed", 0.0, 3), ("subpixel", 0.5, 3), ("subpixel", 0.0, 5), ("transposed", 0.0, 5)],
)
def test_the_papers_decoder_lasting_currents_and_wide_readouts_too(
    kind: str, current_keep: float, kernel: int, tmp_path: Path
) -> None:
    torch.manual_seed(5)
    model = ESVAE(small(kind, 4, 0.0, current_keep, kernel))
    for name, buffer in model.decoder.named_buffers():
        if name.endswith("running_var"):
            buffer.copy_(torch.rand(len(buffer)) * 0.02 + 0.01)  # so that every layer fires
        elif name.endswith("running_mean"):
            buffer.copy_(torch.randn(len(buffer)) * 0.05)
    model.begin_step(0, 1)
    save_run(tmp_path / "run", model, {})
    assert_the_file_is_the_model(load_run(tmp_path / "run"), tmp_path / "f.net")


def test_training_from_scratch_turns_to_integers_at_its_share_of_the_steps() -> None:
    model = ESVAE(small(start=0.5))
    for step, expected in ((0, False), (4, False), (5, True), (6, True)):
        model.begin_step(step, 10)
        assert model.decoder.in_integers is expected
    plain = ESVAE(small(bits=None))
    plain.begin_step(0, 10)
    assert not plain.decoder.in_integers


def test_an_interrupted_training_in_integers_goes_on_exactly(floats: Run, tmp_path: Path) -> None:
    config = fine_tuning(floats.config, 3)
    whole = train(config, tmp_path / "whole", initial=floats, machine=Machine(max_steps=9))

    class Stop(Exception):
        pass

    def stop(step: int, steps: int, mse: float, epoch: object) -> None:
        if step == 5:
            raise Stop

    machine = Machine(max_steps=9, checkpoint_steps=3)
    with pytest.raises(Stop):
        train(config, tmp_path / "cut", initial=floats, machine=machine, callbacks=TrainingCallbacks(stop))
    resumed = train(config, tmp_path / "cut", initial=floats, machine=Machine(max_steps=9), resume=True)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_every_parameter_of_the_decoder_learns() -> None:
    torch.manual_seed(0)
    model = ESVAE(small(bits=3, learned=LEARNED)).train()
    for name, buffer in model.named_buffers():
        if name.endswith("running_var"):
            buffer.fill_(0.05)
    model.begin_step(0, 1)
    model.losses(torch.rand(16, 1, 16, 16) * 2 - 1, torch.Generator().manual_seed(0)).total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0 or "bias" in name, name


def test_eight_bits_have_almost_the_gradient_of_floats(floats: Run) -> None:
    rounded = ESVAE(fine_tuning(floats.config, 8))
    rounded.load_state_dict(floats.model.state_dict(), strict=False)
    rounded.begin_step(0, 1)
    latents = (torch.rand(5, 64, 12, generator=torch.Generator().manual_seed(1)) < 0.4).float()
    wanted = torch.rand(64, 1, 16, 16, generator=torch.Generator().manual_seed(2)) * 2 - 1
    gradients = []
    for model in (floats.model, rounded):
        model.zero_grad()
        model.eval()
        (model.decoder(latents) - wanted).square().mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for n, p in model.decoder.named_parameters() if "scale" not in n]))
    cosine = torch.nn.functional.cosine_similarity(*gradients, dim=0)
    assert cosine > 0.98


@settings(max_examples=examples(60))
@given(st.data())
def test_the_neurons_step_as_they_are_defined(data: st.DataObject) -> None:
    neuron: Lif = data.draw(lifs())
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    reach = data.draw(st.sampled_from([3, 300, 100_000]))  # the last lets currents wrap
    sums, bias = rng.integers(-reach, reach + 1, (7, 3, 6)), rng.integers(-4096, 4096, 6)
    for fires in (True, False):
        kept = neuron if fires else dataclasses.replace(neuron, threshold=NEVER_FIRES)
        u, v, seen = np.zeros((3, 6), np.int64), np.zeros((3, 6), np.int64), []
        for t in range(7):
            u, v, s = lif_step(u, v, sums[t], bias, kept)
            seen.append(s)
        given_sums, given_bias = torch.from_numpy(sums).double(), torch.from_numpy(bias)
        if fires:
            np.testing.assert_array_equal(integer_lif(given_sums, given_bias, neuron).numpy(), np.stack(seen))
        else:
            np.testing.assert_array_equal(integer_readout(given_sums, given_bias, neuron).numpy(), v)


@pytest.mark.parametrize("bits", [2, 8])
def test_learned_decays_and_thresholds_are_those_of_the_file(floats: Run, bits: int, tmp_path: Path) -> None:
    config = small(bits=bits, learned=LEARNED)
    config = config_from_dict(with_settings(config.model_dump(), ["train.learning_rate=0.02"]), "learned")
    run = train(config, tmp_path / "run", initial=floats, machine=Machine(max_steps=12))
    assert_the_file_is_the_model(run, tmp_path / "f.net")
    decoder, network = run.model.decoder, read_netx(tmp_path / "f.net")
    learned = [*(layer.lif for layer in decoder.layers), decoder.readout_lif]
    roundings = [*(layer.rounding for layer in decoder.layers), decoder.readout_rounding]
    for lif_, rounding, layer in zip(learned, roundings, network.layers, strict=True):
        assert isinstance(layer, Conv)
        assert isinstance(layer.neuron, Lif)
        assert rounding is not None
        keep, threshold = lif_.floats.keep, lif_.floats.threshold
        assert keep != lif_.start.keep
        assert 4096 * keep == 4096 - layer.neuron.voltage_decay  # type: ignore[operator]
        if math.isfinite(threshold):
            assert threshold != lif_.start.threshold
            assert layer.neuron.threshold == round(threshold * rounding.scale)
    kept = run.record["epochs"][-1]["keep"]
    assert kept["decoder.readout"] == pytest.approx(decoder.readout_lif.floats.keep, abs=1e-5)


def test_a_training_of_learned_numbers_goes_on_exactly_and_is_started_from(tmp_path: Path) -> None:
    config = small(bits=None, learned=LEARNED)
    config = config_from_dict(with_settings(config.model_dump(), ["train.schedule=constant"]), "learned")
    whole = train(config, tmp_path / "whole", machine=Machine(max_steps=8))
    train(config, tmp_path / "cut", machine=Machine(max_steps=5))
    resumed = train(config, tmp_path / "cut", machine=Machine(max_steps=8), resume=True)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    tuned = train(fine_tuning(whole.config, 4), tmp_path / "tuned", initial=whole, machine=Machine(max_steps=1))
    numbers = [name for name in whole.model.state_dict() if name.endswith(LEARNED_NUMBERS)]
    assert len(numbers) == 11
    for name in numbers:  # one step of the optimizer behind
        before, after = whole.model.state_dict()[name], tuned.model.state_dict()[name]
        torch.testing.assert_close(after, before, rtol=0, atol=0.005)
        assert after.dtype == torch.float64
    fixed = config_from_dict(with_settings(config.model_dump(), ["model.learned=[]"]), "fixed")
    with pytest.raises(ConfigError, match=r"'decoder\.layers\.0\.lif\.log_threshold' has shape \(\), expected none"):
        train(fixed, tmp_path / "fixed", initial=whole, machine=Machine(max_steps=1))


def test_integers_give_learned_numbers_the_gradient_of_floats() -> None:
    rng = torch.Generator().manual_seed(4)
    drive = torch.randn(6, 3, 10, generator=rng, dtype=torch.float64) * 0.3
    seed = torch.randn(6, 3, 10, generator=rng, dtype=torch.float64)
    scale, unit = 40_000.0, 64 * 40_000.0
    neuron, bias, width = Lif(4096, 3072, round(0.2 * scale)), torch.zeros(10, dtype=torch.float64), 0.5 * unit
    whole = (drive * scale).round()
    drive = whole / scale

    def numbers() -> tuple[torch.Tensor, torch.Tensor]:
        return tuple(torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (0.25, 0.2))

    fired, law = (numbers() for _ in range(2))
    spikes = integer_lif(whole, bias, neuron, width, keep=fired[0], threshold=fired[1] * unit)
    (spikes * seed).sum().backward()
    floats = lif(drive.flatten(0, 1), 6, keep=law[0], threshold=law[1], width=0.5)
    (floats * seed.flatten(0, 1)).sum().backward()
    stepped = numbers()
    (run_cuba(Cuba(0.25, 0.2), drive, keep=stepped[0], threshold=stepped[1]) * seed).sum().backward()
    for ours, same, wanted in zip(fired, stepped, law, strict=True):
        assert wanted.grad is not None
        assert abs(wanted.grad) > 0.01
        torch.testing.assert_close(same.grad, wanted.grad)
        torch.testing.assert_close(ours.grad, wanted.grad, rtol=1e-4, atol=1e-5)
    kept, share = numbers()[0], numbers()[0]
    (integer_readout(whole, bias, neuron, keep=kept) / unit * seed[0]).sum().backward()
    ends = sum(share ** (5 - t) * drive[t] for t in range(6))
    (ends * seed[0]).sum().backward()
    torch.testing.assert_close(kept.grad, share.grad, rtol=1e-4, atol=1e-5)


@given(st.floats(-2, 3))
def test_a_learned_share_is_on_the_chips_grid_and_finds_back(raw: float) -> None:
    learned = LearnedLif(FloatLif(0.5, 0.2), {"keep"})
    assert learned.raw_keep is not None
    learned.raw_keep.data.fill_(raw)
    share = learned.keep
    assert isinstance(share, torch.Tensor)
    assert 0 <= share <= 1
    assert share * 4096 == round(share.item() * 4096)
    assert abs(share.item() - min(max(raw, 0.0), 1.0)) <= 0.5 / 4096
    assert learned.learned == {"keep": share.item()}
    for gradient in (1.0, -1.0):
        learned.raw_keep.grad = None
        (gradient * learned.keep).backward()
        outwards = (raw < 0 and gradient > 0) or (raw > 1 and gradient < 0)
        assert learned.raw_keep.grad == (0 if outwards else gradient)


def test_the_surrogate_gradient_is_the_float_neurons() -> None:
    rng = torch.Generator().manual_seed(4)
    drive = torch.randn(6, 3, 10, generator=rng, dtype=torch.float64) * 0.3
    scale = 40_000.0
    whole = (drive * scale).round().requires_grad_()
    exact = (whole.detach() / scale).requires_grad_()
    seed = torch.randn(6, 3, 10, generator=rng, dtype=torch.float64)
    neuron = Lif(4096, 3072, round(0.2 * scale))
    fired = integer_lif(whole, torch.zeros(10, dtype=torch.float64), neuron, 0.5 * 64 * scale)
    floats = lif(exact.flatten(0, 1), 6, keep=0.25, threshold=0.2, width=0.5).unflatten(0, (6, 3))
    assert torch.equal(fired, floats)
    (fired * seed).sum().backward()
    (floats * seed).sum().backward()
    assert whole.grad is not None
    # Truncation moves a potential by less than one of 64 * 40,000 parts.
    torch.testing.assert_close(whole.grad * scale, exact.grad, rtol=1e-4, atol=1e-5)


@settings(max_examples=examples(60))
@given(st.integers(2, 8), st.integers(0, 2**32 - 1))
def test_rounding_is_idempotent_and_on_its_levels(bits: int, seed: int) -> None:
    grid, rng = WeightGrid(bits), np.random.default_rng(seed)
    weight = rng.normal(size=(5, 7)) * 10 ** rng.uniform(-3, 1)
    for scale in (max_scale(weight, grid), percentile_scale(weight, grid), mse_scale(weight, grid)):
        whole = grid.weights(weight, scale)
        assert (whole % grid.step == 0).all()
        assert np.abs(whole).max() <= grid.top <= 254
        np.testing.assert_array_equal(grid.weights(whole / scale, scale), whole)
    errors = [np.square(grid.weights(weight, s) / s - weight).sum() for s in (scale, max_scale(weight, grid))]
    assert errors[0] <= errors[1]
    assert CLIPPINGS[0] == 1.0


@settings(max_examples=examples(40))
@given(st.integers(2, 8), st.integers(0, 2**32 - 1), st.floats(1, 1e6))
def test_limits_hold_whatever_scale_is_wanted(bits: int, seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    weight, bias = rng.normal(size=(4, 9)), rng.normal(size=4) * 3
    for threshold in (0.2, math.inf):
        values = FloatValues(weight, bias, FloatLif(0.8, threshold, 0.3), (1,))
        done = round_layer(values, WeightGrid(bits), 9, scale=scale)
        assert done.scale <= scale
        assert done.bias is not None
        assert np.abs(done.bias).max() <= 4095
        assert 0 <= done.neuron.threshold <= 131_071
        if math.isinf(threshold):
            layer = Dense(done.weight, done.bias, done.neuron)
            always = np.ones((2, 9, 9), np.uint8)
            ends = Engine(Network((9,), (layer,), time_steps=9)).run(always, trace=True)
            assert not any(layers[0].spikes.any() for layers in ends)


def test_settings_that_do_not_go_together_are_refused(floats: Run, tmp_path: Path) -> None:
    content = small().model_dump()
    content["model"]["neuron"]["cells"] = "norse"
    with pytest.raises(ConfigError, match=r"model.quantization needs model\.neuron\.cells: esvae"):
        config_from_dict(content, "x")
    other = config_from_dict({**small().model_dump(), "model": {**small().model_dump()["model"], "latent": 9}}, "x")
    content = small(bits=None, learned=["keep"]).model_dump()
    content["model"]["neuron"]["cells"] = "norse"
    with pytest.raises(ConfigError, match=r"model.learned keep and threshold need model\.neuron\.cells: esvae"):
        config_from_dict(content, "x")
    with pytest.raises(ConfigError, match=r"of another model: '.*' has shape .*, expected .*; use its own config"):
        train(other, tmp_path / "run", initial=floats, machine=Machine(max_steps=1))


def test_the_command_fine_tunes_and_exports_with_the_bits_it_was_trained_with(
    floats: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_run("runs/a", floats.model, floats.record)
    arguments = ["train", "--qat", "--from", "runs/a", "--weight-bits", "3", "--out", "runs/b", "--max-steps", "3"]
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert done.value.code == 0, capsys.readouterr().err
    with pytest.raises(SystemExit) as done:
        main(["export", "runs/b", "-o", "b.net"])
    assert done.value.code == 0
    assert "3 bit weights" in capsys.readouterr().out
    state = compiled(from_run(load_run("runs/b")))
    assert state.bits == 3
    for wrong, text in (
        (["train", "--out", "runs/c"], "give a CONFIG, or a run to start from"),
        (["train", "digits", "--weight-bits", "3", "--out", "runs/c"], "--weight-bits goes with --qat"),
    ):
        with pytest.raises(SystemExit) as done:
            main(wrong)
        assert done.value.code == 1
        assert text in capsys.readouterr().err
