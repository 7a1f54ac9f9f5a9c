"""Write, read, write: the same bytes and the same content hash for every network that there can be."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depth import examples
from export.ir import Network
from export.netx.read import read_netx_unguarded
from export.netx.write import write_netx
from strategies import foreign_networks, generators, networks


@settings(max_examples=examples(40))
@pytest.mark.parametrize("kind", ["foreign", "generator", "transposed", "transposed generator"])
@given(data=st.data())
def test_write_read_write_is_identical(
    kind: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    drawn = {
        "foreign": foreign_networks(),
        "generator": generators(),
        "transposed": networks(transposed=True),
        "transposed generator": generators(transposed=True),
    }[kind]
    network: Network = data.draw(drawn)
    stock = "transposed" not in kind
    folder = tmp_path_factory.mktemp("net")
    again = read_netx_unguarded(write_netx(network, folder / "a.net", stock=stock))
    assert again.content_hash() == network.content_hash()
    assert dict(again.provenance) == dict(network.provenance)
    write_netx(again, folder / "b.net", stock=stock)
    write_netx(network, folder / "c.net", stock=stock)
    first = (folder / "a.net").read_bytes()
    assert first == (folder / "b.net").read_bytes() == (folder / "c.net").read_bytes()
