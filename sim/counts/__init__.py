"""Exact counts: spikes, synaptic operations, fan-out."""

__all__: list[str] = []
