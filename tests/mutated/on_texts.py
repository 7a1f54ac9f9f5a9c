"""Changes of YAML and JSON: values of other types, odd numbers, deep nesting, anchors, keys twice, other encodings."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mutated.on_bytes import Mutation

__all__ = ["JSON", "YAML"]

_DIGITS = "9" * 6000
_NUMBERS = [
    *("0", "-0.0", "-1", "1", "2", "3", "1.5", "0.5", "1e3", "1E+3", "1e-400", "1e999", "-1e999", "4096", "65536"),
    *(
        "2147483648",
        "-2147483649",
        "9223372036854775808",
        "18446744073709551616",
        _DIGITS,
        f"-{_DIGITS}",
        f"1.{_DIGITS}",
    ),
]
_YAML_VALUES = [
    *_NUMBERS,
    *(".nan", ".inf", "-.Inf", "null", "~", "", "[]", "{}", "true", "yes", "OFF", "0x1F", "0o17", "017", "0b11", "+1"),
    *("1_000", "1:20", "1:20:30.5", "1.", ".5", "2020-13-01", "2020-01-01", "2020-02-30 25:61:61", "12:30:45"),
    *(
        "!!python/object/apply:os.system [ls]",
        "!!binary aGk=",
        "!!set {a, b}",
        "!!omap [a: 1]",
        "!!float x",
        "!!int ''",
    ),
    *("!!timestamp 2001-12-14t21:59:43.10-05:00", "!!bool maybe", "!!str 5", "!x 5", "&a 1", "*a", "&a [*a]", "<<: {}"),
    *(
        "'",
        '"',
        '"\\ud800"',
        '"\\x00"',
        '"\\q"',
        "ünï ☃",
        "\U0001f600",
        "\x85",
        "|",
        ">-",
        "? x",
        "- 1",
        "[1, 2]",
        "{a: 1}",
    ),
    *("[" * 3000, "[" * 60 + "]" * 60, "{a: " * 400 + "1" + "}" * 400, "x" * 100_000, "%TAG ! x", "@x", "`x`", "# x"),
]
_JSON_VALUES = [
    *_NUMBERS,
    *(
        "NaN",
        "Infinity",
        "-Infinity",
        "null",
        "true",
        "false",
        '""',
        "[]",
        "{}",
        '"5"',
        '"\\ud800"',
        '"\\u0000"',
        '"\t"',
    ),
    *("[" * 100_000, "[" * 65 + "]" * 65, '{"a":' * 70 + "1" + "}" * 70, f'"{"x" * 100_000}"', "'x'", "01", "+1", ".5"),
    *("[1, 2]", '{"a": 1}', "[null]", "[[1], {}]", "\x00", "ü", '"ü"', "1 2", "//", "{", "]", ",", "0x1F", "True"),
]

_LINE = re.compile(r"^(?P<key>\s*(?:- )?[\w.]+:)(?P<value> .+)?$")


def _on_text(change: Callable[[str, np.random.Generator], str], errors: str = "surrogateescape") -> Mutation:
    def apply(path: Path, rng: np.random.Generator) -> None:
        text = path.read_bytes().decode("utf-8", errors)
        path.write_bytes(change(text, rng).encode("utf-8", errors))

    return apply


def _on_lines(change: Callable[[list[str], int, np.random.Generator], None]) -> Mutation:
    def apply(text: str, rng: np.random.Generator) -> str:
        lines = text.split("\n")
        change(lines, int(rng.integers(0, len(lines))), rng)
        return "\n".join(lines)

    return _on_text(apply)


def _picked(values: list[str], rng: np.random.Generator) -> str:
    return values[int(rng.integers(len(values)))]


def _value(text: str, rng: np.random.Generator) -> str:
    """Another value behind a key."""
    lines = text.split("\n")
    places = [index for index, line in enumerate(lines) if (found := _LINE.match(line)) and found["value"]]
    if places:
        at = places[int(rng.integers(len(places)))]
        found = _LINE.match(lines[at])
        lines[at] = f"{found['key']} {_picked(_YAML_VALUES, rng)}"  # type: ignore[index]
    return "\n".join(lines)


def _number(text: str, rng: np.random.Generator) -> str:
    """A number near what was one."""
    places = list(re.finditer(r"(?<=: |- )\d+(\.\d+)?(?=\n)", text))
    if not places:
        return text
    found = places[int(rng.integers(len(places)))]
    near = float(found[0]) * float(rng.choice([0.5, 0.9, 1.1, 2])) + int(rng.integers(-1, 2))
    return text[: found.start()] + (f"{near:g}" if found[1] else str(round(near))) + text[found.end() :]


def _key(lines: list[str], at: int, rng: np.random.Generator) -> None:
    name = _picked(
        ["", "x", "1", "1.5", "null", "[a]", "{a: 1}", "2020-01-01", "ü", "<<", "'a b'", "x" * 2000, "yes"], rng
    )
    lines[at] = re.sub(r"[\w.]+(?=:)", lambda _: name, lines[at], count=1)


def _twice(lines: list[str], at: int, rng: np.random.Generator) -> None:
    lines.insert(int(rng.integers(0, len(lines) + 1)) if rng.random() < 0.3 else at, lines[at])


def _indent(lines: list[str], at: int, rng: np.random.Generator) -> None:
    lines[at] = (
        _picked([" ", "  ", "\t", "- ", "? ", ": "], rng) + lines[at] if rng.random() < 0.6 else lines[at].lstrip()
    )


def _swap_lines(lines: list[str], at: int, rng: np.random.Generator) -> None:
    other = int(rng.integers(0, len(lines)))
    lines[at], lines[other] = lines[other], lines[at]


def _swap_values(text: str, rng: np.random.Generator) -> str:
    lines = text.split("\n")
    places = [index for index, line in enumerate(lines) if (found := _LINE.match(line)) and found["value"]]
    if len(places) > 1:
        one, other = (int(place) for place in rng.choice(places, 2, replace=False))
        left, right = _LINE.match(lines[one]), _LINE.match(lines[other])
        lines[one], lines[other] = left["key"] + right["value"], right["key"] + left["value"]  # type: ignore[index,operator]
    return "\n".join(lines)


def _laughs(text: str, rng: np.random.Generator) -> str:
    bombs = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    bombs += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    return "\n".join([*bombs, text]) if rng.random() < 0.5 else text + "\n" + "\n".join(bombs)


def _whole(values: list[str]) -> Mutation:
    return _on_text(lambda text, rng: _picked(values, rng))


def _encoded(path: Path, rng: np.random.Generator) -> None:
    content = path.read_bytes()
    text, kind = content.decode("latin-1"), int(rng.integers(7))
    changed = {
        0: b"\xef\xbb\xbf" + content,
        1: text.encode("utf-16"),
        2: text.encode("utf-32"),
        3: content.replace(b"\n", b"\r\n"),
        4: content.replace(b"\n", b"\r"),
        5: text.replace("e", "é").encode("latin-1"),
        6: content.replace(b" ", "\u2028".encode()),
    }
    path.write_bytes(changed[kind])


def _documents(text: str, rng: np.random.Generator) -> str:
    return _picked([f"{text}\n---\n{text}", f"---\n{text}\n...\n", f"{text}\n...\nx", f"%YAML 1.1\n---\n{text}"], rng)


_TOPS = [
    "",
    "\n",
    "# nothing",
    "5",
    "x",
    "[]",
    "{}",
    "null",
    "- a",
    "---",
    "~",
    '"',
    "{",
    "[" * 5000,
    "a",
    "1e999",
    "true",
]

YAML: dict[str, Mutation] = {
    **{name: _on_text(_value) for name in ("value", "value, again", "value, once more")},
    **{name: _on_text(_number) for name in ("number", "number, again", "number, once more")},
    "key": _on_lines(_key),
    "line twice": _on_lines(_twice),
    "line gone": _on_lines(lambda lines, at, rng: lines.pop(at) and None),
    "indent": _on_lines(_indent),
    "swap lines": _on_lines(_swap_lines),
    "swap values": _on_text(_swap_values),
    "many anchors": _on_text(_laughs),
    "documents": _on_text(_documents),
    "encoding": _encoded,
    "something else": _whole(_TOPS),
}

#: Stands where a text is put that JSON's writer would not write.
_HERE = "\ue000"


def _paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All that can be reached in a document, some of each long list."""
    items = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    return [at, *(path for key, item in items[:40] for path in _paths(item, (*at, key)))]


def _on_json(change: Callable[[Any, Any, np.random.Generator], str]) -> Mutation:
    """``change`` gets what is around an entry and its key, and gives the text to put where it left ``_HERE``."""

    def apply(path: Path, rng: np.random.Generator) -> None:
        try:
            content = json.loads(path.read_bytes())
        except (ValueError, RecursionError):  # an earlier change
            return
        around = {"": content}
        paths = [("", *place) for place in _paths(content)]
        place = paths[int(rng.integers(len(paths)))]
        within: Any = around
        for key in place[:-1]:
            within = within[key]
        put = change(within, place[-1], rng)
        path.write_bytes(
            json.dumps(around[""], indent=1, ensure_ascii=False).replace(f'"{_HERE}"', put).encode(errors="replace")
        )

    return apply


def _json_value(within: Any, key: Any, rng: np.random.Generator) -> str:
    within[key] = _HERE
    return _picked(_JSON_VALUES, rng)


def _json_number(within: Any, key: Any, rng: np.random.Generator) -> str:
    """Another number, where there is one."""
    if isinstance(within[key], int | float) and not isinstance(within[key], bool):
        within[key] = within[key] + int(rng.integers(-2, 3)) if rng.random() < 0.7 else -within[key]
    return ""


def _json_gone(within: Any, key: Any, rng: np.random.Generator) -> str:
    if key != "":
        del within[key]
    return ""


def _json_twice(within: Any, key: Any, rng: np.random.Generator) -> str:
    if isinstance(within, list):
        within.insert(key, within[key])
        return ""
    value, within[key] = within[key], _HERE
    shown = json.dumps(value)
    return f"{shown}, {json.dumps(key)}: {shown if rng.random() < 0.5 else _picked(_JSON_VALUES[:10], rng)}"


def _json_key(within: Any, key: Any, rng: np.random.Generator) -> str:
    if isinstance(within, dict) and key != "":
        within[_picked(["", "x", "ü", "is", "__metadata__", "x" * 5000, "\u0000"], rng)] = within.pop(key)
    return ""


def _json_swap(within: Any, key: Any, rng: np.random.Generator) -> str:
    keys = list(within if isinstance(within, dict) else range(len(within)))
    other = keys[int(rng.integers(len(keys)))]
    within[key], within[other] = within[other], within[key]
    return ""


JSON: dict[str, Mutation] = {
    **{name: _on_json(_json_value) for name in ("value", "value, again", "value, once more")},
    "number": _on_json(_json_number),
    "entry gone": _on_json(_json_gone),
    "entry twice": _on_json(_json_twice),
    "key": _on_json(_json_key),
    "swap entries": _on_json(_json_swap),
    "encoding": _encoded,
    "something else": _whole([*_TOPS, "NaN", '"x"', "[" * 100_000, "[1] [2]", "{}\n{}"]),
}
