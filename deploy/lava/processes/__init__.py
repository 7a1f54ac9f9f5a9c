"""Lava processes of this project: they run inside Lava's own interpreter, which loads each file by its path.

Lava's compiler executes every file beside the one that defines a process, so nothing else may lie in this folder. Of
the project they import nothing; what they need of it comes in as arrays and numbers.
"""

__all__: list[str] = []
