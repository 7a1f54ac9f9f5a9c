"""Configs: the shipped ones are sound, mistakes name their key."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from esvae.config import config_from_dict, config_names, config_to_yaml, load_config
from esvae.errors import ConfigError

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
        ({"model": {"latents": 3}}, r"model\.latents: Extra inputs are not permitted"),
        ({"model": {"time_steps": 0}}, r"model\.time_steps: Input should be greater than or equal to 1"),
        ({"data": {"image_size": 20}}, "image_size 20 is not a multiple of model.decoder.base_size 8"),
        ({"model": {"decoder": {"kind": "transposed", "base_size": 4, "channels": [8, 8]}}}, "doubled 1 times gives 8"),
        ({"model": {"decoder": {"kind": "dense"}}}, r"model\.decoder\.kind"),
        ({"model": {"encoder_channels": [8] * 6}}, "6 halvings of 16 pixels"),
        ({"train": {"learning_rate": "fast"}}, r"train\.learning_rate"),
    ],
)
def test_mistakes_name_the_key(change: dict, text: str) -> None:  # type: ignore[type-arg]
    content = load_config("digits").model_dump()
    for section, values in change.items():
        content[section].update(values)
    with pytest.raises(ConfigError, match=text) as caught:
        config_from_dict(content, "mine.yaml")
    assert str(caught.value).startswith("mine.yaml: ")
    assert "\n" not in str(caught.value)


def test_files_that_are_no_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no_such: cannot be read .*shipped configs are celeba, .*digits"):
        load_config("no_such")
    (tmp_path / "bad.yaml").write_text("a: [1\nb: 2")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config(tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(ConfigError, match="config: "):
        load_config(tmp_path / "list.yaml")
