"""``inspect`` shows what a file holds, whatever it is; ``diff`` lists all that differs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.cli import main
from deploy.inspection import inspect_file
from depth import examples
from export.ir import Conv, Dense, Flatten, ImageReadout, Lif, Network, Prior
from export.netx.diff import diff_files
from export.netx.survey import survey
from export.netx.write import write_netx
from strategies import foreign_networks


def generator() -> Network:
    conv = Conv(np.array([[[[2, -4], [6, 0]]]]), np.array([-3]), Lif(4096, 3072, 20), padding=(1, 1))
    dense = Dense(np.arange(-8, 10, 2).reshape(1, 9) * 2, None, Lif(4096, 1024, 131_071), np.full((1, 9), 3))
    prior = Prior(np.ones((2, 4, 5), "f4"), np.zeros((2, 4), "f4"), np.array([0.25, 0.75], "f4"), 7)
    return Network((1, 2, 2), (conv, Flatten(), dense), 6, prior, ImageReadout(64.0, (1, 1, 1)), {"name": "tiny"})


def ran(*arguments: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return int(done.value.code or 0), out, err


def test_inspect_tells_the_layers_and_the_generator(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_netx(generator(), tmp_path / "f.net")
    code, out, _ = ran("inspect", path, "--json", capsys=capsys)
    found = json.loads(out)
    assert code == 0
    assert found["refused"] is None
    first, second = found["layers"]
    assert (first["neurons"], first["weights"], first["weight_range"], first["weight_levels"]) == (9, 4, [-4, 6], 4)
    # Each of 4 pixels reaches the 4 outputs around it by 3 taps that are not zero.
    assert first["synapses"] == 12
    assert first["zeros"] == 0.25
    assert first["even"] is True
    assert first["bias_range"] == [-3, -3]
    assert first["voltage_keep"] == 0.25
    assert (second["delay_range"], second["bias_range"], second["voltage_keep"]) == ([3, 3], None, 0.75)
    assert second["synapses"] == 8
    drawn = {"components": 2, "latents": 4, "noise": 5, "rate_bits": 7, "sampler": "poisson", "levels": None}
    assert found["prior"] == drawn
    assert found["readout"]["image_shape"] == [1, 1, 1]
    assert found["provenance"] == {"name": "tiny"}
    assert found["content_hash"] == generator().content_hash()
    code, out, _ = ran("inspect", path, "--items", capsys=capsys)
    assert code == 0
    assert "layer/1/weight" in out
    assert "prior: 2 components, 4 latents, rate codes of 7 bits" in out


def test_a_file_that_is_no_network_is_shown_with_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "odd.net"
    with h5py.File(path, "w") as file:
        file["layer/0/type"] = b"pool"
        file["layer/0/weight"] = np.array([0.5, np.nan, -2.5])
        file["huge"] = h5py.Empty("f4")
        file.create_dataset("hollow", (1 << 40,), "i1", chunks=(1 << 20,))
        file["out"] = h5py.ExternalLink("elsewhere.h5", "/x")
        file["again"] = file["layer"]
    code, out, err = ran("inspect", path, capsys=capsys)
    assert code == 1
    assert "not read as a network" in out
    assert "-2.5..0.5" in out
    assert "not followed" in " ".join(out.split())
    assert "1099511627776 elements declared" in " ".join(out.split())
    assert not err
    kinds = {item.path: item.kind for item in survey(path)}
    assert kinds == {
        "again/0/type": "text",
        "again/0/weight": "array",
        "hollow": "unreadable",
        "huge": "unreadable",
        "layer": "unreadable",
        "out": "link",
    }


@pytest.mark.parametrize("content", [None, b"", b"not HDF5 at all"])
@pytest.mark.parametrize("verb", ["inspect", "diff"])
def test_what_is_no_hdf5_is_one_line(
    content: bytes | None, verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.net"
    if content is not None:
        path.write_bytes(content)
    code, out, err = ran(verb, path, *([path] if verb == "diff" else []), capsys=capsys)
    assert code == 1
    assert not out
    assert len(err.splitlines()) == 1
    assert str(path) in err


def test_diff_lists_everything_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = generator()
    conv, flatten, dense = network.layers
    assert isinstance(conv, Conv)
    assert isinstance(dense, Dense)
    weight = conv.weight.copy()
    weight[0, 0, 1, 0] = -6
    other = replace(
        network,
        layers=(replace(conv, weight=weight, bias=None), flatten, replace(dense, neuron=Lif(4096, 1024, 9))),
        readout=replace(network.readout, unit=32.0),  # type: ignore[type-var]
        provenance={"name": "other"},
    )
    one, two = write_netx(network, tmp_path / "a.net"), write_netx(other, tmp_path / "b.net")
    code, out, _ = ran("diff", one, two, "--json", capsys=capsys)
    result = json.loads(out)
    assert code == 1
    assert result["same_network"] is False
    found = {each["where"]: each for each in result["differences"]}
    assert found["layer/1/weight"]["what"] == "1 of 4 differ, by 12 at most; first at (0, 0, 1, 0): 6 | -6"
    assert found["layer/1/bias"]["what"] == "not in the second file"
    assert found["layer/3/neuron/vThMant"]["what"].endswith("131071 | 9")
    assert found["esvae/readout/unit"]["count"] == 1
    assert found["esvae/provenance"]["what"] == "name: tiny | other"
    assert set(found) >= {"esvae/content_hash"}
    assert len(found) == 6


def test_where_only_the_origin_differs_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = write_netx(generator(), tmp_path / "a.net")
    two = write_netx(replace(generator(), provenance={"name": "copy"}), tmp_path / "b.net")
    code, out, _ = ran("diff", one, two, capsys=capsys)
    assert code == 1
    assert "they compute the same" in out
    code, out, _ = ran("diff", one, one, "--json", capsys=capsys)
    assert code == 0
    assert json.loads(out)["equal"] is True


@settings(max_examples=examples(15), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_any_network_is_inspected_and_differs_from_another_alone(tmp_path: Path, data: st.DataObject) -> None:
    one, two = data.draw(foreign_networks(transposed=True)), data.draw(foreign_networks(transposed=True))
    paths = [write_netx(network, tmp_path / name, stock=False) for network, name in ((one, "a"), (two, "b"))]
    found = inspect_file(paths[0])
    assert found.content_hash == one.content_hash()
    assert sum(view.neurons for view in found.layers) > 0
    assert diff_files(paths[0], paths[0]) == []
    same = one.content_hash() == two.content_hash()
    assert all(each.origin for each in diff_files(*paths)) == same
