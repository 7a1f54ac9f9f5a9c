"""A checkpoint of the reference implementation becomes a run that computes the same."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from torch import nn

from deploy.cli import main
from esvae.errors import CheckpointError
from esvae.official import import_official
from esvae.run import load_run
from export.pipeline import export_run


class Norm(nn.BatchNorm2d):
    """tdBN in evaluation, over ``(N, C, ..., T)``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shape = (1, -1, *[1] * (x.ndim - 2))
        y = 0.2 * (x - self.running_mean.view(shape)) / torch.sqrt(self.running_var.view(shape) + self.eps)  # type: ignore[union-attr]
        return y * self.weight.view(shape) + self.bias.view(shape)


def fire(x: torch.Tensor) -> torch.Tensor:
    u, o, seen = torch.zeros_like(x[..., 0]), torch.zeros_like(x[..., 0]), []
    for t in range(x.shape[-1]):
        u = 0.25 * u * (1 - o) + x[..., t]
        o = (u > 0.2).to(x.dtype)
        seen.append(o)
    return torch.stack(seen, -1)


def conv(before: int, after: int) -> nn.Module:
    layer = nn.Conv3d(before, after, (3, 3, 1), (2, 2, 1), (1, 1, 0))
    layer.bn = Norm(after)
    return layer


def up(before: int, after: int, *, spiking: bool = True) -> nn.Module:
    if not spiking:
        return nn.ConvTranspose3d(before, after, (3, 3, 1), 1, (1, 1, 0))
    layer = nn.ConvTranspose3d(before, after, (3, 3, 1), (2, 2, 1), (1, 1, 0), (1, 1, 0))
    layer.bn = Norm(after)
    return layer


def linear(before: int, after: int) -> nn.Module:
    layer = nn.Linear(before, after)
    layer.bn = Norm(after)
    return layer


class Coefficients(nn.Module):
    def __init__(self, steps: int) -> None:
        super().__init__()
        self.register_buffer("coef", 0.8 ** torch.arange(steps - 1, -1, -1)[None, None, None, None])


class Official(nn.Module):
    """A network with the reference implementation's parameter names, in its layout: time last, depth-1 kernels."""

    def __init__(self, channels: list[int], image_channels: int, latent: int, steps: int) -> None:
        super().__init__()
        self.steps, self.widest = steps, channels[-1]
        self.encoder = nn.Sequential(*(conv(a, b) for a, b in itertools.pairwise([image_channels, *channels])))
        self.before_latent_layer = linear(4 * channels[-1], latent)
        self.prior, self.posterior = nn.Linear(3, 3), nn.Linear(2, 2)  # not used
        self.decoder_input = linear(latent, 4 * channels[-1])
        self.decoder = nn.Sequential(*(up(a, b) for a, b in itertools.pairwise(channels[::-1])))
        self.final_layer = nn.Sequential(up(channels[0], channels[0]), up(channels[0], image_channels, spiking=False))
        self.membrane_output_layer = Coefficients(steps)
        self.sample_layer = nn.Sequential(nn.Linear(latent, latent), nn.Sigmoid())

    def rates(self, images: torch.Tensor) -> torch.Tensor:
        x = images.unsqueeze(-1).repeat(1, 1, 1, 1, self.steps)
        for layer in self.encoder:
            x = fire(layer.bn(layer(x)))
        return fire(self._dense(self.before_latent_layer, x)).mean(-1)

    def _dense(self, layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
        flat = x.flatten(1, -2)
        return layer.bn(layer(flat.transpose(1, 2)).transpose(1, 2))  # type: ignore[operator,no-any-return]

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        x = fire(self._dense(self.decoder_input, z)).view(len(z), self.widest, 2, 2, self.steps)
        for layer in [*self.decoder, self.final_layer[0]]:
            x = fire(layer.bn(layer(x)))
        return torch.tanh((self.final_layer[1](x) * self.membrane_output_layer.coef).sum(-1))


def official(large: bool) -> Official:
    torch.manual_seed(0)
    channels = [4, 6, 8, 10, 12][: 5 if large else 4]
    network = Official(channels, 3 if large else 1, 7, 5)
    for module in network.modules():
        if isinstance(module, Norm):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -0.1, 0.3)
            nn.init.uniform_(module.running_mean, -0.2, 0.2)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.05, 0.5)  # type: ignore[arg-type]
    return network.double().eval()


@pytest.mark.parametrize("large", [False, True])
def test_the_imported_model_computes_the_same(large: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    theirs = official(large)
    torch.save({f"module.{name}": value for name, value in theirs.float().state_dict().items()}, tmp_path / "a.pth")
    with pytest.raises(SystemExit, match="0"):
        main(["import-official", str(tmp_path / "a.pth"), "--out", str(tmp_path / "run")])
    size, channels = (64, 3) if large else (32, 1)
    assert f"{size}x{size}x{channels} images ({'celeba' if large else 'mnist'}), 7 latent" in capsys.readouterr().out
    run = load_run(tmp_path / "run")
    ours, theirs = run.model.double(), theirs.double()
    images = torch.rand(6, channels, size, size, dtype=torch.float64) * 2 - 1
    with torch.no_grad():
        rates = ours.posterior_rates(images)
        assert torch.equal(rates, theirs.rates(images))
        assert 0.02 < rates.mean() < 0.98
        spikes = ours.sample(rates, torch.Generator().manual_seed(0))
        assert torch.allclose(
            ours.decoder(spikes), theirs.decode(spikes.permute(1, 2, 0)), rtol=1e-6, atol=1e-6
        )  # its 0.8^k are float32
        noise = torch.randn(4, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        drawn = ours.prior(4, torch.Generator().manual_seed(1))
    assert torch.allclose(drawn, theirs.sample_layer(noise))
    export_run(load_run(tmp_path / "run"), tmp_path / "a.net", lowering="native")  # and goes on to the chip


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"encoder.0.weight": None}, r"not an official ESVAE state dict: 'encoder\.0\.weight' is missing"),
        ({"membrane_output_layer.coef": None}, r"'membrane_output_layer\.coef' is missing"),
        ({"final_layer.1.bias": None}, r"nothing in it for 'decoder\.readout\.bias'"),
        ({"decoder.1.bn.running_var": None}, r"nothing in it for 'decoder\.layers\.2\.norm\.running_var'"),
        ({"decoder.1.bn.bias": torch.zeros(3)}, r"'decoder\.layers\.2\.norm\.bias' has shape \(3,\), expected \(6,\)"),
        ({"decoder.1.bias": torch.full((6,), torch.nan)}, "holds values that are not finite"),
        ({"psp.tau": torch.zeros(1)}, r"'psp\.tau' is not part of an official ESVAE"),
        ({"decoder.9.bias": torch.zeros(1)}, r"'decoder\.9\.bias' is not part of an official ESVAE"),
        ({"decoder.1.weight": torch.zeros(8, 6, 3, 3, 2)}, "a kernel of depth 2 in time"),
        ({"epoch": 3}, "not a state dict"),
    ],
)
def test_what_is_not_quite_one(change: dict[str, object], text: str, tmp_path: Path) -> None:
    state = {**official(False).state_dict(), **change}
    torch.save({name: value for name, value in state.items() if value is not None}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=text) as caught:
        import_official(tmp_path / "a.pth")
    assert "\n" not in str(caught.value)


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('it ran')",))


def test_what_is_none_at_all(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.pth: cannot be read: No such file"):
        import_official(tmp_path / "none.pth")
    (tmp_path / "a.pth").write_bytes(b"hello")
    with pytest.raises(CheckpointError, match="cannot be loaded as tensors alone"):
        import_official(tmp_path / "a.pth")
    torch.save({"encoder.0.weight": Bomb()}, tmp_path / "b.pth")
    with pytest.raises(CheckpointError, match="cannot be loaded as tensors alone"):
        import_official(tmp_path / "b.pth")
