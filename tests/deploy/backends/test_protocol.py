"""A backend is one object with three methods: what is registered takes part in everything, and a wrong one is found."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.backends import BACKENDS, BackendJob, BackendRun, LavaSettings, check_job, kept_traces, run_backend
from deploy.entering import InputOptions, at_hand, enter
from deploy.generate import generate_file
from deploy.simulate import OutputFiles, simulate_file
from deploy.verify import verify
from depth import examples
from esvae.errors import ConfigError, DataError
from export.ir import Conv, Lif, Network, Prior
from export.netx.write import write_netx
from sim import reference
from sim.trace import first_difference, named_traces
from strategies import foreign_networks, stimuli_for

PAGE = Path(__file__).resolve().parents[3] / "docs" / "verify.md"


class Stub:
    """A backend in twenty lines: the definition, with one integer of our choice changed."""

    heeds: frozenset[str] = frozenset()

    def __init__(self, wrong: str | None = None) -> None:
        self.wrong = wrong

    def missing(self) -> str | None:
        return None

    def check(self, job: BackendJob) -> None:
        if job.layers is not None:
            raise ConfigError("--layers: the stub runs whole files")

    def run(self, job: BackendJob) -> BackendRun:
        states = list(reference.simulate(job.network, job.stimulus))
        values = {**named_traces(states, job.network), "readout.v": states[-1].v[:, -1].copy()}
        if self.wrong is not None:
            values[self.wrong].reshape(-1)[-1] ^= 1
        with kept_traces(job) as keeper:
            keeper.add({name: array for name, array in values.items() if name != "readout.v"})
        return BackendRun(values["readout.v"], keeper.kept, {"stub": "1"})


def network() -> Network:
    rng = np.random.default_rng(2)
    prior = Prior(rng.normal(0, 1, (1, 6, 3)).astype(np.float32), np.zeros((1, 6), np.float32), np.ones(1, np.float32))
    layers = (
        Conv(rng.integers(-60, 90, (3, 6, 2, 2)) * 2, None, Lif(4096, 3072, 200), padding=(1, 1)),
        Conv(rng.integers(-60, 90, (1, 3, 1, 1)) * 2, np.array([7]), Lif(4096, 819, 131071)),
    )
    return Network((6, 1, 1), layers, time_steps=4, prior=prior)


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return write_netx(network(), tmp_path / "stub.net")


def job(path: Path = Path("not read"), **changes: object) -> BackendJob:
    return replace(BackendJob(path, enter(network(), InputOptions(3))), **changes)  # type: ignore[arg-type]


def test_a_stub_passes_verify(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "stub", Stub())
    verdict = verify(net, 3, against=["reference", "stub"])
    assert verdict.equal
    assert verdict.about == {"reference": {}, "stub": {"stub": "1"}}
    assert verdict.seconds["stub"] > 0


@pytest.mark.parametrize("wrong", ["layer1.u", "layer1.v", "layer1.s", "layer2.u", "layer2.v", "layer2.s", "readout.v"])
def test_one_wrong_integer_is_caught(net: Path, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setitem(BACKENDS, "stub", Stub(wrong))
    verdict = verify(net, 3, against=["stub"])
    found = verdict.differences["stub"]
    assert not verdict.equal
    assert found is not None
    assert found.quantity == wrong
    assert found.image == 2
    assert found.step == (None if wrong == "readout.v" else 3)
    assert found.other == found.twin ^ 1


def test_the_pages_own_backend(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = re.search(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    assert example is not None
    monkeypatch.setitem(BACKENDS, "mine", None)  # gone again after the test
    exec(compile(example[1].replace('"decoder.net"', repr(str(net))), str(PAGE), "exec"), {})
    assert BACKENDS["mine"] is not None


def test_a_stub_takes_part_in_everything(net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "stub", Stub())
    expected = run_backend("twin", job()).potentials
    assert np.array_equal(run_backend("stub", job()).potentials, expected)
    assert np.array_equal(generate_file(net, 3, tmp_path / "out", backend="stub", chunk=2).potentials(), expected)
    for backend in ("twin", "stub"):
        outputs = OutputFiles(trace=tmp_path / f"{backend}.npz")
        assert simulate_file(net, InputOptions(3), outputs, backend=backend).backend == backend
    traces = [dict(np.load(tmp_path / f"{backend}.npz")) for backend in ("twin", "stub")]
    assert first_difference(*traces) is None
    with pytest.raises(ConfigError, match="--layers: the stub runs whole files"):
        check_job("stub", job(layers=1))


def test_a_backend_without_traces_is_no_proof(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = Stub()
    monkeypatch.setattr(silent, "run", lambda job: BackendRun(run_backend("twin", job).potentials))
    monkeypatch.setitem(BACKENDS, "stub", silent)
    with pytest.raises(DataError, match="backend stub gave no states"):
        verify(net, 1, against=["stub"])


@pytest.mark.parametrize("name", ["twin", "reference", "onnx", "stub"])
def test_lavas_settings_are_refused_by_all_others(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "stub", Stub())
    for lava in (LavaSettings("native"), LavaSettings(sampler="graph"), LavaSettings(stall_timeout=7)):
        with pytest.raises(ConfigError, match=f"--backend {name}: --loader, .* are Lava's; add --backend lava"):
            check_job(name, job(lava=lava))
    if name != "twin":
        with pytest.raises(ConfigError, match=f"--backend {name}: --device is the twin's"):
            check_job(name, job(device="cuda"))


def test_verify_gives_each_backend_its_own_settings(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lava's loader is for Lava alone: the reference beside it is not refused for it."""
    seen = []
    stub = Stub()
    monkeypatch.setattr(stub, "check", lambda job: seen.append(job.lava))
    monkeypatch.setattr(stub, "heeds", frozenset({"lava"}))
    monkeypatch.setitem(BACKENDS, "stub", stub)
    assert verify(net, 1, against=["reference", "stub"], lava=LavaSettings("native")).equal
    assert seen == [LavaSettings("native")]


def test_no_such_backend(net: Path) -> None:
    for call in (lambda: check_job("chip", job()), lambda: verify(net, 1, against=["chip"])):
        with pytest.raises(ConfigError, match="--backend chip: expected twin, reference, lava, onnx"):
            call()


@settings(max_examples=examples(25))
@given(st.data())
def test_the_reference_and_the_twin_agree_through_the_door(data: st.DataObject) -> None:
    drawn = data.draw(foreign_networks())
    asked = BackendJob(Path("not read"), at_hand(drawn, data.draw(stimuli_for(drawn))), trace=True)
    twin, other = run_backend("twin", asked), run_backend("reference", asked)
    assert twin.traces is not None
    assert other.traces is not None
    assert first_difference(other.traces, twin.traces) is None
    assert np.array_equal(twin.potentials, other.potentials)
    assert run_backend("twin", replace(asked, trace=False)).traces is None
    assert run_backend("reference", replace(asked, trace=False)).traces is None
