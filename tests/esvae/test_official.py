"""A checkpoint of the reference implementation becomes a run that computes the same."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from official_network import official

from deploy.cli import main
from esvae.errors import CheckpointError
from esvae.official import import_official
from esvae.run import load_run
from export.pipeline import export_run


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


def test_what_is_none_at_all(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.pth: cannot be read: No such file"):
        import_official(tmp_path / "none.pth")
    (tmp_path / "a.pth").write_bytes(b"hello")
    with pytest.raises(CheckpointError, match="cannot be loaded as tensors alone"):
        import_official(tmp_path / "a.pth")
    torch.save(official(False), tmp_path / "whole.pth")
    with pytest.raises(CheckpointError, match=r"save the network with torch\.save\(network\.state_dict"):
        import_official(tmp_path / "whole.pth")


@pytest.mark.parametrize("beside", [{"epoch": 3}, {"epoch": 3, "optimizer": {"lr": 0.1}}])
def test_a_state_dict_beside_other_things(beside: dict[str, object], tmp_path: Path) -> None:
    state = official(False).state_dict()
    torch.save({"net": state, **beside}, tmp_path / "a.pth")
    torch.save(state, tmp_path / "b.pth")
    found, plain = (import_official(tmp_path / name).state_dict() for name in ("a.pth", "b.pth"))
    assert all(torch.equal(found[name], plain[name]) for name in plain)


def test_a_checkpoint_of_lightning(tmp_path: Path) -> None:
    state = official(False).state_dict()
    checkpoint = {
        "epoch": 3, "global_step": 12, "pytorch-lightning_version": "2.4.0", "hyper_parameters": {"lr": 0.1},
        "state_dict": {f"model.net.{name}": value for name, value in state.items()},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}],
        "loops": {"fit_loop": {"state_dict": {}}}, "callbacks": {}, "lr_schedulers": [],
    }  # fmt: skip
    torch.save(checkpoint, tmp_path / "last.ckpt")
    torch.save(state, tmp_path / "b.pth")
    found, plain = (import_official(tmp_path / name).state_dict() for name in ("last.ckpt", "b.pth"))
    assert all(torch.equal(found[name], plain[name]) for name in plain)


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (lambda: torch.empty(3, device="meta"), "meta"),
        (lambda: torch.eye(3).to_sparse(), "sparse"),
        (lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8), "qtensor"),
        (lambda: torch.nn.Linear(1, 1), "Linear"),
    ],
)
def test_tensors_of_other_kinds_are_named(made: Callable[[], object], kind: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer torch deprecates some of these kinds, which older files still hold
        torch.save({**official(False).state_dict(), "decoder.1.bias": made()}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=rf"'decoder\.1\.bias' is \S*{kind}\S*, expected a dense tensor"):
        import_official(tmp_path / "a.pth")


def test_keys_and_shapes_of_other_kinds(tmp_path: Path) -> None:
    torch.save({**official(False).state_dict(), 3: torch.ones(1)}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="not a state dict"):
        import_official(tmp_path / "a.pth")
    for name in ("encoder.0.weight", "before_latent_layer.weight", "final_layer.0.bias"):
        torch.save({**official(False).state_dict(), name: torch.tensor(1.0)}, tmp_path / "a.pth")
        with pytest.raises(CheckpointError):
            import_official(tmp_path / "a.pth")
