"""Naming: what a condition is called in the sentence that says it failed.

Promises: a function is called by its name, a lambda by its source text, without a memory
address. Leaves to others: the sentence.
"""

from __future__ import annotations

import ast
import linecache
from functools import lru_cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import CodeType

__all__ = ["is_lambda", "name_of", "place_of"]


def is_lambda(function: Any) -> bool:
    """Whether it was written as a lambda, which cannot assert and has no name."""
    return getattr(function, "__name__", "") == "<lambda>"


def name_of(function: Any) -> str:
    """What to call a function: its qualified name, or the text of a lambda."""
    if is_lambda(function):
        return _lambda_text(function.__code__)
    inner = getattr(function, "func", function)  # A partial is called by what it calls.
    name = getattr(inner, "__qualname__", None) or type(inner).__qualname__
    return str(name).replace("<locals>.", "")


def place_of(function: Any) -> str:
    """Where it was written, as "test_jobs.py:12"; empty for what has no code."""
    inner = getattr(function, "func", function)
    code = getattr(inner, "__code__", None)
    if code is None:
        return ""
    return f"{PurePath(code.co_filename).name}:{code.co_firstlineno}"


@lru_cache(maxsize=100)
def _lambda_text(code: CodeType) -> str:
    """The text of a lambda, on one line; where it stands if the text is not there any more."""
    lines = linecache.getlines(code.co_filename)
    try:
        tree = ast.parse("".join(lines))
    except (SyntaxError, ValueError):
        tree = ast.Module(body=[], type_ignores=[])
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Lambda) and node.lineno == code.co_firstlineno
    ]
    for node in found:
        if len(found) == 1 or _is_within(node.body, _first_position(code)):
            return " ".join(ast.unparse(node).split())
    return f"the lambda in {PurePath(code.co_filename).name}:{code.co_firstlineno}"


def _is_within(body: ast.expr, position: tuple[int, int]) -> bool:
    end = (body.end_lineno or 0, body.end_col_offset or 0)
    return (body.lineno, body.col_offset) <= position < end


def _first_position(code: CodeType) -> tuple[int, int]:
    """Line and column of the first piece of the body that the code runs."""
    places = [
        (line, column)
        for line, _, column, _ in code.co_positions()
        # What begins a function has no column of its own.
        if line is not None and column is not None and (line, column) != (line, 0)
    ]
    return min(places, default=(-1, -1))
