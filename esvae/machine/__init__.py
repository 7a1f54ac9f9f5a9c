"""What the model does not know of: files, memory, threads and processes of the machine."""

__all__: list[str] = []
