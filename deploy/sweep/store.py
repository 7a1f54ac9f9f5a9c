"""The folder in which finished points are kept, each under the hash of all that decides it.

::

    SWEEP/points/<sha256>.json   what decided the point, its outcome, hashes of the outcome and of the file
    SWEEP/points/<sha256>.net    the exported network

Both are written whole or not at all, the JSON last: where it is, the point is finished. An entry that does not hold
what its hashes say is damaged and is computed anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.sweep.types import Done
from esvae.errors import DataError
from esvae.machine.documents import load_json
from esvae.machine.files import sha256_file, write_bytes, write_text

__all__ = ["STORE_FORMAT", "Kept", "Store", "key_of"]

#: Raised whenever an outcome's meaning changes, so that older ones are not taken for it.
STORE_FORMAT = 1


@dataclass(frozen=True)
class Kept:
    """What the store has under a key.

    Attributes:
        outcome: None where there is none, or it is damaged.
        damage: what is wrong with it, or None.
    """

    outcome: dict[str, Any] | None
    damage: str | None = None


def key_of(inputs: Mapping[str, Any]) -> str:
    """SHA-256 over all that decides a point, whatever the order of its keys; 64 hexadecimal digits."""
    return _hash({"format": STORE_FORMAT, **inputs})


class Store:
    """The points below a folder.

    Args:
        folder: of the sweep; made when the first point is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.points = folder / "points"

    def net(self, key: str) -> Path:
        """Where a point's network file is."""
        return self.points / f"{key}.net"

    def entry(self, key: str) -> Path:
        """Where a point's outcome is."""
        return self.points / f"{key}.json"

    def keep(self, key: str, inputs: Mapping[str, Any], done: Done) -> dict[str, Any]:
        """Keeps a finished point; gives its outcome as a later run reads it.

        Raises:
            EsvaeError: the folder cannot be written.
        """
        write_bytes(self.net(key), done.net)
        outcome = json.loads(json.dumps(done.outcome))
        content = {
            "format": STORE_FORMAT,
            "inputs": inputs,
            "net_sha256": hashlib.sha256(done.net).hexdigest(),
            "outcome_sha256": _hash(outcome),
            "outcome": outcome,
        }
        write_text(self.entry(key), json.dumps(content, indent=1) + "\n")
        return outcome  # type: ignore[no-any-return]

    def read(self, key: str) -> Kept:
        """What is kept under a key, checked against its hashes."""
        path = self.entry(key)
        if not path.exists():
            return Kept(None)
        try:
            content = load_json(path)
            outcome, inputs = content["outcome"], content["inputs"]
            if key_of(inputs) != key:
                return Kept(None, f"{path.name}: holds another point than its name says")
            if _hash(outcome) != content["outcome_sha256"]:
                return Kept(None, f"{path.name}: its figures are not those that were written")
            if sha256_file(self.net(key)) != content["net_sha256"]:
                return Kept(None, f"{self.net(key).name}: not the file that was written")
        except OSError as error:
            return Kept(None, f"{path.name}: cannot be read ({error.strerror})")
        except (DataError, ValueError, KeyError, TypeError) as error:
            return Kept(None, f"{path.name}: damaged ({type(error).__name__})")
        return Kept(outcome)


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()
