"""Arrays, documents and tensors of unknown origin: read, or refused in one way whatever is wrong with them."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.torch import save

from esvae.config import load_config
from esvae.errors import CheckpointError, ConfigError, DataError
from esvae.machine.arrays import load_array, load_arrays, save_array
from esvae.machine.documents import load_json, parse_json
from esvae.machine.located_yaml import load_yaml
from esvae.machine.tensors import load_tensors, save_tensors


def npy(header: str, content: bytes = b"") -> bytes:
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content


def plain(shape: object, descr: object = "<f4", order: object = False) -> str:
    return f"{{'descr': {descr!r}, 'fortran_order': {order!r}, 'shape': {shape!r}, }}\n"


BAD_ARRAYS: dict[str, bytes] = {
    "empty": b"",
    "no magic": b"PK\x03\x04 and so on",
    "another version": b"\x93NUMPY\x09\x00",
    "broken header": npy("{'descr': '<f4', 'shape'"),
    "no dictionary": npy("1 + 1"),
    "nested": npy("(" * 5000),
    "float shape": npy(plain((2.0,)), bytes(8)),
    "negative shape": npy(plain((-2, -1)), bytes(8)),
    "no shape": npy(plain(()), bytes(4)),
    "596 GiB": npy(plain((400_000, 400_000)), bytes(64)),
    "beyond 64 bits": npy(plain((1 << 62, 1 << 62)), bytes(64)),
    "too short": npy(plain((3,)), bytes(11)),
    "too long": npy(plain((3,)), bytes(13)),
    "objects": npy(plain((1,), "|O"), bytes(8)),
    "texts": npy(plain((1,), "<U1"), bytes(4)),
    "records": npy(plain((1,), [("a", "<f4")]), bytes(4)),
    "nothing wide": npy(plain((3,), "|V0")),
    "unknown type": npy(plain((1,), "<q9"), bytes(8)),
    "order of text": npy(plain((1,), order="x"), bytes(4)),
}


@pytest.mark.parametrize("mapped", [None, "r"])
@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_arrays_are_refused_in_one_line(tmp_path: Path, name: str, mapped: Any) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(BAD_ARRAYS[name])
    with pytest.raises(DataError, match=r"x\.npy: cannot be read as \.npy: .*expected one array of spikes") as caught:
        load_array(path, "spikes", mapped=mapped)
    assert "\n" not in str(caught.value)


@given(st.data())
def test_arrays_come_back(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["?", "u1", "<i2", ">i4", "i8", "f4", ">f8"]))
    values = data.draw(arrays.arrays(kind, arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4)))
    values = np.asfortranarray(values) if data.draw(st.booleans()) else values
    path = tmp_path_factory.mktemp("arrays") / "x.npy"
    save_array(path, values)
    buffer = io.BytesIO()
    np.save(buffer, values)
    assert path.read_bytes() == buffer.getvalue()
    for mapped in (None, "r", "c"):
        found = load_array(path, mapped=mapped)  # type: ignore[arg-type]
        assert found.dtype == values.dtype
        np.testing.assert_array_equal(found, values)


def test_a_missing_array(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.npy: cannot be read: No such file"):
        load_array(tmp_path / "x.npy")


def archive(entries: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return buffer.getvalue()


SOUND = npy(plain((2,)), bytes(8))
BAD_ARCHIVES = {
    "empty": b"",
    "no archive": b"PK\x03\x04 and so on",
    "cut": archive({"a.npy": SOUND})[:-30],
    "a flipped bit": archive({"a.npy": SOUND}).replace(SOUND, SOUND[:-1] + b"\1"),
    "a bomb": archive({"a.npy": npy(plain((1 << 24,)), bytes(1 << 26))}, zipfile.ZIP_DEFLATED),
    "packed": archive({"a.npy": SOUND}, zipfile.ZIP_LZMA),
    "objects": archive({"a.npy": npy(plain((1,), "|O"), bytes(8))}),
    "too short": archive({"a.npy": npy(plain((3,)), bytes(8))}),
    "596 GiB": archive({"a.npy": npy(plain((400_000, 400_000)), bytes(8))}),
}


@pytest.mark.parametrize("name", BAD_ARCHIVES)
def test_archives_of_arrays_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(BAD_ARCHIVES[name])
    with pytest.raises(DataError, match=r"x\.npz: cannot be read as \.npz: .*expected arrays of states") as caught:
        load_arrays(path, "states")
    assert "\n" not in str(caught.value)


def test_archives_of_arrays_come_back(tmp_path: Path) -> None:
    given = {"a": np.arange(6).reshape(2, 3), "b.u": np.asfortranarray(np.ones((2, 3, 4))), "c": np.zeros((0, 3), "u1")}
    np.savez(tmp_path / "x.npz", **given)
    found = load_arrays(tmp_path / "x.npz")
    assert list(found) == list(given)
    for name, values in given.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values)
        found[name][...] = 1  # as of numpy.load, it may be written to
    with pytest.raises(DataError, match="No such file"):
        load_arrays(tmp_path / "y.npz")


BAD_JSON = {
    "no json": "{",
    "deep": "[" * 100_000,
    "deep and closed": "[" * 65 + "]" * 65,
    "infinite": "[1e999]",
    "named": "[NaN]",
    "long": "[" + "9" * 6000 + "]",
    "wide": f"[{1 << 64}]",
    "twice": '{"a": 1, "a": 1}',
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_json_is_refused_in_one_way(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(BAD_JSON[name])
    (tmp_path / "x.json").write_text(BAD_JSON[name])
    with pytest.raises(CheckpointError, match=r"x\.json: damaged: not valid JSON: ."):
        load_json(tmp_path / "x.json", error=CheckpointError)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(1 << 63), (1 << 64) - 1)
        | st.floats(allow_nan=False, width=64)
        | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    ).filter(lambda value: "Infinity" not in json.dumps(value))
)
def test_json_comes_back(value: Any) -> None:
    assert parse_json(json.dumps(value)) == value


BAD_YAML = {
    "6,000 digits": "name: " + "9" * 6000,
    "month 13": "name: 2020-13-01",
    "deep": "name: " + "[\n" * 100_000,
    "empty integer": "name: !!int ''",
    "odd truth": "name: !!bool maybe",
    "odd time": "name: !!timestamp x",
    "large float": "name: " + "9:" * 400 + "9.5",
    "a program": "name: !!python/object/apply:os.system [ls]",
    "laughs": "a: &a [x, x]\nb: &b [*a, *a]",
    "zero byte": "name: \0",
    "no character": "name: \x07",
}


@pytest.mark.parametrize("name", BAD_YAML)
def test_yaml_is_refused_in_one_way(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(BAD_YAML[name])
    with pytest.raises(ConfigError, match=r"x\.yaml:\d+: (not valid YAML: .|anchors)"):
        load_yaml(path)
    with pytest.raises(ConfigError, match=r"x\.yaml"):
        load_config(path)


def state() -> dict[str, torch.Tensor]:
    return {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(True), "c": torch.zeros(0, dtype=torch.bfloat16)}


def test_every_flipped_byte_of_sealed_tensors_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_tensors(path, state(), {"about": "this"})
    content = path.read_bytes()
    found = load_tensors(path)
    assert found.metadata == {"about": "this"}
    assert all(torch.equal(value, state()[name]) for name, value in found.tensors.items())
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(CheckpointError, match=r"x\.safetensors: "):
            load_tensors(path)


@pytest.mark.parametrize(
    "change", [lambda x: x[:-1], lambda x: x + b"\0", lambda x: x[:50], lambda x: b"", lambda x: b"\xff" * 8 + x[8:]]
)
def test_sealed_tensors_of_another_length(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "x.safetensors"
    save_tensors(path, state())
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(CheckpointError, match=r"x\.safetensors: damaged"):
        load_tensors(path)


def test_tensors_without_a_seal_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    for metadata in (None, {"format": "pt"}):
        path.write_bytes(save(state(), metadata))
        assert load_tensors(path).metadata == (metadata or {})
