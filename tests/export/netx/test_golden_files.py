"""Files hold what they have always held, byte for byte: whoever changes that must mean to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from record_hashes import NETWORKS, PRETRAINED, RELOWERED, file_hash, margin, pretrained_hash, relowered

from export.netx import read_netx
from export.netx.write import write_netx

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())


def test_all_are_recorded_and_no_others() -> None:
    assert [list(GOLDEN[kind]) for kind in ("content", "file")] == [list(NETWORKS)] * 2
    assert list(GOLDEN["relowered"]) == list(RELOWERED)
    assert list(GOLDEN["pretrained"]) == list(PRETRAINED)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_hashed_and_written_as_ever(name: str, tmp_path: Path) -> None:
    network, stock = NETWORKS[name](), name != "transposed"
    assert network.content_hash() == GOLDEN["content"][name]
    net = write_netx(network, tmp_path / "a.net", stock=stock)
    assert file_hash(net) == GOLDEN["file"][name]
    again = read_netx(net)
    assert again.content_hash() == GOLDEN["content"][name]
    assert file_hash(write_netx(again, tmp_path / "b.net", stock=stock)) == GOLDEN["file"][name]


@pytest.mark.parametrize("lowering", RELOWERED)
def test_a_file_is_lowered_as_ever(lowering: str, tmp_path: Path) -> None:
    assert file_hash(relowered(lowering, tmp_path)) == GOLDEN["relowered"][lowering]


@pytest.mark.parametrize("name", PRETRAINED)
def test_a_shipped_run_is_exported_as_ever(name: str) -> None:
    # Sums of n squares in any order differ by less than n 2^-52 of themselves, below 1e-8 of 2^24 weights.
    assert margin(name) > 1e-8
    assert pretrained_hash(name) == GOLDEN["pretrained"][name]


def test_what_is_changed_is_seen(tmp_path: Path) -> None:
    import h5py

    net = write_netx(NETWORKS["dense"](), tmp_path / "a.net")
    with h5py.File(net, "r+") as file:
        file["layer/1/weight"][0, 0] += 2
    assert file_hash(net) != GOLDEN["file"]["dense"]
