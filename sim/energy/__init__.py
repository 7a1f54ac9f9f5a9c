"""Estimates of energy and time from exact counts, by profile."""

__all__: list[str] = []
