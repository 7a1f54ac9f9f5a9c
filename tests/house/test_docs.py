"""The user guide: every command in it exists and works, every page can be reached, every link leads somewhere.

A command is a line ``$ ...`` of a console block. Those of ``docs/`` are run here, page by page, in order, in a folder
with the inputs of :func:`inputs`; each is cut short by :mod:`shortened`. The README's are run by
``tests/deploy/test_newcomer.py``.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import typer
import yaml

from deploy.app import application
from deploy.cli import main
from export.netx.write import GROUP
from shortened import lava_is_here, shortened

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))

#: Commands that are not run, by how they begin, and why.
NOT_RUN = {
    "esvae lava install": "fetches 0.5 GB or more",
    "esvae lava doctor": "tests/deploy/lava/test_lava_find.py runs it",
    "esvae --install-completion": "writes into a home; tests/deploy/test_help.py gives it one",
    "esvae evaluate pretrained:": "needs Fashion-MNIST, which would be downloaded",
    "make ": "tests/house/test_makefile.py runs it",
    "pip install ": "is what made the environment that the tests run in",
}

#: Verbs that are run in a process of their own: ``check`` reads in a fork, which no process with threads should make.
FRESH = {"check"}

#: The network that the pages' commands are run on: the digits config, smaller.
SMALL = """
name: small
data: {name: digits, image_size: 16}
model:
  latent: 8
  time_steps: 4
  encoder_channels: [8, 16]
  decoder: {kind: subpixel, base_size: 8, channels: [8, 8]}
  prior: {kind: mixture, components: 4}
train: {epochs: 1, batch_size: 64}
"""

#: Words that stand for something in a command of the running text.
_PLACEHOLDERS = re.compile(r"(?<=\s)\.\.\.|\[|\]")


def console_lines(page: Path) -> list[str]:
    """The commands of a page, comments taken off."""
    blocks = re.findall(r"```console\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    lines = [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    return [re.sub(r"\s+#\s.*", "", line).strip() for line in lines]


def mentioned(page: Path) -> list[str]:
    """Commands of the running text, and of shell blocks that need files of the reader."""
    text = page.read_text("utf-8")
    spans = re.findall(r"(?<!`)`(esvae [^`]+)`(?!`)", text)
    blocks = re.findall(r"```(?:sh|text)\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("esvae ")]
    return [" ".join(_PLACEHOLDERS.sub(" ", each).split()) for each in spans + lines]


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


# --- every command exists -----------------------------------------------------------------------------------------

COMMANDS = [
    (page.name, line)
    for page in [ROOT / "README.md", *PAGES]
    for line in [*console_lines(page), *mentioned(page)]
    if line.startswith("esvae ")
]


def parsed(arguments: list[str]) -> Any:
    """The command that a line names, with its options checked; typer's own errors otherwise."""
    command: Any = typer.main.get_command(application())
    words = list(arguments)
    while hasattr(command, "commands") and words[0] not in ("--help", "--install-completion"):
        name = words.pop(0)
        if name not in command.commands:
            raise LookupError(f"there is no command {name}")
        command = command.commands[name]
        if not words and hasattr(command, "commands"):
            return command  # a group that is spoken of
    known = {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts} | {
        "--help"
    }
    unknown = [word for word in words if re.match(r"--?[a-z]", word) and word.split("=")[0] not in known]
    if unknown:
        raise LookupError(f"no such option: {', '.join(unknown)}")
    return command


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=[f"{page}: {line[:60]}" for page, line in COMMANDS])
def test_command_exists(page: str, line: str) -> None:
    arguments = shlex.split(line)[1:]
    if not arguments or arguments[0] in ("COMMAND", "VERB", "<-"):
        pytest.skip("speaks of no command in particular")
    parsed(arguments)


@pytest.mark.parametrize("wrong", [["nonsense"], ["export", "runs/digits", "-o", "x.net", "--nonsense"], ["lava", "x"]])
def test_a_command_that_is_not_there_is_found(wrong: list[str]) -> None:
    with pytest.raises(LookupError):
        parsed(wrong)


# --- every command works ------------------------------------------------------------------------------------------


def run(*words: str) -> None:
    """Runs one command, in the folder that is current."""
    if words[0] in FRESH:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        code = subprocess.run([sys.executable, "-m", "deploy.cli", *words], env=environment, timeout=600).returncode
    else:
        with pytest.raises(SystemExit) as end:
            main(words)
        code = end.value.code
    assert code in (0, None), words


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages take for granted: a run and its file, and of another's making a file and spikes for it."""
    folder = tmp_path_factory.mktemp("inputs")
    with working_in(folder):
        Path("small.yaml").write_text(SMALL)
        run(*shortened("esvae train small.yaml --out runs/digits"))
        run(*shortened("esvae export runs/digits -o decoder.net"))
        shutil.copy("decoder.net", "foreign.net")
        with h5py.File("foreign.net", "a") as file:
            del file[GROUP]
        np.save("spikes.npy", np.random.default_rng(0).integers(0, 2, (2, 32, 8, 1, 1), np.uint8))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if console_lines(page)], ids=lambda page: page.name)
def test_the_commands_of_a_page_work(
    page: Path, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(inputs, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("ESVAE_DATA", str(tmp_path / "data"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # no network
    with working_in(tmp_path):
        for line in console_lines(page):
            if any(line.startswith(start) for start in NOT_RUN):
                continue
            if not line.startswith("esvae "):
                pytest.fail(f"{line}: neither run nor listed as not run")
            if "--backend lava" in line and not lava_is_here():
                continue
            if "--onnx" in line or "onnx" in line.split("--against")[-1]:
                pytest.importorskip("onnxruntime")
            if "--nir" in line:
                pytest.importorskip("nir")
            try:
                run(*shortened(line))
            except AssertionError:
                pytest.fail(f"{page.name}: {line}: {capfd.readouterr().err[-500:]}")


def test_what_is_not_run_is_there() -> None:
    lines = [line for page in PAGES for line in console_lines(page)]
    unused = [start for start in NOT_RUN if not any(line.startswith(start) for line in lines)]
    assert not unused, "no page has these any more"


def test_make_targets_and_extras_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    extras = set(re.findall(r"^([a-z]+) = \[", (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE))
    for page in [ROOT / "README.md", *PAGES]:
        text = page.read_text("utf-8")
        for target in re.findall(r"(?:\$ |`)make ([a-z]+)", text):
            assert target in targets, f"{page.name}: make {target}"
        for names in re.findall(r"pip install '(?:esvae-loihi|\.)\[([a-z,]+)\]'", text):
            assert set(names.split(",")) <= extras, f"{page.name}: [{names}]"


# --- the pages hang together --------------------------------------------------------------------------------------


def navigation() -> list[str]:
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    return re.findall(r"[\w.-]+\.md\b", str(yaml.safe_load(text)["nav"]))


def test_every_page_is_in_the_navigation_once() -> None:
    assert sorted(navigation()) == [page.name for page in PAGES]


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", heading.lower()).strip() for heading in headings]
    return {re.sub(r"[-\s]+", "-", heading) for heading in plain}


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_links_and_images_resolve(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{page.name}: {target}"


def test_the_guide_builds_without_a_warning_and_loads_nothing(tmp_path: Path) -> None:
    for package in ("material", "mkdocs", "mkdocstrings_handlers.python"):
        pytest.importorskip(package)
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for page in (tmp_path / "site").glob("*.html"):
        loaded = re.findall(r"<(?:script|img|link)[^>]*(?:src|href)=\"?(https?:[^\s\">]+)", page.read_text("utf-8"))
        assert not loaded, page.name
    assert (tmp_path / "site" / "api.html").read_text("utf-8").count("doc-heading") > 50
