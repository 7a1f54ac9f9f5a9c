"""What runs inside Lava's own interpreter, which has the standard library, numpy, scipy, h5py and Lava, nothing else.

``__main__.py`` is started as a script, by path, and loads this folder as a package under a name of its own: put on
``sys.path`` instead, ``worker``, ``samples`` and their like could stand in for modules that Lava's interpreter has
installed, or be stood in for by them. Its files therefore import each other relatively, and lava inside functions.

Outside, the project imports ``messages``, what the two sides say to each other, and ``cleanup``, how a session of
processes is ended, from here; nothing else.
"""

__all__: list[str] = []
