"""The batched simulator, equal to the reference in every integer."""

__all__: list[str] = []
