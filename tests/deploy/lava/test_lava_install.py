"""Making Lava's environment and examining it, with a stand-in for Python 3.10 that installs nothing."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from deploy.cli import main
from deploy.lava import doctor, find, install
from deploy.lava.find import find_lava_python
from deploy.lava.install import STATE, install_lava
from esvae.errors import EsvaeError, LavaError, LavaMissingError

#: Acts as Python 3.10 with lava-dl: answers the probes, `-m venv` copies it, `-m pip` writes down what it is asked.
STAND_IN = """#!/bin/sh
case "$*" in
    *"sys.version_info"*minor*) echo '{"python": "3.10.13", "minor": [3, 10], "lava-dl": "0.6.0"}' ;;
    *"venv, ensurepip"*) echo 3.10 ;;
    "-m venv"*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip"*) echo "$@" >>"$(dirname "$0")/asked"; [ ! -e "$(dirname "$0")/../../broken" ] || {
        echo "ERROR: [Errno 28] No space left on device" >&2; echo "see the manual" >&2; exit 1; } ;;
esac
"""


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    find._probed.cache_clear()
    monkeypatch.setattr(find, "_running_interpreter_has_lava", lambda: False)
    monkeypatch.delenv(find.LAVA_PYTHON_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "stand-in"
    path.write_text(STAND_IN, encoding="utf-8")
    path.chmod(0o755)
    return path


def asked(folder: Path) -> list[str]:
    return (folder / "bin" / "asked").read_text("utf-8").splitlines()


def test_made_once_and_found_from_then_on(base: Path, tmp_path: Path) -> None:
    first = install_lava(base=base)
    assert first.made
    assert first.folder == tmp_path / "data" / "esvae-loihi" / "lava"
    assert find_lava_python() == first.python
    again = install_lava(base=base)
    assert not again.made
    assert len(asked(first.folder)) == 1
    assert asked(first.folder)[0].endswith("lava-dl==0.6.0 lava-nc==0.10.0")


def test_elsewhere_and_small(base: Path, tmp_path: Path) -> None:
    done = install_lava(tmp_path / "there", base=base, small=True)
    assert find_lava_python() == done.python == tmp_path / "there" / "bin" / "python"
    assert [line.split("check ")[1] for line in asked(done.folder)] == [
        "lava-nc==0.10.0 h5py>=3.8,<4 numpy<2",
        "--no-deps lava-dl==0.6.0",
    ]
    assert install_lava(tmp_path / "there", base=base).made, "the whole of it is something else than the small one"


def test_cut_short_is_made_anew(base: Path, tmp_path: Path) -> None:
    folder = install_lava(tmp_path / "there", base=base).folder
    state = json.loads((folder / STATE).read_text("utf-8"))
    (folder / STATE).write_text(json.dumps({**state, "complete": False}), encoding="utf-8")
    assert install_lava(folder, base=base).made
    (folder / "bin" / "python").unlink()
    assert install_lava(folder, base=base).made


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": 1e999}', "\x00", ""])
def test_a_note_that_is_damaged_is_no_note(text: str, tmp_path: Path) -> None:
    (tmp_path / STATE).write_text(text)
    with pytest.raises(EsvaeError, match="was not made by esvae lava install"):
        install_lava(tmp_path)


def test_a_pipe_in_place_of_a_note_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (tmp_path / "esvae-loihi").mkdir()
    os.mkfifo(tmp_path / "esvae-loihi" / find.REMEMBERED)
    assert find.remembered_python() is None


def test_pip_fails(base: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    with pytest.raises(
        LavaMissingError, match=r"exit status 1: ERROR: \[Errno 28\] No space left.*log is .*esvae-lava"
    ):
        install_lava(tmp_path / "there", base=base)
    with pytest.raises(LavaMissingError, match="was not found"):
        find_lava_python()
    (tmp_path / "broken").unlink()
    assert install_lava(tmp_path / "there", base=base).made


def test_folder_with_something_else_is_left_alone(base: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").touch()
    with pytest.raises(EsvaeError, match="was not made by esvae lava install; name another place: --path"):
        install_lava(mine, base=base)
    assert [each.name for each in mine.iterdir()] == ["thesis.tex"]


def test_no_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(LavaMissingError, match=r"is no Python 3\.10 that can make environments"):
        install_lava(base="/bin/true")
    monkeypatch.setattr(install, "base_interpreters", lambda: iter([]))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LavaMissingError, match=r"no Python 3\.10 .* there is no uv to get one \(pip install uv\)"):
        install_lava()


def test_uv_gets_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, base: Path) -> None:
    uv = tmp_path / "bin" / "uv"
    uv.parent.mkdir()
    uv.write_text(
        f'#!/bin/sh\ncase "$2" in\n  install) : >"{tmp_path}/got" ;;\n'
        f'  find) [ -e "{tmp_path}/got" ] && echo "{base}" ;;\nesac\n',
        encoding="utf-8",
    )
    uv.chmod(0o755)
    monkeypatch.setattr(install, "base_interpreters", lambda: iter([]))
    monkeypatch.setenv("PATH", f"{uv.parent}:/usr/bin:/bin")
    assert install_lava().made
    assert (tmp_path / "got").exists()


def test_doctor_without_lava(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["lava", "doctor", "--json"])
    assert left.value.code == 1
    told = json.loads(capsys.readouterr().out)
    bad = [check for check in told["checks"] if check["good"] is False]
    assert not told["good"]
    assert [check["name"] for check in bad] == ["interpreter with Lava"]
    assert "run: esvae lava install" in bad[0]["fix"]


def test_doctor_says_what_the_self_test_says(monkeypatch: pytest.MonkeyPatch, base: Path) -> None:
    install_lava(base=base)

    def fails(**_: object) -> None:
        raise LavaError("layer 1 is on fire")

    monkeypatch.setattr("deploy.lava.self_test.self_test", fails)
    last = doctor.examine()[-1]
    assert (last.name, last.good, last.found) == ("self-test", False, "layer 1 is on fire")
    assert last.fix


@pytest.mark.lava
def test_doctor_with_lava(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.undo()
    python = find_lava_python()
    with pytest.raises(SystemExit) as left:
        main(["lava", "doctor"])
    told = capsys.readouterr().out
    assert left.value.code == 0, told
    assert f"interpreter with Lava: {python}" in told.replace("\n", "")
    assert "integers equal in" in told
    assert "lava-nc 0.10.0, lava-dl 0.6.0" in told


def test_candidates_are_real_files() -> None:
    assert all(Path(each).is_file() for each in install.base_interpreters())
    assert shutil.which("sh") is not None
    assert sys.version_info >= (3, 10)
