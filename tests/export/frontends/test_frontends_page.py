"""The examples of ``docs/frontends.md`` run as they stand."""

from __future__ import annotations

import importlib.util
import re
import warnings
from pathlib import Path

import pytest

from export.netx import read_netx

PAGE = Path(__file__).resolve().parents[3] / "docs" / "frontends.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("norse", "norse.net"),
        pytest.param("lava", "slayer.net", marks=pytest.mark.lava),
    ],
)
def test_examples_run(package: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package} in this interpreter")
    (example,) = (text for text in EXAMPLES if f'"{name}"' in text)
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Norse's import sets off
        exec(compile(example, str(PAGE), "exec"), {})
    network = read_netx(tmp_path / name)
    assert network.time_steps == 16
    assert network.depth == 2


def test_the_example_of_a_nir_file_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = (text for text in EXAMPLES if '"nir.net"' in text)
    file = Path(__file__).parent / "nir" / "files" / "snntorch_leaky_subtract.nir"
    (tmp_path / "model.nir").write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)
    exec(compile(example, str(PAGE), "exec"), {})
    assert [layer.kind for layer in read_netx(tmp_path / "nir.net").layers] == ["dense", "dense_rec", "dense_rec"]
