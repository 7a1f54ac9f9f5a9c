"""What a shell offers at the TAB key, beside options and files: names that the project knows."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["complete_backend", "complete_config", "complete_data", "complete_profile"]


def complete_config(incomplete: str) -> list[str]:
    """Shipped configs."""
    from esvae.shipped import config_names

    return _begun(config_names(), incomplete)


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
    from deploy.backends.registry import BACKENDS

    return _begun(BACKENDS, incomplete)


def _begun(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
