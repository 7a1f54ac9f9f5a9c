"""The commands that people and CI run: the make targets, and how ``scripts/setup`` finds Python and makes ``.venv``.

Interpreters here are stand-ins, small shell scripts that answer as Python would and write down what pip was asked for.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ["help", "setup", "demo", "test", "lint", "types", "unit", "thorough", "fuzz", "docs", "clean", "distclean"]
TOOLS = ["sh", "cat", "cksum", "date", "dirname", "ls", "mkdir", "rm", "sleep", "tail", "cp", "chmod"]

SHIM = '#!/bin/sh\necho "pyenv: python3.10: command not found" >&2\nexit 127\n'
STAND_IN = """#!/bin/sh
case "$1 $2" in
    "-c import material"*) [ -f guide ] ;;
    "-c "?*) echo "{version} {able} {path}" ;;
    "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && : > "$3/pyvenv.cfg" ;;
    "-m pip")
        [ "$3" = install ] || exit 0
        shift 2
        echo "$*" >> pip.txt
        case "$*" in *docs*) : > guide ;; esac
        echo "pip's noise"
        exit "${{PIP_EXIT:-0}}" ;;
    "--version "*) echo "Python {version}.1" ;;
esac
"""


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    path.chmod(0o755)
    return path


def stand_in(path: Path, version: str, able: str = "able") -> Path:
    return executable(path, STAND_IN.format(version=version, able=able, path=path))


class Checkout:
    """A small copy of the project on a machine that has the basic tools and no Python but what a test puts there."""

    def __init__(self, root: Path) -> None:
        self.root, self.bin, self.home = root / "checkout", root / "bin", root / "home"
        for folder in (self.root / "scripts", self.bin, self.home):
            folder.mkdir(parents=True)
        shutil.copy(ROOT / "scripts/setup", self.root / "scripts/setup")
        (self.root / "pyproject.toml").write_text("[project]\n")
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool) or pytest.skip(f"no {tool} on this machine"))

    def setup(self, *options: str, path: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        env = {"PATH": f"{path}{self.bin}", "HOME": str(self.home), **env}
        command = [str(self.bin / "sh"), "scripts/setup", *options]
        return subprocess.run(
            command, cwd=self.root, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600
        )

    @property
    def pip(self) -> list[str]:
        log = self.root / "pip.txt"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def make(*args: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    if shutil.which("make") is None:
        pytest.skip("no make on this machine")
    ours = ("MAKE", "MFLAGS", "ESVAE_", "PYTEST_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(["make", *args], cwd=cwd, env=env, capture_output=True, text=True, timeout=600)


# --- make ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
def test_target_is_there(target: str) -> None:
    done = make("-n", target)
    assert done.returncode == 0, done.stderr


def test_help_lists_every_target() -> None:
    assert [line.split()[1] for line in make("help").stdout.splitlines()] == TARGETS


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder with the Makefile where set-up and every tool succeed; tests replace one by one that fails."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for tool in ("scripts/setup", ".venv/bin/ruff", ".venv/bin/mypy", ".venv/bin/python", ".venv/bin/esvae"):
        executable(tmp_path / tool, f'#!/bin/sh\necho "ran {tool} $*"\n')
    return tmp_path


def test_make_test_runs_every_check(made: Path) -> None:
    done = make("-s", "test", "PYTEST_ARGS=-k 'foo or bar'", cwd=made)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "ran scripts/setup ",
        "ran .venv/bin/ruff check .",
        "ran .venv/bin/ruff format --check .",
        "ran .venv/bin/mypy ",
        "ran .venv/bin/python -m pytest -n 4 --dist loadfile -k foo or bar",
    ]


def test_make_thorough_runs_the_tests_with_all_random_cases(made: Path) -> None:
    done = make("-s", "thorough", "PYTEST_ARGS=-k foo", cwd=made)
    assert done.stdout.splitlines()[-1].endswith("-n 4 --dist loadfile --hypothesis-profile=thorough -k foo")


@pytest.mark.parametrize("tool", ["scripts/setup", ".venv/bin/ruff", ".venv/bin/mypy", ".venv/bin/python"])
@pytest.mark.parametrize("code", [1, 5], ids=["failure", "no-tests"])
def test_make_test_fails_where_a_step_fails(made: Path, tool: str, code: int) -> None:
    executable(made / tool, f"#!/bin/sh\nexit {code}\n")
    assert make("test", cwd=made).returncode != 0


def test_make_demo_runs_the_demo(made: Path) -> None:
    assert "ran .venv/bin/esvae demo --out demo" in make("demo", cwd=made).stdout
    executable(made / ".venv/bin/esvae", "#!/bin/sh\nexit 1\n")
    assert make("demo", cwd=made).returncode != 0


def test_make_docs_installs_what_it_needs_and_lets_no_warning_pass(made: Path) -> None:
    done = make("-s", "docs", cwd=made)
    assert done.stdout.splitlines() == ["ran scripts/setup --docs", "ran .venv/bin/python -m mkdocs build --strict"]
    for tool in ("scripts/setup", ".venv/bin/python"):
        executable(made / tool, "#!/bin/sh\nexit 1\n")
        assert make("docs", cwd=made).returncode != 0


# --- scripts/setup: which interpreter -----------------------------------------------------------------------------


def found(done: subprocess.CompletedProcess[str]) -> tuple[str, str]:
    """Interpreter and extras that ``--find`` names."""
    assert done.returncode == 0, done.stderr
    values = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    return values["python"], values["extras"]


def test_finds_310_on_path_before_newer_ones(checkout: Checkout) -> None:
    stand_in(checkout.bin / "python3.13", "3.13")
    wanted = stand_in(checkout.bin / "python3.10", "3.10")
    assert found(checkout.setup("--find")) == (str(wanted), "dev,lava")


def test_passes_over_a_shim_that_refuses_to_run(checkout: Checkout, tmp_path: Path) -> None:
    executable(tmp_path / "shims/python3.10", SHIM)
    wanted = stand_in(checkout.bin / "python3.10", "3.10")
    assert found(checkout.setup("--find", path=f"{tmp_path}/shims:")) == (str(wanted), "dev,lava")


def test_takes_pyenvs_310_behind_a_shim_that_refuses_to_run(checkout: Checkout) -> None:
    executable(checkout.bin / "python3.10", SHIM)
    stand_in(checkout.bin / "python3", "3.12")
    wanted = stand_in(checkout.home / ".pyenv/versions/3.10.13/bin/python", "3.10")
    assert found(checkout.setup("--find")) == (str(wanted), "dev,lava")


def test_takes_pyenv_from_pyenv_root(checkout: Checkout, tmp_path: Path) -> None:
    wanted = stand_in(tmp_path / "my pyenv/versions/3.10.4/bin/python", "3.10")
    assert found(checkout.setup("--find", PYENV_ROOT=str(tmp_path / "my pyenv"))) == (str(wanted), "dev,lava")


def test_asks_uv(checkout: Checkout, tmp_path: Path) -> None:
    wanted = stand_in(tmp_path / "uv/python", "3.10")
    executable(checkout.bin / "uv", f'#!/bin/sh\n[ "$*" = "python find 3.10" ] && echo {wanted}\n')
    assert found(checkout.setup("--find")) == (str(wanted), "dev,lava")


def test_a_python3_that_is_310_will_do(checkout: Checkout) -> None:
    wanted = stand_in(checkout.bin / "python3", "3.10")
    assert found(checkout.setup("--find")) == (str(wanted), "dev,lava")


@pytest.mark.parametrize("version", ["3.11", "3.14", "3.15"])
def test_without_310_takes_a_newer_one_and_says_what_is_skipped(checkout: Checkout, version: str) -> None:
    wanted = stand_in(checkout.bin / "python3", version)
    done = checkout.setup("--find")
    assert found(done) == (str(wanted), "dev")
    assert done.stdout.count("Lava verification is skipped: it needs Python 3.10") == 1


def test_no_python_at_all(checkout: Checkout) -> None:
    stand_in(checkout.bin / "python3", "3.9")
    done = checkout.setup("--find")
    assert done.returncode == 1
    assert done.stderr == (
        "setup: no Python 3.10 or newer found; install Python 3.10, or set ESVAE_PYTHON=/path/to/python\n"
    )


def test_without_ensurepip_says_what_to_install(checkout: Checkout) -> None:
    stand_in(checkout.bin / "python3.10", "3.10", able="unable")
    done = checkout.setup()
    assert done.returncode == 1
    assert "ensurepip is missing (on Debian or Ubuntu: apt install python3.10-venv)" in done.stderr


def test_named_interpreter(checkout: Checkout, tmp_path: Path) -> None:
    stand_in(checkout.bin / "python3.10", "3.10")
    wanted = stand_in(tmp_path / "other/python", "3.12")
    assert found(checkout.setup("--find", ESVAE_PYTHON=str(wanted))) == (str(wanted), "dev")


def test_named_version(checkout: Checkout) -> None:
    stand_in(checkout.bin / "python3.10", "3.10")
    wanted = stand_in(checkout.bin / "python3.11", "3.11")
    assert found(checkout.setup("--find", ESVAE_PYTHON="3.11")) == (str(wanted), "dev")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("3.12", "no working Python 3.12 found"),
        ("nowhere", "no such command: nowhere"),
        ("old", "old is Python 3.9.1; 3.10 or newer is needed"),
        ("shim", "shim does not run: pyenv: python3.10: command not found"),
    ],
)
def test_named_interpreter_that_will_not_do(checkout: Checkout, name: str, error: str) -> None:
    stand_in(checkout.bin / "python3.10", "3.10")
    stand_in(checkout.bin / "old", "3.9")
    executable(checkout.bin / "shim", SHIM)
    done = checkout.setup("--find", ESVAE_PYTHON=name)
    assert done.returncode == 1
    assert done.stderr == f"setup: ESVAE_PYTHON: {error}\n"


# --- scripts/setup: making the environment ------------------------------------------------------------------------

INSTALL = "install --editable .[dev,lava]"


def test_makes_the_environment_once(checkout: Checkout) -> None:
    stand_in(checkout.bin / "python3.10", "3.10")
    first, second = checkout.setup(), checkout.setup()
    assert first.returncode == second.returncode == 0, first.stderr
    assert "pip's noise" not in first.stdout
    assert "pip's noise" in (checkout.root / ".venv/setup.log").read_text()
    assert second.stdout == second.stderr == ""
    assert checkout.pip == [INSTALL]
    assert not (checkout.root / ".venv-lock").exists()


def test_a_changed_project_is_installed_anew_into_the_same_environment(checkout: Checkout) -> None:
    stand_in(checkout.bin / "python3.10", "3.10")
    checkout.setup()
    kept = checkout.root / ".venv/kept"
    kept.touch()
    (checkout.root / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert checkout.setup().returncode == 0
    assert checkout.pip == [INSTALL, INSTALL]
    assert kept.exists()


def test_what_the_guide_is_built_with_is_installed_once_and_on_demand(checkout: Checkout) -> None:
    stand_in(checkout.bin / "python3.10", "3.10")
    first, second = checkout.setup("--docs"), checkout.setup("--docs")
    assert first.returncode == second.returncode == 0, first.stderr
    assert second.stdout == second.stderr == ""
    assert checkout.pip == [INSTALL, "install --editable .[docs]"]
    assert not (checkout.root / ".venv-lock").exists()


def test_a_failed_install_of_the_guides_tools_is_told(checkout: Checkout) -> None:
    stand_in(checkout.bin / "python3.10", "3.10")
    checkout.setup()
    failed = checkout.setup("--docs", PIP_EXIT="3")
    assert failed.returncode == 1
    assert failed.stderr.startswith("pip's noise\nsetup: failed (3): ")


def test_another_interpreter_makes_another_environment(checkout: Checkout) -> None:
    stand_in(checkout.bin / "python3.10", "3.10")
    stand_in(checkout.bin / "python3.11", "3.11")
    checkout.setup()
    assert checkout.setup(ESVAE_PYTHON="3.11").returncode == 0
    assert checkout.setup().stdout == "", "a choice holds until another is made"
    assert checkout.pip == [INSTALL, "install --editable .[dev]"]


def test_a_failed_install_shows_the_end_of_the_log_and_is_tried_again(checkout: Checkout) -> None:
    stand_in(checkout.bin / "python3.10", "3.10")
    failed = checkout.setup(PIP_EXIT="3")
    assert failed.returncode == 1
    assert failed.stderr.startswith("pip's noise\nsetup: failed (3): ")
    assert failed.stderr.endswith("the whole log is .venv/setup.log\n")
    assert checkout.setup().returncode == 0
    assert checkout.pip == [INSTALL, INSTALL]


def test_an_interrupted_run_is_started_again_from_nothing(checkout: Checkout) -> None:
    stand_in(checkout.bin / "python3.10", "3.10")
    checkout.setup(ESVAE_TORCH="torch==1 --index-url x", PIP_EXIT="137")  # as a killed pip leaves it
    rest = checkout.root / ".venv/half-installed"
    rest.touch()
    lock = checkout.root / ".venv-lock"
    lock.mkdir()
    gone = subprocess.run([str(checkout.bin / "sh"), "-c", "echo $$"], capture_output=True, text=True, check=True)
    (lock / "pid").write_text(gone.stdout)
    done = checkout.setup()
    assert done.returncode == 0, done.stderr
    assert not rest.exists()
    assert not lock.exists()
    assert checkout.pip[1:] == ["install torch==1 --index-url x", INSTALL], "the choice of torch holds"


def test_an_environment_made_by_hand_is_kept(checkout: Checkout) -> None:
    stand_in(checkout.bin / "python3.10", "3.10")
    mine = stand_in(checkout.root / ".venv/bin/python", "3.12")
    (checkout.root / ".venv/pyvenv.cfg").touch()
    assert checkout.setup().returncode == 0
    assert mine.exists()
    assert checkout.pip == ["install --editable .[dev]"]


def test_a_folder_that_is_no_environment_is_left_alone(checkout: Checkout) -> None:
    stand_in(checkout.bin / "python3.10", "3.10")
    precious = checkout.root / "results/precious"
    precious.parent.mkdir()
    precious.touch()
    done = checkout.setup(ESVAE_VENV="results")
    assert done.returncode == 1
    assert "results is there and is no virtual environment" in done.stderr
    assert precious.exists()
