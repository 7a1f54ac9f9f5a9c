"""The integer encoder, the twin of the whole autoencoder, and the same as one Lava graph."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from deploy.cli import main
from deploy.lava.autoencoder import autoencoder_graph
from deploy.lava.jobs import GraphJob
from deploy.lava.results import LavaRun
from deploy.lava.run import run_lava_jobs
from esvae.chip.formats import BIAS, SpikeLaw
from esvae.config import config_from_dict
from esvae.errors import DataError, EsvaeError
from esvae.model import ESVAE
from esvae.model.threshold_norm import ThresholdNorm
from esvae.run import Run, save_run
from export.encoder import IntegerEncoder, integer_encoder
from export.ir import Network
from export.pipeline import integer_network
from sim import reference
from sim.autoencoder import autoencode, encode, first_spikes
from sim.sampler import initial_states, sample_spikes
from sim.trace import named_traces

STEPS = 4


def untrained(kind: str = "subpixel", steps: int = STEPS, sampler: SpikeLaw = "poisson") -> Run:
    """A run whose norms have seen data, so that its layers fire."""
    decoder = {
        "subpixel": {"kind": "subpixel", "base_size": 4, "channels": [4]},
        "transposed": {"kind": "transposed", "base_size": 2, "channels": [6, 4, 3]},
    }[kind]
    config = config_from_dict(
        {
            "name": "tiny",
            "data": {"image_size": 8},
            "model": {
                "latent": 6,
                "time_steps": steps,
                "encoder_channels": [4, 5],
                "decoder": decoder,
                "sampler": sampler,
            },
        },
        "test",
    )
    torch.manual_seed(4)
    model = ESVAE(config)
    draws = torch.Generator().manual_seed(5)
    for module in model.modules():
        if isinstance(module, ThresholdNorm):
            module.bias.data = 0.3 * torch.rand(module.bias.shape, generator=draws)
    model.train()
    for _ in range(20):
        model(torch.rand(16, 1, 8, 8, generator=draws) * 2 - 1, draws)
    return Run(model.eval(), {}, "")


def pictures(count: int) -> np.ndarray:
    """Images of 8 bits in [-1, 1]; the last is the first again."""
    images = np.random.default_rng(9).integers(0, 256, (count, 1, 8, 8)) / 127.5 - 1
    images[-1] = images[0]
    return images.astype(np.float32)


@pytest.fixture(scope="module")
def pair() -> tuple[IntegerEncoder, Network]:
    run = untrained()
    return integer_encoder(run), integer_network(run)[0]


def test_currents_are_the_convolution_that_the_float_model_computes(pair: tuple[IntegerEncoder, Network]) -> None:
    run, (encoder, _) = untrained(), pair
    images = pictures(3)
    stem = run.model.encoder.layers[0]
    with torch.inference_mode():
        expected = stem.norm(stem.synapse(torch.from_numpy(images))).numpy()  # type: ignore[operator]
    currents = encoder.coding.currents(images)
    assert currents.dtype == np.int32
    assert currents.shape == expected.shape == (3, *encoder.coding.shape)
    # Half a unit from rounding the sum; each of at most 9 weights and the bias adds 2^-13 * 255 and 2^-13 at most.
    allowed = 0.5 + (9 * 255 + 1) * 2.0**-13 + 1e-3
    assert np.abs(currents - expected * encoder.coding.scale).max() <= allowed
    coding = encoder.coding
    reach = np.abs(coding.weight).sum(axis=(1, 2, 3)) * 255 + np.abs(coding.bias)
    assert reach.max() >> coding.shift < BIAS.max, "no image whatever leaves the bias register"


def test_encoder_fires_as_the_float_model_does(pair: tuple[IntegerEncoder, Network]) -> None:
    run, (encoder, _) = untrained(), pair
    images = pictures(40)
    latent = encode(encoder, images)
    with torch.inference_mode():
        expected = run.model.encoder(torch.from_numpy(images)).permute(1, 0, 2).numpy()
    assert latent.shape == expected.shape == (40, STEPS, 6)
    assert 0.05 < expected.mean() < 0.95
    assert (latent != expected).mean() < 0.1
    np.testing.assert_array_equal(latent[0], latent[-1])


def test_twin_is_composed_of_the_definitions(pair: tuple[IntegerEncoder, Network]) -> None:
    encoder, decoder = pair
    images = pictures(3)
    done = autoencode(encoder, decoder, images, seed=11)
    *_, latent = reference.simulate(encoder.network, first_spikes(encoder.coding, images, STEPS))
    np.testing.assert_array_equal(done.latent, latent.s.reshape(3, STEPS, 6))
    np.testing.assert_array_equal(done.codes, (done.latent.sum(axis=1, dtype=np.int64) << 8) // STEPS)
    drawn = sample_spikes(done.codes, initial_states(11, np.arange(3), 6), STEPS, 8)
    np.testing.assert_array_equal(done.sampled, drawn)
    *_, last = reference.simulate(decoder, drawn.reshape(3, STEPS, *decoder.input_shape))
    np.testing.assert_array_equal(done.potentials, last.v[:, -1])


def test_what_does_not_fit(pair: tuple[IntegerEncoder, Network]) -> None:
    encoder, decoder = pair
    with pytest.raises(DataError, match=r"expected \(N, 1, 8, 8\)"):
        autoencode(encoder, decoder, np.zeros((2, 1, 8, 9)))
    with pytest.raises(DataError, match=r"within \[-1, 1\]"):
        autoencode(encoder, decoder, np.full((2, 1, 8, 8), 1.1))
    other = Network(decoder.input_shape, decoder.layers, time_steps=STEPS + 1)
    with pytest.raises(DataError, match="6 latents over 4 steps, the decoder takes 6 over 5; export both"):
        autoencode(encoder, other, pictures(1))


#: Kind of decoder, time steps, sampler; below how many synapses convolutions are unrolled, so that all are or none is.
GRAPHS: list[tuple[str, int, SpikeLaw, int]] = [
    ("subpixel", STEPS, "poisson", 0),
    ("subpixel", STEPS, "poisson", 1 << 20),
    ("subpixel", STEPS, "systematic", 0),
    ("transposed", 1, "poisson", 1 << 20),
    ("transposed", 6, "poisson", 0),
    ("transposed", 6, "poisson", 1 << 20),
]
Models = dict[tuple[str, int, SpikeLaw], tuple[IntegerEncoder, Network]]
Runs = dict[tuple[str, int, SpikeLaw, int], LavaRun | EsvaeError]


@pytest.fixture(scope="module")
def models() -> Models:
    found: Models = {}
    for kind, steps, sampler in dict.fromkeys(graph[:3] for graph in GRAPHS):
        run = untrained(kind, steps, sampler)
        found[kind, steps, sampler] = integer_encoder(run), integer_network(run, lowering="none")[0]
    return found


@pytest.fixture(scope="module")
def runs(models: Models) -> Runs:
    """What Lava makes of each, from one interpreter."""
    jobs = {
        (kind, steps, sampler, below): GraphJob(
            autoencoder_graph(*models[kind, steps, sampler], pictures(3), seed=2, unroll_below=below), trace=True
        )
        for kind, steps, sampler, below in GRAPHS
    }
    return dict(zip(jobs, run_lava_jobs(list(jobs.values())), strict=True))


@pytest.mark.lava
@pytest.mark.parametrize(("kind", "steps", "sampler", "unroll_below"), GRAPHS)
def test_one_lava_graph(
    kind: str, steps: int, sampler: SpikeLaw, unroll_below: int, models: Models, runs: Runs
) -> None:
    """Image to image inside Lava: nothing but images and the registers' first states enters."""
    encoder, decoder = models[kind, steps, sampler]
    images = pictures(3)
    twin = autoencode(encoder, decoder, images, seed=2)
    done = runs[kind, steps, sampler, unroll_below]
    assert isinstance(done, LavaRun), done
    assert done.trace is not None
    last = encoder.network.array_names[-1].replace("layer", "encoder")
    np.testing.assert_array_equal(done.trace["encoder0.s"], first_spikes(encoder.coding, images, steps))
    np.testing.assert_array_equal(done.trace[f"{last}.s"].reshape(twin.latent.shape), twin.latent)
    np.testing.assert_array_equal(done.trace["sampled.s"].reshape(twin.sampled.shape), twin.sampled)
    if sampler == "systematic":  # where 2^8 is a multiple of the window, what fired is what was counted
        np.testing.assert_array_equal(twin.sampled.sum(axis=1), twin.latent.sum(axis=1))
    np.testing.assert_array_equal(done.readout, twin.potentials)
    entering = twin.sampled.reshape(3, steps, *decoder.input_shape)
    for name, states in named_traces(list(reference.simulate(decoder, entering)), decoder).items():
        name = name.replace("layer", "decoder")
        np.testing.assert_array_equal(done.trace[name], states, name)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save_run(tmp_path / "run", untrained().model, {"epochs": []})
    with pytest.raises(SystemExit) as left:
        main(["autoencode", str(folder), "-n", "5", "-o", str(tmp_path / "back.png"), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert left.value.code == 0
    assert (told["images"], told["backend"], told["equal"]) == (5, "twin", True)
    assert (tmp_path / "back.png").stat().st_size > 0
    with pytest.raises(SystemExit) as left:
        main(["autoencode", str(folder), "--backend", "chip"])
    assert left.value.code == 1
    assert "expected twin or lava" in capsys.readouterr().err
