"""What a shell offers at the TAB key, beside options and files: names that the project knows."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from deploy.backend_names import BACKEND_NAMES

__all__ = [
    "complete_backend",
    "complete_config",
    "complete_config_or_run",
    "complete_data",
    "complete_profile",
    "complete_run",
    "completing",
    "joined_at_breaks",
    "whole_words",
]

#: The shell sets it where it asks what to offer.
_ASKED = "_ESVAE_COMPLETE"
#: Of bash's ``COMP_WORDBREAKS``, those that names and options hold.
_BREAKS = frozenset(":=")


def complete_config(incomplete: str) -> list[str]:
    """Shipped configs."""
    from esvae.shipped import config_names

    return _begun(config_names(), incomplete)


def complete_run(incomplete: str) -> list[str]:
    """``pretrained:NAME``, and files that begin alike; nothing where neither does or nothing is typed yet: then the
    shell offers its files, as it does for any word."""
    from esvae.shipped import PRETRAINED, pretrained_names

    named = _begun((f"{PRETRAINED}{name}" for name in pretrained_names()), incomplete)
    return [*named, *sorted(path.name for path in Path().glob(f"{incomplete}*"))] if incomplete and named else []


def complete_config_or_run(incomplete: str) -> list[str]:
    """Shipped configs, and what :func:`complete_run` offers."""
    return [*complete_config(incomplete), *complete_run(incomplete)]


def complete_data(incomplete: str) -> list[str]:
    """Data sets."""
    from esvae.config import DATA_NAMES

    return _begun(DATA_NAMES, incomplete)


def complete_profile(incomplete: str) -> list[str]:
    """Shipped energy profiles."""
    from sim.energy.profile import profile_names

    return _begun(profile_names(), incomplete)


def complete_backend(incomplete: str) -> list[str]:
    """What runs a network."""
    return _begun(BACKEND_NAMES, incomplete)


def _begun(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def completing() -> bool:
    """Whether this process runs to say what a shell may offer: nothing is to be made then."""
    return _ASKED in os.environ


@contextmanager
def whole_words() -> Iterator[None]:
    """Answers bash as it asks: it breaks words at ``:`` and ``=`` and completes what is behind the last of them.

    ``pretrained:mn`` comes as three words. They are put together again before the command line is read, and what stands
    before the last break is taken off what is offered. Other shells ask in whole words.
    """
    given = os.environ.get("COMP_WORDS", "").split("\n")
    if os.environ.get(_ASKED) != "complete_bash" or not _BREAKS.intersection(given):
        yield
        return
    words, at = joined_at_breaks(given, int(os.environ["COMP_CWORD"]))
    os.environ.update(COMP_WORDS="\n".join(words), COMP_CWORD=str(at))
    shown = words[at][: max(words[at].rfind(mark) for mark in _BREAKS) + 1]
    offered = io.StringIO()
    try:
        with redirect_stdout(offered):
            yield
    finally:
        for line in offered.getvalue().splitlines():
            sys.stdout.write(line.removeprefix(shown) + "\n")


def joined_at_breaks(words: Sequence[str], at: int) -> tuple[list[str], int]:
    """Words as they were before a shell broke them.

    Args:
        words: those of the line; each ``:`` and ``=`` is one of its own.
        at: which of them the cursor is in.

    Returns:
        The words up to the cursor's, and the number of this last one.
    """
    whole: list[str] = []
    for number, word in enumerate(words[: at + 1]):
        if number and not _BREAKS.isdisjoint((word, words[number - 1])):
            whole[-1] += word
        else:
            whole.append(word)
    return whole, len(whole) - 1
