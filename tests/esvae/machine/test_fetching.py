"""How far downloads are is told, and what they draw by themselves is not."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
import torch

from esvae.config import load_config
from esvae.data import vision
from esvae.machine.fetching import told_downloads


def test_a_download_of_torch_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = tmp_path / "weights"
    content.write_bytes(bytes(2_500_000))
    told: list[str] = []
    drawn = torch.hub.tqdm
    with told_downloads(torch.hub, told.append):
        torch.hub.download_url_to_file(content.as_uri(), str(tmp_path / "copy"))
    assert (told[0], told[-1]) == ("0.0 of 2.5 MB", "2.5 of 2.5 MB")
    assert len(told) > 2
    assert torch.hub.tqdm is drawn
    assert capsys.readouterr() == ("", "")


def test_a_module_that_draws_nothing() -> None:
    with told_downloads(types.ModuleType("silent"), lambda how_far: None):
        pass


def test_a_data_set_that_is_fetched_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    utils = types.ModuleType("torchvision.datasets.utils")
    utils.tqdm = object  # type: ignore[attr-defined]
    datasets = types.ModuleType("torchvision.datasets")
    datasets.utils = utils  # type: ignore[attr-defined]

    def mnist(root: str, download: bool, train: bool) -> list[int]:
        if not download:
            raise RuntimeError("not there")
        with utils.tqdm(total=9_900_000) as bar:
            bar.update(3_200_000)
        return [1]

    datasets.MNIST = mnist  # type: ignore[attr-defined]
    package = types.ModuleType("torchvision")
    package.datasets = datasets  # type: ignore[attr-defined]
    for module in (package, datasets, utils):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    told: list[tuple[float, str]] = []
    name = load_config("mnist").data.name
    assert vision.open_vision(name, tmp_path, True, lambda share, text: told.append((share, text))) == [1]
    assert told == [(0.0, "fetching MNIST, 0.0 of 9.9 MB"), (0.0, "fetching MNIST, 3.2 of 9.9 MB")]
