"""A network that was loaded: what the commands do with a file, as methods that all take ``n`` and ``seed`` first."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, SupportsFloat, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from deploy.backends import (
    BackendJob,
    LavaSettings,
    Loader,
    Progress,
    SamplerPlace,
    Target,
    other_backends,
    run_backend,
)
from deploy.cost import Cost, cost_of, counted_input
from deploy.entering import Entering, InputOptions, at_hand, enter
from deploy.inspection import Inspection, inspect_file
from deploy.opening import names_run, network_file
from deploy.pictures import Pictures
from deploy.plan import Plan, plan
from deploy.traces import Traces
from deploy.verify import Verdict, verify
from esvae.errors import ConfigError, DataError, EsvaeError
from esvae.machine.arguments import listed, shown, whole_number
from esvae.machine.arrays import array_argument
from esvae.machine.outputs import output_file
from export.ir import Network
from export.netx import read_netx
from export.netx.check import Finding, check_file
from sim.readout import images_from_potentials
from sim.stimulus import Stimulus

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from deploy.compare import Comparison
    from sim.fit.adviser import Fit

__all__ = ["LoadedNetwork", "in_own_words"]

P = ParamSpec("P")
R = TypeVar("R")
Given = ArrayLike | str | os.PathLike[str] | None


class LoadedNetwork:
    """A network, and what the commands of the same names do with it.

    Attributes:
        source: what was asked for.
        path: the network file; of a run, one in the cache.
        network: the integer network in it.
    """

    def __init__(self, source: str | os.PathLike[str]) -> None:
        self.source = source
        self.path = network_file(source)
        self.network: Network = read_netx(self.path)

    def __repr__(self) -> str:
        return f"LoadedNetwork({os.fspath(self.source)!r}: {self.network.summary})"

    def _repr_html_(self) -> str:
        from deploy.view.html import tables_html
        from deploy.view.table import plain
        from deploy.view.tables import inspection_tables

        return tables_html(inspection_tables(plain(self.inspect()), items=False), repr(self))

    def generate(
        self,
        n: int = 64,
        seed: int = 0,
        backend: str = "twin",
        *,
        loader: Loader = "stock",
        sampler: SamplerPlace = "host",
        target: Target = "cpu",
        first: int = 0,
        progress: Progress | None = None,
    ) -> Pictures:
        """Draws images ``first`` to ``first + n - 1`` of a seed; every backend and setting gives the same integers.

        Args:
            n: how many.
            seed: of the prior and of the sampler.
            backend: one of :data:`deploy.backends.BACKENDS`.
            loader, sampler, target: of Lava, see :class:`deploy.backends.LavaSettings`.
            first: number of the first image.
            progress: called with the share done and what is being done.

        Raises:
            DataError: fewer than one image, a file without a prior or without a readout.
            EsvaeError: the backend failed.
        """
        n, seed, first = whole_number(n, "n"), whole_number(seed, "seed"), whole_number(first, "first")
        if n < 1 or first < 0:
            raise DataError(f"{n} images from {first} on: expected at least 1, from 0 on")
        if self.network.readout is None:
            images_from_potentials(self.network, np.zeros(0))  # says so
        with own_words():
            entering = enter(self.network, InputOptions(first + n, seed)).part(first, first + n)
            lava = LavaSettings(loader, sampler, target)
            run = run_backend(backend, BackendJob(self.path, entering, lava=lava, progress=progress))
        images = images_from_potentials(self.network, run.potentials)
        return Pictures(images, run.potentials, backend, round(run.seconds, 3))

    def trace(
        self,
        n: int = 4,
        seed: int = 0,
        backend: str = "twin",
        *,
        spikes: Given = None,
        image: Given = None,
        rate: float | None = None,
        steps: int | None = None,
    ) -> Traces:
        """Runs the network and keeps current, potential and spikes of every layer at every step.

        Args:
            n: images; of those given, the first.
            seed: of the prior, or of random spikes.
            backend: one of :data:`deploy.backends.BACKENDS`.
            spikes: 0 or 1, ``(images, steps, *input shape)``, or an ``.npy`` file of such; else the prior's.
            image: of input neurons, integers ``(images, *input shape)``, an ``.npy`` file, or ``"zeros"``.
            rate: random spikes instead, so many a step of each input, 0 to 1.
            steps: length of the run, where nothing says it.

        Raises:
            DataError: nothing says what enters, or it does not fit.
            EsvaeError: the backend failed.
        """
        n, seed = whole_number(n, "n"), whole_number(seed, "seed")
        steps = None if steps is None else whole_number(steps, "steps")
        with own_words():
            entering = self._entering(n, seed, spikes, image, _number(rate, "rate"), steps)
            run = run_backend(backend, BackendJob(self.path, entering, trace=True))
        return Traces(run.traces or {}, run.potentials, entering.about, self.network)

    def _entering(
        self, n: int, seed: int, spikes: Given, image: Given, rate: float | None, steps: int | None
    ) -> Entering:
        sources = {"spikes": spikes, "image": image, "rate": rate}
        if len(given := [name for name, value in sources.items() if value is not None]) > 1:
            raise ConfigError(f"{' and '.join(given)}: give one of them")
        options = InputOptions(n, seed, rate=rate, steps=steps)  # says what of these is out of range
        if spikes is None and image is None:
            return enter(self.network, options)
        if isinstance(spikes, str | os.PathLike):
            return enter(self.network, replace(options, spikes=spikes))
        if isinstance(image, str | os.PathLike):
            return enter(self.network, replace(options, image=image))
        if spikes is not None:
            return at_hand(self.network, _array(spikes, "spikes")[:n])
        window = steps or self.network.time_steps
        if window is None:
            raise DataError("the file says no number of steps; give it with steps")
        return at_hand(self.network, Stimulus(None, _array(image, "image")[:n], window))

    def energy(
        self,
        n: int = 64,
        seed: int = 0,
        *,
        profiles: str | Sequence[str] = (),
        rate: float | None = None,
        steps: int | None = None,
        progress: Progress | None = None,
    ) -> Cost:
        """Counts every operation exactly, then estimates energy and time by each profile.

        Args:
            n: images.
            seed: of the prior, or of random spikes.
            profiles: names of shipped profiles or paths of others; all that are shipped where empty.
            rate, steps: see :meth:`trace`.
            progress: called with the share done and what is being done.

        Raises:
            ConfigError: no such profile.
        """
        n, seed = whole_number(n, "n"), whole_number(seed, "seed")
        steps = None if steps is None else whole_number(steps, "steps")
        with own_words():
            options = InputOptions(n, seed, rate=_number(rate, "rate"), steps=steps)
            return cost_of(counted_input(self.network, options), listed(profiles, "profiles"), progress=progress)

    def verify(
        self,
        n: int = 4,
        seed: int = 0,
        *,
        against: str | Sequence[str] = ("reference", "lava"),
        steps: int | None = None,
    ) -> Verdict:
        """Compares every integer across backends, see :func:`deploy.verify.verify`.

        Args:
            n, seed: images, and the seed of the spikes that enter.
            against: names of the backends that the twin is compared with.
            steps: length of the run, where nothing says it.

        Raises:
            ConfigError: no backend, or one that there is not.
        """
        n, seed = whole_number(n, "n"), whole_number(seed, "seed")
        steps = None if steps is None else whole_number(steps, "steps")
        with own_words():
            names = other_backends(listed(against, "against"))
            return verify(self.path, n, seed=seed, steps=steps, against=names)

    def plan(self, n: int = 1) -> Plan:
        """The time steps of ``n`` back-to-back images, see :func:`deploy.plan.plan`."""
        return plan(self.network, whole_number(n, "n"))

    def fit(self, chip: str = "loihi2") -> Fit:
        """The cores of a chip that the network takes, see :func:`sim.fit.adviser.fit_network`.

        Raises:
            ConfigError: no such chip.
        """
        from sim.fit.adviser import fit_network
        from sim.fit.chips import chip_named

        with own_words():
            return fit_network(self.network, chip_named(chip))

    def check(self) -> list[Finding]:
        """All that is wrong or surprising in the file, see :func:`export.netx.check.check_file`."""
        return check_file(self.path)

    def inspect(self) -> Inspection:
        """What the file holds."""
        return inspect_file(self.path)

    def draw(self, chip: str = "loihi2", *, ax: Axes | None = None) -> Axes:
        """The network as a drawing: layers, shapes, neurons, synapses, and the cores that they take.

        Args:
            chip: whose cores.
            ax: to draw in; a new figure's where None.

        Raises:
            ConfigError: no such chip.
        """
        from deploy.outline import outline
        from deploy.view.outline import outline_axes
        from deploy.view.table import plain
        from sim.fit.chips import chip_named

        with own_words():
            return outline_axes(plain(outline(self.network, chip_named(chip))), ax)

    def compare(
        self,
        n: int = 5000,
        seed: int = 0,
        *,
        run: str | os.PathLike[str] | None = None,
        data_root: str | os.PathLike[str] | None = None,
        **more: Any,
    ) -> Comparison:
        """Sets the integer pictures beside those of the run that the file was made of.

        Args:
            n: images from the prior.
            seed: of all draws.
            run: the run directory, or ``pretrained:NAME``; what was loaded where that was a run.
            data_root: folder of the data sets, or of images; see :func:`esvae.data.data_root`.
            more: further fields of :class:`deploy.compare.CompareOptions`.

        Raises:
            DataError: nobody said which run, or the file was not made of it.
        """
        from deploy.compare import CompareOptions, compare

        with own_words():
            options = CompareOptions(whole_number(n, "n"), whole_number(seed, "seed"), **more)
            return compare(self._run(run), self.path, options, data_root=data_root)

    def report(
        self,
        target: str | os.PathLike[str],
        n: int = 256,
        seed: int = 0,
        *,
        run: str | os.PathLike[str] | None = None,
        data_root: str | os.PathLike[str] | None = None,
    ) -> Path:
        """Writes the HTML page on all of this, and the same as JSON beside it.

        Args:
            target: the ``.html`` file.
            n, seed, run, data_root: see :meth:`compare`.

        Raises:
            ConfigError: another ending, or nothing can be written there.
            DataError: nobody said which run, or the file was not made of it.
        """
        from deploy.report import Wanted, gather, write_report

        with own_words():
            output_file(target, (".html", ".htm"), option="target")
            n, seed = whole_number(n, "n"), whole_number(seed, "seed")
            wanted = Wanted(self._run(run), self.path, self.path, n, seed, data_root=data_root)
            return write_report(gather(wanted), target)[0]

    def _run(self, run: str | os.PathLike[str] | None) -> str | os.PathLike[str]:
        if run is None and not names_run(self.source):
            raise DataError(f"{self.source}: say which run it was made of, run=DIRECTORY")
        return self.source if run is None else run


def _number(value: Any, name: str) -> float | None:
    """A number, or None."""
    if value is None or (isinstance(value, SupportsFloat) and not isinstance(value, np.ndarray)):
        return None if value is None else float(value)
    raise DataError(f"{name} {shown(value)}: expected a number, got {type(value).__name__}")


def _array(values: Any, name: str) -> np.ndarray:
    """What was given, as numpy makes an array of it."""
    expected = "an array or the name of an .npy file"
    found = array_argument(values, name, expected)
    if found.dtype.kind not in "biuf" or not found.ndim:
        raise DataError(f"{name} {shown(values)}: expected {expected}")
    return found


@contextmanager
def own_words() -> Iterator[None]:
    """Errors in the words of a caller: ``steps`` where the command line says ``--steps``."""
    try:
        yield
    except EsvaeError as error:
        text = re.sub(r"--(force|overwrite|resume)\b", r"\1=True", str(error))
        text = re.sub(r"--([a-z][a-z-]*)", lambda found: found[1].replace("-", "_"), text)
        raise type(error)(text.replace("esvae simulate", "trace()")) from error


def in_own_words(function: Callable[P, R]) -> Callable[P, R]:
    """The function with such errors."""

    @functools.wraps(function)
    def worded(*given: P.args, **named: P.kwargs) -> R:
        with own_words():
            return function(*given, **named)

    return worded
