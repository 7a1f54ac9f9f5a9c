"""Lava processes of this project.

Lava's compiler executes every file beside the one that defines a process, so nothing else may lie in this folder. Of
the project they import nothing; what they need of it comes in as arrays and numbers.
"""

__all__: list[str] = []
