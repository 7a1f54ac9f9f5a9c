"""Configs: the shipped ones are sound, mistakes name their key."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from esvae.config import config_from_dict, config_to_yaml, given_by, load_config, with_settings
from esvae.errors import ConfigError
from esvae.shipped import config_names

ROOT = Path(__file__).resolve().parents[2]


def test_every_config_in_the_folder_is_shipped_and_valid() -> None:
    names = sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))
    assert names
    assert names == config_names()
    for name in names:
        config = load_config(name)
        assert config_from_dict(yaml.safe_load(config_to_yaml(config)), name) == config


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"model": {"latents": 3}}, r"model\.latents: unknown key; did you mean latent\?$"),
        ({"train": {"finish": {"epoch": 3}}}, r"train\.finish\.epoch: unknown key; did you mean epochs\?$"),
        ({"quux": 3}, r"quux: unknown key; there are name, data, model, train$"),
        ({"model": {"time_steps": 0}}, r"model\.time_steps: expected at least 1, got 0"),
        ({"data": {"image_size": 20}}, "image_size 20 is not a multiple of model.decoder.base_size 8"),
        ({"model": {"decoder": {"kind": "transposed", "base_size": 4, "channels": [8, 8]}}}, "doubled 1 times gives 8"),
        ({"model": {"decoder": {"kind": "dense"}}}, r"model\.decoder\.kind"),
        ({"model": {"encoder_channels": [8] * 6}}, "6 halvings of 16 pixels"),
        ({"train": {"learning_rate": "fast"}}, r"train\.learning_rate: expected a number, got 'fast'$"),
        ({"model": {"latent": 2.5}}, r"model\.latent: expected a whole number, got 2\.5$"),
        ({"model": {"latent": None}}, r"model\.latent: expected a whole number, got nothing$"),
        ({"model": {"encoder_channels": 8}}, r"model\.encoder_channels: expected a list, got 8$"),
        ({"model": {"sampler": "fair"}}, r"model\.sampler: expected 'poisson' or 'systematic', got 'fair'$"),
    ],
)
def test_mistakes_name_the_key(change: dict, text: str) -> None:  # type: ignore[type-arg]
    content = load_config("digits").model_dump()
    for section, values in change.items():
        content[section] = {**content[section], **values} if section in content else values
    with pytest.raises(ConfigError, match=text) as caught:
        config_from_dict(content, "mine.yaml")
    assert str(caught.value).startswith("mine.yaml: ")
    assert "\n" not in str(caught.value)


def test_files_that_are_no_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"no_such: no such file or shipped config; there are celeba, .*digits"):
        load_config("no_such")
    with pytest.raises(ConfigError, match=r"digit: no such file or shipped config; did you mean digits\? there are"):
        load_config("digit")
    with pytest.raises(ConfigError, match=r"runs/digits: cannot be read \(No such file .*esvae config list"):
        load_config("runs/digits")
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert load_config("digits").name == "digits"  # a folder of that name is in nobody's way
    with pytest.raises(ConfigError, match=r"^runs: a folder; expected a YAML file"):
        load_config("runs")
    with pytest.raises(ConfigError, match=r"runs: a folder; expected a YAML file, or a shipped config: celeba, "):
        load_config(tmp_path / "runs")
    (tmp_path / "bad.yaml").write_text("a: [1\nb: 2")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config(tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(ConfigError, match=r"list\.yaml:1: expected keys with values, got \[1\]$"):
        load_config(tmp_path / "list.yaml")
    (tmp_path / "empty.yaml").write_text("")
    with pytest.raises(ConfigError, match=r"empty\.yaml:1: expected keys with values, got nothing$"):
        load_config(tmp_path / "empty.yaml")


def test_a_mistake_in_a_file_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nmodel:\n  latent: 8\n  time_step: 4\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml:4: model\.time_step: unknown key; did you mean time_steps\?"):
        load_config(path)


def test_any_key_can_be_set() -> None:
    content = load_config("digits").model_dump()
    before = yaml.safe_dump(content)
    settings = ["train.learning_rate=1e-3", "train.finish.epochs=2", "model.encoder_channels=[8, 16]", "name=mine"]
    config = config_from_dict(with_settings(content, settings), "mine")
    assert config.train.learning_rate == 1e-3
    assert config.train.finish is not None
    assert config.train.finish.epochs == 2
    assert (config.model.encoder_channels, config.name) == ([8, 16], "mine")
    assert yaml.safe_dump(content) == before


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("train.learning_rate", r"--set 'train\.learning_rate': expected KEY=VALUE"),
        ("=3", r"--set '=3': expected KEY=VALUE"),
        ("name.first=3", r"--set 'name\.first=3': name is a value and has no keys"),
        ("model.latent=[1", r"--set model\.latent.*not valid YAML"),
        ("model.latnet=3", r"^--set model\.latnet=3: unknown key; did you mean latent\?"),
        ("train.epochs=", r"^--set train\.epochs=: expected a whole number, got nothing$"),
        ("train={epochs: x}", r"^--set train={epochs: x}: train\.epochs: expected a whole number, got 'x'$"),
        ("data.image_size=20", r"^digits: data\.image_size 20 is not a multiple of model\.decoder\.base_size 8$"),
    ],
)
def test_what_cannot_be_set(setting: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        config_from_dict(
            with_settings(load_config("digits").model_dump(), [setting]), "digits", given=given_by([setting])
        )
