"""How many random cases a test tries: a quarter of them in an ordinary run, all of them in a thorough one.

An ordinary run (``make test``) draws other cases every time, so that many runs together see what one does not;
``make thorough``, or ``pytest --hypothesis-profile thorough``, tries every number of cases that the tests name.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

__all__ = ["FEWEST", "examples", "is_thorough", "register_profiles"]

#: What an ordinary run tries at least, where a thorough one tries as many.
FEWEST = 8
#: Hypothesis's own default, for tests that name no number.
_THOROUGH, _ORDINARY = 100, 25


def register_profiles() -> None:
    """The profiles ``ordinary``, which is loaded, and ``thorough``. Both hold on machines however slow, and draw anew
    in every run, which Hypothesis would not do on a CI machine."""
    for name, count in (("ordinary", _ORDINARY), ("thorough", _THOROUGH)):
        settings.register_profile(
            name,
            max_examples=count,
            deadline=None,
            derandomize=False,
            suppress_health_check=[HealthCheck.too_slow],
        )
    settings.load_profile("ordinary")


def examples(thorough: int, fewest: int = FEWEST) -> int:
    """The part of ``thorough`` cases that this run's profile tries: a quarter, or ``fewest``, or all."""
    ordinary = thorough * settings.default.max_examples // _THOROUGH
    return max(ordinary, min(thorough, fewest))


def is_thorough() -> bool:
    return settings.default is settings.get_profile("thorough")
