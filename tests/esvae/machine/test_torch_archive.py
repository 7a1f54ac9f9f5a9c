"""Files of torch.save are read without running anything in them."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from depth import examples
from esvae.errors import CheckpointError
from esvae.machine.torch_archive import Foreign, read_torch_archive

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
DTYPES += [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool]


def saved() -> dict[str, object]:
    torch.manual_seed(0)
    whole = torch.randn(4, 6)
    tensors = {str(dtype): (torch.randn(3, 5) * 50).to(dtype) for dtype in DTYPES}
    views = {"part": whole[1:3, ::2], "turned": whole.t(), "scalar": torch.tensor(3.5), "empty": torch.empty(0, 3)}
    rest = {"numbers": [1, -2, 2**40, 0.5, None, True, (1, 2, 3, 4)], "text": "weiß", "size": torch.Size([2, 3])}
    return {**tensors, **views, "parameter": torch.nn.Parameter(torch.ones(2)), **rest}


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}, {"pickle_protocol": 4}])
def test_what_torch_saved_is_read(options: dict[str, object], tmp_path: Path) -> None:
    given = saved()
    torch.save(given, tmp_path / "a.pth", **options)
    found = read_torch_archive(tmp_path / "a.pth")
    assert list(found) == list(given)
    for name, value in given.items():
        if isinstance(value, torch.Tensor):
            assert found[name].dtype == value.dtype
            assert torch.equal(found[name], value), name
        else:
            assert found[name] == value, name


def test_a_module_s_state_dict_is_read(tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))
    torch.save(net.state_dict(), tmp_path / "a.pth")
    found = read_torch_archive(tmp_path / "a.pth")
    assert all(torch.equal(found[name], value) for name, value in net.state_dict().items())


class Bomb:
    """What a pickle of it runs when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.write_text, (self.target, "it ran"))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_call_in_the_file_is_not_made(zipped: bool, tmp_path: Path) -> None:
    target = tmp_path / "ran"
    torch.save({"a": Bomb(target)}, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    assert isinstance(read_torch_archive(tmp_path / "a.pth")["a"], Foreign)
    assert not target.exists()


def test_torchscript_is_refused_before_torch_compiles_it(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated in newer torch, which still reads and runs such files
        torch.jit.script(torch.nn.Linear(2, 3)).save(str(tmp_path / "script.pth"))
    with pytest.raises(CheckpointError, match="TorchScript archive, which holds a program; save network"):
        read_torch_archive(tmp_path / "script.pth")
    # A state dict with a program hidden beside it, wherever in the archive that is.
    torch.save({"a": torch.ones(2)}, tmp_path / "a.pth")
    for name in ("a/constants.pkl", "constants.pkl", "a/code/__torch__.py"):
        hidden = tmp_path / "hidden.pth"
        hidden.write_bytes((tmp_path / "a.pth").read_bytes())
        with zipfile.ZipFile(hidden, "a") as archive:
            archive.writestr(name, b"")
        with pytest.raises(CheckpointError, match="TorchScript"):
            read_torch_archive(hidden)


def test_entries_that_grow_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\0" * 10_000_000)
    with pytest.raises(CheckpointError, match="is packed"):
        read_torch_archive(tmp_path / "a.pth")


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\3\4", b"hello", b"\x80\x02]q\0.", b"(" * 100_000],
    ids=["nothing", "a zip's beginning", "text", "a pickle", "100,000 brackets"],
)
def test_what_is_no_such_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"a\.pth: cannot be loaded as tensors alone") as caught:
        read_torch_archive(tmp_path / "a.pth")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("order", "fits"), [(b"little", True), (b"big", True), (b"middle", False), (b"\xff", False)])
def test_an_order_of_bytes_that_is_none_is_not_taken_for_ours(order: bytes, fits: bool, tmp_path: Path) -> None:
    torch.save({"a": torch.tensor([1], dtype=torch.int32)}, tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth") as given:
        entries = {name: given.read(name) for name in given.namelist()}
    (name,) = (name for name in entries if name.endswith("byteorder"))
    with zipfile.ZipFile(tmp_path / "b.pth", "w") as changed:
        for entry, content in entries.items():
            changed.writestr(entry, order if entry == name else content)
    if fits:
        assert read_torch_archive(tmp_path / "b.pth")["a"].tolist() == [1 if order == b"little" else 1 << 24]
    else:
        with pytest.raises(CheckpointError, match="cannot be loaded as tensors alone"):
            read_torch_archive(tmp_path / "b.pth")


@pytest.mark.parametrize("how", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packed_entries_are_refused_before_they_are_unpacked(how: int, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w", how) as archive:
        archive.writestr("a/data.pkl", b"x" * 5000)
    with pytest.raises(CheckpointError, match=r"cannot be loaded as tensors alone \('a/data\.pkl' is packed\)"):
        read_torch_archive(tmp_path / "a.pth")


def test_a_path_that_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read: a folder, expected a file"):
        read_torch_archive(tmp_path)


@settings(max_examples=examples(300))
@given(data=st.data(), zipped=st.booleans())
def test_damage_is_an_error_of_our_own_or_harmless(
    data: st.DataObject, zipped: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.pth"
    torch.save(saved(), path, _use_new_zipfile_serialization=zipped)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        read_torch_archive(path)
    except CheckpointError as error:
        assert "\n" not in str(error)  # noqa: PT017
