"""Files of figures, checked by pydantic: what does not hold is refused with file, line and key."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from esvae.errors import ConfigError
from esvae.machine.located_yaml import Located, load_yaml
from esvae.machine.validation import fault

__all__ = ["read_section"]

_Any = TypeVar("_Any")


def read_section(path: Path, kind: type[_Any], what: str) -> _Any:
    """Reads and checks a YAML file.

    Args:
        path: of the file.
        kind: a dataclass or a model of pydantic's.
        what: the file is called where an error is in no key of it.

    Raises:
        ConfigError: it cannot be read or does not hold; names file, line and key.
    """
    try:
        located = load_yaml(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        return TypeAdapter(kind).validate_python(located.content)
    except ValidationError as error:
        raise ConfigError(_explain(error, located, str(path), what)) from None


def _explain(error: ValidationError, located: Located, path: str, what: str) -> str:
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"])) or what
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{path}:{located.line(first['loc'])}: {key}: {fault(first)}{more}"
