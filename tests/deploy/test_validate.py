"""The energy model is held against measured cases whose networks are at hand."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from command import call
from deploy.validate import validate_model
from esvae.errors import DataError
from sim.energy.validation import shipped_cases


def published_networks() -> Path:
    """lava-dl's own test folder, which its wheel puts beside it."""
    found = importlib.util.find_spec("lava")
    if found is None or not found.submodule_search_locations:
        pytest.skip("lava-dl's example files are not here")
    folder = Path(next(iter(found.submodule_search_locations))).parent / "tests" / "lava"
    if not folder.is_dir():
        pytest.skip("lava-dl's example files are not here")
    return folder


def test_the_cases_that_come_with_the_project_can_be_read() -> None:
    names = [case.name for case in shipped_cases()]
    assert "pilotnet_lif_loihi2" in names
    assert all(figure.source for case in shipped_cases() for figure in case.measured)


def test_pilotnet_is_met(capsys: pytest.CaptureFixture[str]) -> None:
    folder = published_networks()
    code, out, _ = call(capsys, "energy", "--validate", folder, "--json")
    assert code == 0
    (case,) = json.loads(out)["cases"]
    errors = {one["quantity"]: one["error"] for one in case["comparisons"]}
    assert errors["cores"] == 0
    counted = [error for name, error in errors.items() if name.startswith("core operations")]
    assert len(counted) == 3
    assert max(map(abs, counted)) < 0.004  # the recorded figures have three or four digits
    assert max(abs(errors[name]) for name in ("step time", "dynamic energy step", "energy image")) < 0.03
    code, out, _ = call(capsys, "energy", "--validate", folder)
    assert code == 0
    assert "model (loihi2_anchored) against measurement" in out


def test_folders_without_such_networks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match="no such folder"):
        validate_model(tmp_path / "none")
    (tmp_path / "network.net").write_bytes(b"no network")
    with pytest.raises(DataError, match=r"holds none of the measured networks \(pilotnet_lif/network\.net"):
        validate_model(tmp_path)
    code, _, error = call(capsys, "energy", "a.net", "--validate", tmp_path)
    assert (code, "leave out F.net" in error) == (1, True)
    code, _, error = call(capsys, "energy")
    assert (code, "give a network file or a run directory, or --validate FOLDER" in error) == (1, True)
