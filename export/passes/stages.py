"""How passes are put together: each says which parts it requires, which it adds, and what holds then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from esvae.errors import EsvaeError, PassError

__all__ = ["Part", "Pass", "State"]

_T = TypeVar("_T")


@dataclass(frozen=True)
class Part(Generic[_T]):
    """What a pass leaves to those behind it, by name."""

    name: str


class State:
    """The parts that there are so far; a state with more of them is another one."""

    def __init__(self, parts: Mapping[Part[Any], Any]) -> None:
        self._parts = dict(parts)

    def __contains__(self, part: Part[Any]) -> bool:
        return part in self._parts

    def __getitem__(self, part: Part[_T]) -> _T:
        found: _T = self._parts[part]
        return found

    def only(self, parts: Iterable[Part[Any]]) -> State:
        """These parts and no others, so that a pass cannot use what it does not say it requires."""
        return State({part: self[part] for part in parts})

    def having(self, parts: Mapping[Part[Any], Any]) -> State:
        """These parts too."""
        return State({**self._parts, **parts})


@dataclass(frozen=True)
class Pass:
    """One step.

    Attributes:
        name: goes before its errors.
        requires: parts without which it cannot run.
        run: gives the parts that it adds.
        ensures: whether what it promises holds of the parts that there are then.
    """

    name: str
    requires: tuple[Part[Any], ...]
    run: Callable[[State], dict[Part[Any], Any]]
    ensures: Callable[[State], bool]

    def __call__(self, state: State) -> State:
        """The state with this pass's parts.

        Raises:
            PassError: a part that it requires is missing, or what it promises does not hold.
            EsvaeError: it refused; its name comes first.
        """
        missing = [part.name for part in self.requires if part not in state]
        if missing:
            raise PassError(f"{self.name}: requires {', '.join(missing)}; run the pass that gives it before this one")
        try:
            after = state.having(self.run(state.only(self.requires)))
        except EsvaeError as error:
            raise type(error)(f"{self.name}: {error}") from None
        if not self.ensures(after):
            raise PassError(f"{self.name}: what it promises does not hold of what it gave; this is a fault of the pass")
        return after
