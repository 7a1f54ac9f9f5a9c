"""What a NIR file leaves open, and how each framework that writes one means it.

NIR describes neurons in continuous time: it says neither the time step ``dt``, nor how a step is taken, nor whether a
spike subtracts the threshold. By what the frameworks' own code computes (nir 1.0.8, snnTorch 1.0.0, SpikingJelly 2.0.0,
Norse 1.1.0, Sinabs 3.1.3, Rockpool 3.1.0):

============  =============  ====================================  =====  ========================================
written by    what stays     what the input adds                   fires  reset by subtraction
============  =============  ====================================  =====  ========================================
nir           1 - dt / tau   r dt / tau, w_in dt / tau_syn         above  at once: what is left of it then leaks
snntorch      1 - dt / tau   as nir, which is 1                    above  in the next step, behind the leak
spikingjelly  1 - dt / tau   as nir                                at     never in a file: its export refuses
norse         1 - dt / tau   as nir, but a w_in of 1 adds all      above  at once
sinabs        exp(-dt/tau)   r (1 - what stays)                    at     at once
rockpool      exp(-dt/tau)   LIF all, LI what stays of it,         at     at once
                             CubaLIF what stays of the current
============  =============  ====================================  =====  ========================================

``dt`` is told by the gains: with the right one, ``r dt / tau`` and ``w_in dt / tau_syn`` are 1; of Rockpool's files
``r dt / tau`` is ``exp(-dt / tau)``, which its LIF does not apply to its input, though its files say so. Where ``r`` is
1 they say nothing, and the time constants' order does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from scipy.special import lambertw

from esvae.errors import ConfigError
from export.nir.read import NirNode

__all__ = ["RESETS", "WRITERS", "Convention", "Reset", "TimeStep", "time_step"]

Reset: TypeAlias = Literal["zero", "subtract"]
RESETS: tuple[str, ...] = get_args(Reset)

#: How far apart numbers may be, relatively, that float32 rounded.
CLOSE = 1e-6


@dataclass(frozen=True)
class Convention:
    """How a framework means a file that it wrote; see the table above.

    Attributes:
        exponential: decays are ``exp(-dt / tau)``, else ``1 - dt / tau``.
        inclusive: a potential that meets the threshold fires.
        late: a subtracted threshold does not leak in the step behind the spike.
        whole_current: a ``w_in`` of 1 is all of the input, of a current that lasts.
        arriving_decays: a current that lasts has decayed once when the potential sees it, and ``r`` is part of that.
        several: a neuron may fire several times in a step, unless it was made to fire once.
    """

    exponential: bool = False
    inclusive: bool = False
    late: bool = False
    whole_current: bool = False
    arriving_decays: bool = False
    several: bool = False


WRITERS: Mapping[str, Convention] = {
    "nir": Convention(),
    "snntorch": Convention(late=True),
    "spikingjelly": Convention(inclusive=True),
    "norse": Convention(whole_current=True),
    "sinabs": Convention(exponential=True, inclusive=True, several=True),
    "rockpool": Convention(exponential=True, inclusive=True, arriving_decays=True, several=True),
}


@dataclass(frozen=True)
class TimeStep:
    """The time step, and by whose convention.

    Attributes:
        dt: in the units of the file's time constants.
        written_by: a key of :data:`WRITERS`.
        reason: how it was found.
        sure: False where nothing in the file tells it.
    """

    dt: float
    written_by: str
    reason: str
    sure: bool = True

    @property
    def convention(self) -> Convention:
        """How the file is meant."""
        return WRITERS[self.written_by]


def time_step(
    neurons: Iterable[NirNode], metadata: Mapping[str, Any], dt: float | None = None, written_by: str | None = None
) -> TimeStep:
    """The time step of a graph, given or guessed.

    Args:
        neurons: its nodes that hold a state.
        metadata: of the graph, where this project's own writer says it.
        dt: given.
        written_by: given; guessed between ``nir`` and ``rockpool`` where None.

    Raises:
        ConfigError: an unknown writer, a step that is not positive, or gains that tell different ones.
    """
    if written_by is not None and written_by not in WRITERS:
        raise ConfigError(f"written by {written_by}: expected {', '.join(WRITERS)}")
    if dt is not None:
        if not (dt > 0 and math.isfinite(dt)):
            raise ConfigError(f"dt {dt:g}: expected a positive number")
        return TimeStep(dt, written_by or _writer_at(list(neurons), dt), "as given")
    told = np.asarray(metadata.get("dt", ())).reshape(-1)
    if told.size == 1 and told[0] > 0:
        return TimeStep(float(told[0]), written_by or "nir", "as its metadata says")
    nodes = list(neurons)
    if not any(set(node.values) & {"tau", "tau_mem", "r"} for node in nodes):
        return TimeStep(1.0, written_by or "nir", "no node depends on it")
    if written_by == "sinabs":
        return TimeStep(1.0, written_by, "Sinabs' time constants count steps")
    found = _told(nodes, written_by)
    return found if found is not None else _by_order(nodes, written_by)


def _told(nodes: list[NirNode], written_by: str | None) -> TimeStep | None:
    """What the gains tell, or None where all are 1; of two readings that hold, the one with a round number."""
    ways: list[tuple[str, str, Callable[[float, float], float]]] = []
    if written_by != "rockpool":
        ways.append((written_by or "nir", "with it r dt / tau and w_in dt / tau_syn are 1", lambda tau, r: tau / r))
    if written_by in (None, "rockpool"):
        ways.append(("rockpool", "with it r dt / tau is exp(-dt / tau), as Rockpool writes it", _decayed_step))
    found: list[TimeStep] = []
    for writer, reason, solve in ways:
        steps = [solve(tau, r) for node in nodes for tau, r in _gains(node, writer)]
        if not steps:
            return None
        if max(steps) - min(steps) <= CLOSE * max(steps):
            found.append(TimeStep(_rounded(float(np.median(steps))), writer, reason))
    if not found:
        several = sorted({f"{tau / r:.4g}" for node in nodes for tau, r in _gains(node, "nir")})
        raise ConfigError(f"dt: gains of the nodes tell different ones ({', '.join(several[:4])}); give it with --dt")
    return min(found, key=lambda step: step.dt != _two_digits(step.dt))


def _gains(node: NirNode, writer: str) -> set[tuple[float, float]]:
    """Time constants of a node, and the gains that go with them, where those are not 1."""
    pairs = {"IF": (None, "r"), "I": (None, "r"), "LIF": ("tau", "r"), "LI": ("tau", "r")}
    named = [pairs[node.kind]] if node.kind in pairs else []
    if node.kind in ("CubaLIF", "CubaLI"):
        named = [("tau_mem", "r"), *([] if writer == "rockpool" else [("tau_syn", "w_in")])]
    found: set[tuple[float, float]] = set()
    for tau, gain in named:
        if gain not in node.values:
            continue
        taus = np.ones(1) if tau is None else node.array(tau)
        gains = node.array(gain)
        both = np.broadcast_arrays(taus.reshape(-1), gains.reshape(-1)) if taus.size == gains.size else (taus, gains)
        for t, g in zip(*(values.reshape(-1).tolist() for values in both), strict=False):
            if t > 0 and g > 0 and (g != 1 or tau is None):
                found.add((t, g))
    return found


def _decayed_step(tau: float, r: float) -> float:
    """The step with ``r dt / tau = exp(-dt / tau)``: Lambert's W of ``1 / r``."""
    return tau * float(lambertw(1 / r).real)


def _writer_at(nodes: list[NirNode], dt: float) -> str:
    """Whose gains a file's are at a given step."""
    pairs = [pair for node in nodes for pair in _gains(node, "rockpool")]
    decayed = all(abs(r * dt / tau - math.exp(-dt / tau)) < CLOSE for tau, r in pairs)
    return "rockpool" if pairs and decayed else "nir"


#: The step that goes with the smallest time constant, from the largest down, where the gains are 1.
_ORDERS = (
    (1.0, 1.0, "as for time constants that count steps"),
    (1e-3, 1e-3, "as Norse's and this project's own files have it"),
    (1e-4, 1e-4, "as SpikingJelly's and snnTorch's files have it"),
    (0.0, 1e-6, "as Norse 1.1 writes dt / tau_mem_inv for a time constant, with a dt of 0.001"),
)
_BY_WRITER = {"norse": (1e-3, 1e-6), "snntorch": (1e-4,), "spikingjelly": (1e-4,)}


def _by_order(nodes: list[NirNode], written_by: str | None) -> TimeStep:
    keys = ("tau", "tau_mem", "tau_syn")
    smallest = min((float(node.array(key).min()) for node in nodes for key in keys if key in node.values), default=1.0)
    steps = _BY_WRITER.get(written_by or "")
    for least, dt, reason in _ORDERS:
        if steps is not None and dt not in steps:
            continue
        if smallest >= least * (1 - CLOSE):
            return TimeStep(dt, written_by or "nir", f"{reason}; r is 1, so the gains do not tell", sure=False)
    raise ConfigError(f"dt: the smallest time constant is {smallest:g}, too small for any step; give it with --dt")


def _two_digits(x: float) -> float:
    return float(f"{x:.1e}")


def _rounded(x: float) -> float:
    """The number of two digits that float32 rounding made ``x`` of, or ``x``."""
    return _two_digits(x) if abs(x - _two_digits(x)) <= CLOSE * x else x
