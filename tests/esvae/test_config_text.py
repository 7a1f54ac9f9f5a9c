"""Configs as people read them: descriptions, the text as it was written, and every key with the defaults marked."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from esvae.config import config_from_dict, load_config
from esvae.config_text import shipped_configs, show_config
from esvae.errors import CheckpointError, ConfigError
from esvae.shipped import config_names, config_path, pretrained_names
from small_config import write_small_config


def test_every_shipped_config_says_what_it_is() -> None:
    described = shipped_configs()
    assert [one.name for one in described] == config_names()
    for one in described:
        assert 20 < len(one.about) < 250
        assert "\n" not in one.about
        assert "#" not in one.about
    assert len({one.about for one in described}) == len(described)


@pytest.mark.parametrize("name", config_names())
def test_it_is_shown_as_it_was_written_and_with_every_key(name: str) -> None:
    shown = show_config(name)
    assert shown.text == config_path(name).read_text("utf-8")
    assert yaml.safe_load(shown.text) == shown.content
    resolved = show_config(name, resolved=True)
    assert resolved.content == load_config(name).model_dump(mode="json")
    assert yaml.safe_load(resolved.text) == resolved.content


def test_what_nobody_wrote_is_marked() -> None:
    lines = show_config("digits", ["train.seed=3"], resolved=True).text.splitlines()
    assert "  image_size: 16" in lines
    assert "  flip: false  # default" in lines
    assert "  seed: 3" in lines
    assert "  neuron:  # default" in lines
    assert "    keep: 0.25" in lines  # goes with its section
    whole = show_config("digits", resolved=True).text
    assert "  seed: 0  # default" in whole.splitlines()
    again = config_from_dict(yaml.safe_load(whole), "again")
    assert again == load_config("digits")


def test_keys_can_be_set(tmp_path: Path) -> None:
    shown = show_config("digits", ["train.epochs=5", "train.finish.epochs=2"])
    assert (shown.content["train"]["epochs"], shown.content["train"]["finish"]) == (5, {"epochs": 2})
    mine = tmp_path / "mine.yaml"
    mine.write_text(shown.text)
    assert load_config(mine).train.epochs == 5
    with pytest.raises(ConfigError, match=r"^--set train\.epoch=5: unknown key; did you mean epochs\?"):
        show_config("digits", ["train.epoch=5"])


def test_files_and_runs(tmp_path: Path) -> None:
    small = write_small_config(tmp_path)
    assert show_config(small).text == small.read_text("utf-8")
    run = tmp_path / "digits"
    run.mkdir()
    (run / "config.yaml").write_text(small.read_text("utf-8"))
    assert show_config(run).file == run / "config.yaml"
    for name in pretrained_names():
        assert show_config(f"pretrained:{name}").content["data"]
    with pytest.raises(CheckpointError, match="no such pre-trained run"):
        show_config("pretrained:none")
    (run / "config.yaml").write_text("name: a\nname: b\n")
    with pytest.raises(ConfigError, match=r"config\.yaml:2: name stands twice"):
        show_config(run)
