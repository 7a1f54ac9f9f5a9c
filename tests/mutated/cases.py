"""Makes cases of a kind, has them read, and says what is wrong with how that ended.

Right is an exit code of 0, 1 or 2 within the time and 2 GB, without a traceback, an error in one line; and, with 0,

- the result of the sound input, or
- another one with a word of it on standard error, or
- where no hash covers what was changed: the result of a sound file that another reader wrote anew from the changed one.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mutated.kinds import Kind
from mutated.on_bytes import PLACES, Mutation
from mutated.watched import Outcome, run_watched

__all__ = ["BYTES_LIMIT", "Case", "Cases", "Verdict"]

#: Of memory, for a reader; imports alone make about 0.6 GB of it.
BYTES_LIMIT = 2 << 30
_CRAMPED = 1000  # characters of an error


@dataclass(frozen=True)
class Case:
    """A changed input.

    Attributes:
        number: with the seed and the kind it makes the case again.
        sample: which sound input it was.
        file: that was changed.
        changes: in their order.
    """

    number: int
    sample: str
    file: str
    changes: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """How a case ended.

    Attributes:
        case: which.
        ends: of each reader: ``refused``, ``same``, ``told`` or ``another``, or what is wrong.
        wrong: what is wrong, by reader; empty where nothing is.
        peak, seconds: the most memory and time that a reader took.
    """

    case: Case
    ends: dict[str, str]
    wrong: dict[str, Any]
    peak: int
    seconds: float


class Cases:
    """Cases of one kind in one folder.

    Args:
        name, kind: of the inputs.
        folder: for them; every case lies in ``folder/case`` while it is read.
        seed: of all changes.
        seconds: that a reader may take.
    """

    def __init__(self, name: str, kind: Kind, folder: Path, *, seed: int, seconds: float) -> None:
        self.name, self.kind, self.seed, self.seconds = name, kind, seed, seconds
        self.sound, self.place = folder / "sound", folder / "case"
        self.expected: dict[str, dict[str, Outcome]] = {}
        for sample, write in kind.samples.items():
            (self.sound / sample).mkdir(parents=True)
            write(self.sound / sample)

    def case(self, number: int) -> Case:
        """Puts a case into its place."""
        rng = np.random.default_rng([self.seed, zlib.crc32(self.name.encode()), number])
        sample = str(rng.choice(sorted(self.kind.samples)))
        self._lay(sample)
        pattern = str(rng.choice(sorted(self.kind.changed)))
        path = self.place / str(
            rng.choice(sorted(str(file.relative_to(self.place)) for file in self.place.glob(pattern)))
        )
        known, made = self.kind.changes(pattern), []
        for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
            group = known[int(rng.integers(len(known)))]
            change, draws = str(rng.choice(sorted(group))), int(rng.integers(1 << 62))
            if path.is_file() or group is PLACES:  # an earlier change may have left nothing that could be read
                self._apply(group[change], path, draws)
                made.append(change)
        if self.kind.finish is not None and path.is_file():
            self._apply(self.kind.finish, path, int(rng.integers(1 << 62)))
        return Case(number, sample, path.relative_to(self.place).as_posix(), tuple(made))

    def verdicts(self, first: int, count: int) -> Iterator[Verdict]:
        """Cases ``first`` to before ``first + count``."""
        for number in range(first, first + count):
            yield self._verdict(self.case(number))

    def _lay(self, sample: str) -> None:
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.sound / sample, self.place)

    def _apply(self, change: Mutation, path: Path, seed: int) -> None:
        def apply() -> None:
            with contextlib.suppress(Exception):  # whatever a library makes of what is damaged already
                change(path, np.random.default_rng(seed))

        if self.kind.crashes:
            run_watched(apply, 10)
        else:
            apply()

    def _sound(self, sample: str) -> dict[str, Outcome]:
        """What the readers make of the sound input, which they have to take."""
        if sample not in self.expected:
            kept = self.place.with_name("kept")
            shutil.rmtree(kept, ignore_errors=True)
            if self.place.exists():
                self.place.rename(kept)
            self._lay(sample)
            found = {
                name: run_watched(lambda read=read: read(self.place), 600) for name, read in self.kind.readers.items()
            }  # type: ignore[misc]
            for name, outcome in found.items():
                if outcome.code:
                    raise RuntimeError(f"{self.name}, {sample}: {name} does not take the sound input: {outcome.said}")
            self.expected[sample] = found
            shutil.rmtree(self.place)
            if kept.exists():
                kept.rename(self.place)
        return self.expected[sample]

    def _verdict(self, case: Case) -> Verdict:
        expected = self._sound(case.sample)
        ends, wrong, outcomes = {}, {}, []
        for name, read in self.kind.readers.items():
            outcome = run_watched(lambda read=read: read(self.place), self.seconds)  # type: ignore[misc]
            outcomes.append(outcome)
            fault = _fault(outcome)
            if fault is None and outcome.code == 0:
                ends[name] = self._accepted(case, name, outcome, expected[name])
                fault = ends[name] if ends[name].startswith("silently") else None
            else:
                ends[name] = fault or "refused"
            if fault is not None:
                wrong[name] = {"what": fault, "code": outcome.code, "said": outcome.said[-3000:]}
        return Verdict(case, ends, wrong, max(one.peak for one in outcomes), max(one.seconds for one in outcomes))

    def _accepted(self, case: Case, name: str, outcome: Outcome, sound: Outcome) -> str:
        if outcome.result == sound.result:
            return "same"
        if outcome.said and outcome.said != sound.said:
            return "told"
        if self.kind.other is None or set(case.changes) <= self.kind.whole:
            return "silently wrong: another result than the sound input's"
        path, other = self.place / case.file, self.kind.other
        if self.kind.optional and (path.is_dir() or not os.path.lexists(path)):
            return "another"

        def anew() -> str | None:
            content = other(path)
            return None if content is None else content.decode("latin-1")

        read = run_watched(anew, self.seconds)
        if read.code or read.result == "null":
            return f"silently wrong: took what another reader refuses ({read.said.splitlines()[-1:] or 'damaged'})"
        return self._as_anew(case, name, outcome, read)

    def _as_anew(self, case: Case, name: str, outcome: Outcome, read: Outcome) -> str:
        held = self.place.with_name("held")
        self.place.rename(held)  # what was written into it would be in the way
        self._lay(case.sample)
        path = self.place / case.file
        path.unlink()
        path.write_bytes(json.loads(read.result).encode("latin-1"))
        again = run_watched(lambda: self.kind.readers[name](self.place), self.seconds)
        shutil.rmtree(self.place)
        held.rename(self.place)
        if again.result == outcome.result:
            return "another"
        return f"silently wrong: another result than of what another reader reads ({again.said or again.result[:300]})"


def _fault(outcome: Outcome) -> str | None:
    """What is wrong with how a reader ended, whatever it gave."""
    said = outcome.said.splitlines()
    errors = [line for line in said if not line.startswith(("warning: ", "note: "))]
    if outcome.late:
        return "hangs"
    if outcome.code not in (0, 1, 2):
        return f"ended with {outcome.code}"
    if "Traceback" in outcome.said:
        return "traceback"
    if len(errors) > 1:
        return f"{len(errors)} lines of errors"
    if outcome.code and (len(errors) != 1 or not errors[0].startswith("error: ")):
        return "ended without an error's line"
    if outcome.code == 0 and errors:
        return "said something else than a warning"
    if errors and len(errors[0]) > _CRAMPED:
        return f"an error of {len(errors[0])} characters"
    return f"took {outcome.peak >> 20} MB" if outcome.peak > BYTES_LIMIT else None
