"""Damaged and hostile files of every kind that the project reads, what reads them, and what is right of the outcome.

``kinds`` is the table: how a sound one is made, what is changed, what reads it. ``on_*`` are the changes, by format;
``others`` reads formats by other means than the project does; ``watched`` runs a reader in a fork; ``cases`` makes and
judges what is changed.
``tests/mutate_files.py`` is the command.
"""
