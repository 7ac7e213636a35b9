"""The comparison: two outcomes of one program, value by value.

Promises: the first difference is told in a few lines: the steps of the program with the place
marked, the path to it, and both values. Leaves to others: what may differ (normalise).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from emulator.conformance.normalise import normalise

if TYPE_CHECKING:
    from emulator.conformance.program import Program

__all__ = ["difference"]

_LINE_MAX: Final = 400
_NAMES: Final = ("workerd", "emulator")


def difference(
    program: Program,
    real: dict[str, Any],
    emulated: dict[str, Any],
    names: tuple[str, str] = _NAMES,
) -> str:
    """The first difference of two outcomes in words; "" if they are the same.

    Args:
        program: Whose outcomes they are.
        real: An outcome, as a target gave it.
        emulated: Another one.
        names: What to call them.
    """
    source = program.source
    found = _first(normalise(source, real), normalise(source, emulated), ())
    if found is None:
        return ""
    path, *values = found
    marked = path[1] if len(path) > 1 and path[0] == "steps" else None
    lines = [f"program {program.name!r}, at {_path_text(path)}"]
    for index, step in enumerate(program.steps):
        lines.append(f"  {'->' if index == marked else '  '} {_text(step)}")
    width = max(map(len, names))
    for name, value in zip(names, values, strict=True):
        lines.append(f"  {name:>{width}}: {_text(value)}")
    return "\n".join(lines)


_Found = tuple[tuple[str | int, ...], Any, Any]


def _first(left: Any, right: Any, path: tuple[str | int, ...]) -> _Found | None:
    if isinstance(left, dict) and isinstance(right, dict):
        for name in [*left, *(name for name in right if name not in left)]:
            if name not in left or name not in right:
                return (*path, name), left.get(name, ...), right.get(name, ...)
            found = _first(left[name], right[name], (*path, name))
            if found is not None:
                return found
        return None
    if isinstance(left, list) and isinstance(right, list):
        for index in range(max(len(left), len(right))):
            here = (*path, index)
            if index >= len(left) or index >= len(right):
                return (
                    here,
                    left[index] if index < len(left) else ...,
                    right[index] if index < len(right) else ...,
                )
            found = _first(left[index], right[index], here)
            if found is not None:
                return found
        return None
    # In Python True is 1; in JSON it is not.
    is_same = left == right and isinstance(left, bool) == isinstance(right, bool)
    return None if is_same else (path, left, right)


def _path_text(path: tuple[str | int, ...]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".") or "the whole"


def _text(value: Any) -> str:
    if value is ...:
        return "(nothing)"
    text = json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
    return text if len(text) <= _LINE_MAX else f"{text[: _LINE_MAX - 3]}..."
